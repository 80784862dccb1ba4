"""`scada balance recalibration`: which meters are worth verifying or replacing, by money; see docs/recalibration.md."""

import csv
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import attrs
import click
from rich.console import Console
from rich.progress import Progress

from scada.cases import Case
from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import parse_time
from scada.cli.read import history_dir, open_directory
from scada.cli.run import make_clock
from scada.clock import DAY_H, HOUR_S
from scada.leaks import to_json
from scada.replacement import AgeFrom, NotReckoned, Replaceable, ReplacementList
from scada.settings import Settings, load
from scada.site import Directory, Medium

if TYPE_CHECKING:
    from scada.balancing.recalibrating import Base

SHOWN: Final = 50
ALL: Final = 10_000_000
WHY: Final = {
    NotReckoned.NO_TERMS: "nobody has entered what such meters cost (meter_terms)",
    NotReckoned.NO_QUANTITY: "their registers of two instants are not known",
    NotReckoned.YOUNG: "here for less than a week",
}


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.option("--from", "first", help="What passes a meter in a year is taken from the registers of this day and of --to.")
@click.option("--to", "last", help="By default today; without --from up to a year before it, as far as it is known.")
@click.option("--medium", "media", type=click.Choice([one.value for one in Medium]), multiple=True, help="May come again.")
@click.option("--all", "everything", is_flag=True, help="All meters, also those that are better left where they are.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, for a work order.")
def recalibration(
    config: Path, first: str | None, last: str | None, media: tuple[str, ...], everything: bool, as_json: bool, as_csv: bool
) -> None:
    """
    List meters by what replacing each now gains in a year.

    Costs, tariffs and failure curves are `meter_terms` of the registry: the page Recalibration, or a site file.
    """
    from scada.balancing.recalibrating import MEDIA, reckoned

    one_of(as_json, as_csv)
    settings = load(config)
    directory = open_directory(settings)
    base = _gathered(config, settings, directory, first, last)
    chosen = tuple(Medium(one) for one in media) or MEDIA
    found = reckoned(base, directory.terms_of_medium, chosen)
    shown = found.page(0, ALL if everything else found.worth)
    if as_json:
        said = {**to_json(attrs.evolve(shown, rows=())), "rows": to_json(shown.rows)}
        print_json({**said, "currency": settings.site.currency})
    elif as_csv:
        _csv(directory, shown.rows, settings.site.currency)
    else:
        _print(shown, settings.site.currency, everything)


def _gathered(config: Path, settings: Settings, directory: Directory, first: str | None, last: str | None) -> "Base":
    from scada.balancing.casebook import FILE, Casebook
    from scada.balancing.recalibrating import SPANS, gathered
    from scada.balancing.recalibration_service import LOSING, MOST_CASES
    from scada.historian.service import open_reader
    from scada.metering.known import registers

    zone = ZoneInfo(settings.site.timezone)
    hour = min(parse_time(last, zone) // HOUR_S if last else 2**40, make_clock(config, settings).hour())
    spans: Sequence[int] = SPANS
    if first:
        days = (hour - parse_time(first, zone) // HOUR_S) // DAY_H
        if not 1 <= days <= 3660:
            raise click.BadParameter(f"{days} days from --from to --to; expected 1 to 3660")
        spans = (days,)
    folder = history_dir(settings)
    cases: tuple[Case, ...] = ()
    if (folder / FILE).exists():
        book = Casebook(folder / FILE, lambda *_: None)
        book.open()
        try:
            cases, _total = book.find(LOSING, 0, MOST_CASES)
        finally:
            book.close()
    reader, console = open_reader(folder), Console(stderr=True)
    day = datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(zone).date().isoformat()
    try:
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("reading registers", total=len(directory.meters_of_point))
            base = gathered(
                directory, lambda points, at: registers(directory, reader.intervals, points, at), hour, day, cases, spans,
                lambda done: progress.advance(task, done), zone=zone,
            )
    finally:
        reader.close()
    assert base is not None                 # nobody stops it
    return base


def _print(shown: ReplacementList, currency: str, everything: bool) -> None:
    rows = shown.rows if everything else shown.rows[:SHOWN]
    title = (
        f"{shown.worth:,} of {shown.total:,} meters are worth replacing now: {shown.gain:,.0f} {currency} a year together"
    )
    print_table(title, (
        "point", "meter", f"gain [{currency}/a]", f"loses [{currency}/a]", f"may lose [{currency}/a]", "age [a]",
        "replace at [a]", "passes in a year", "why",
    ), [(
        one.point, one.serial, f"{one.gain:,.0f}", f"{one.loss:,.0f}", f"{one.bearable:,.0f}",
        f"{'' if one.age_from is AgeFrom.VERIFIED else '≥ '}{one.age:.1f}", f"{one.interval:.0f}",
        f"{one.yearly:,.0f} {one.unit} ({one.over_days} d)",
        "age" if math.isnan(one.suspect) else f"suspect: does not register {100 * one.suspect:.0f} %",
    ) for one in rows], numbers=(2, 3, 4, 5, 6, 7))
    if len(shown.rows) > len(rows):
        click.echo(f"the first {len(rows)} of {len(shown.rows):,}; --all, --json and --csv give all", err=True)
    if shown.left:
        print_table("not reckoned", ("medium", "meters", "why", "such as"), [
            (one.medium, f"{one.count:,}", WHY[one.why], ", ".join(one.some)) for one in shown.left
        ], numbers=(1,))


def _csv(directory: Directory, rows: Sequence[Replaceable], currency: str) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow([
        "point", "serial", "medium", "gain_a_year", "loss_a_year", "bearable_a_year", "currency", "age_years",
        "age_from", "replace_at_years", "paid_at_years", "quantity_a_year", "unit", "from_days", "not_registered",
        "consumer", "building",
    ])
    for one in rows:
        consumer = directory.consumer.get(directory.point[one.point].consumer)
        writer.writerow([
            one.point, one.serial, one.medium, f"{one.gain:.2f}", f"{one.loss:.2f}", f"{one.bearable:.2f}", currency,
            f"{one.age:.2f}", one.age_from.value, f"{one.interval:.1f}",
            f"{one.paid:.1f}" if math.isfinite(one.paid) else "", f"{one.yearly:.3f}", one.unit, one.over_days,
            f"{one.suspect:.4f}" if math.isfinite(one.suspect) else "",
            consumer.title or consumer.name if consumer else "", consumer.building if consumer else "",
        ])
