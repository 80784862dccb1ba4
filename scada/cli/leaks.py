"""`scada balance leaks`: flows that never stop, and what is always on; see docs/leaks.md."""

import csv
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import Progress

from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import parse_time
from scada.cli.read import history_dir, open_directory, unknown
from scada.cli.run import make_clock
from scada.clock import HOUR_S
from scada.errors import ConfigError, Problem
from scada.leaks import Flowing, MediumNight, Standby, TooLittle, Unknown, said_rate, to_json
from scada.settings import Settings, load
from scada.site import UNIT_OF_MEDIUM, Directory, Medium

if TYPE_CHECKING:
    from scada.balancing.examination import Period
    from scada.balancing.leak_examination import Answer

DAYS: Final = 20
LEAST_DAYS, MOST_DAYS = 3, 366
MOST_SHOWN: Final = 50
ALL: Final = 10_000_000
WHY: Final = {
    TooLittle.NO_METER: "no meter hangs there", TooLittle.FEW_NIGHTS: "too few whole nights one after the other",
    TooLittle.COARSE: "a count of its register is too large for such a flow",
}
FIELDS: Final = (
    "point", "medium", "state", "rate", "doubt", "rate_unit", "since", "since_at_least", "stopped", "quantity", "unit",
    "share", "why", "nights", "consumer", "title", "building", "serial", "module",
)


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("points", nargs=-1, metavar="[POINT]...")
@click.option("--from", "first", help="First day, site time: 2026-11-01.")
@click.option("--to", "last", help="Day that is not included any more; by default today.")
@click.option("--medium", "media", type=click.Choice([one.value for one in Medium]), multiple=True, help="May come again.")
@click.option("--all", "everything", is_flag=True, help="Also name those of which too little is known, and all that is on.")
@click.option("--one-process", is_flag=True, help="Do not use other processors.")
@click.option("--json", "as_json", is_flag=True, help="JSON; rates in units of the medium per hour.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV: a line for each, with where it hangs, for whoever goes there.")
def leaks(
    config: Path, points: tuple[str, ...], first: str | None, last: str | None, media: tuple[str, ...], everything: bool,
    one_process: bool, as_json: bool, as_csv: bool,
) -> None:
    """
    Name metering points whose flow never stops, and what is always on in homes; of each POINT, or of all.

    Twenty whole days by default. Nothing is entered anywhere: the server's own search of every night keeps leaks and raises
    alarms.
    """
    one_of(as_json, as_csv)
    settings = load(config)
    period = _period(config, settings, first, last)
    directory = open_directory(settings)
    answers, night = _search(config, settings, directory, period, points, frozenset(media), everything, one_process)
    flowing = sorted(
        (one for answer in answers for one in answer.flowing), key=lambda one: (not one.runs, -one.weight, one.point)
    )
    standby = sorted((one for answer in answers for one in answer.standby), key=lambda one: (-one.power, one.point))
    nothing = [one for answer in answers for one in answer.unknown]
    if as_json:
        print_json({
            "first_day": period.first_day.isoformat(), "days": period.days, "media": to_json(night),
            "leaks": [{**to_json(one), "unit": UNIT_OF_MEDIUM[one.medium], "quantity": one.quantity,
                       **_where(directory, one.point)} for one in flowing],
            "standby": to_json(standby), "unknown": to_json(nothing if everything or points else []),
        })
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, FIELDS, restval="")
        writer.writeheader()
        writer.writerows(_rows(directory, flowing, standby, nothing if everything or points else []))
    else:
        _print(directory, period, night, flowing, standby, nothing, everything or bool(points))


def _period(config: Path, settings: Settings, first: str | None, last: str | None) -> "Period":
    from scada.balancing.examination import period_before

    zone, now = ZoneInfo(settings.site.timezone), make_clock(config, settings).hour()
    end = parse_time(last, zone) // HOUR_S if last else now
    end = min(end, now)
    try:
        until = period_before(zone, end, 1)
        before = until.first_day + timedelta(days=1)
        days = DAYS
        if first:
            days = (before - datetime.fromtimestamp(parse_time(first, zone), UTC).astimezone(zone).date()).days
        if not LEAST_DAYS <= days <= MOST_DAYS:
            raise click.BadParameter(
                f"{max(days, 0)} whole days before {before}; expected {LEAST_DAYS} to {MOST_DAYS}: leaks are seen by nights"
            )
        return period_before(zone, end, days)
    except ValueError as error:
        raise ConfigError([Problem(str(config), "site.timezone", str(error))]) from None


def _search(
    config: Path, settings: Settings, directory: Directory, period: "Period", names: Sequence[str], media: frozenset[str],
    everything: bool, one_process: bool,
) -> "tuple[list[Answer], tuple[MediumNight, ...]]":
    from scada.balancing.leak_examination import STRONGEST, TOLD, examined_points, leak_inquiries, leaks_of, together
    from scada.compute import InThisProcess, ProcessPool
    from scada.historian.service import open_reader
    from scada.metering.hourly import consumption

    if wrong := [name for name in names if name not in directory.point]:
        raise ConfigError([
            problem for name in wrong for problem in unknown("metering point", name, directory.point).problems
        ])
    points, feeds = examined_points(directory)
    if names:                               # who is asked for by name is looked at, whatever hangs behind it
        points, feeds = {}, {}
        for name in dict.fromkeys(names):
            points.setdefault(directory.point[name].medium, []).append(name)
    if media:
        points = {medium: some for medium, some in points.items() if medium.value in media}
        feeds = {medium: count for medium, count in feeds.items() if medium.value in media}
    now = make_clock(config, settings).hour()
    compute = InThisProcess() if one_process else ProcessPool()
    reader = open_reader(history_dir(settings))
    console, answers = Console(stderr=True), []
    try:
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("examining", total=sum(map(len, points.values())))
            for answer in compute.each(leaks_of, leak_inquiries(
                lambda some, first, hours: consumption(directory, reader.intervals, some, first, hours, now),
                directory, points, period, told=ALL if everything else max(TOLD, STRONGEST),
            )):
                answers.append(answer)
                progress.advance(task, answer.night.examined)
    finally:
        reader.close()
    return answers, together(answers, feeds)


def _where(directory: Directory, name: str) -> dict[str, str]:
    """Where somebody who goes there has to go."""
    point, periods = directory.point[name], directory.meters_of_point.get(name, ())
    consumer = directory.consumer.get(point.consumer)
    module = directory.module_of_eui.get(periods[-1].eui) if periods else None
    return {
        "consumer": consumer.title or consumer.name if consumer else "", "title": point.title,
        "building": (consumer.building if consumer else "") or (module.building if module else ""),
        "serial": periods[-1].serial if periods else "", "module": module.name if module else "",
    }


def _rows(
    directory: Directory, flowing: Sequence[Flowing], standby: Sequence[Standby], nothing: Sequence[Unknown]
) -> list[Mapping[str, Any]]:
    def number(value: float) -> str:
        return f"{value:.6g}" if math.isfinite(value) else ""

    rows: list[Mapping[str, Any]] = [{
        "point": one.point, "medium": one.medium.value, "state": "runs" if one.runs else "stopped",
        "rate": number(one.rate), "doubt": number(one.doubt), "rate_unit": f"{UNIT_OF_MEDIUM[one.medium]}/h",
        "since": one.since, "since_at_least": str(one.at_least).lower(), "stopped": one.stopped,
        "quantity": number(one.quantity), "unit": UNIT_OF_MEDIUM[one.medium], **_where(directory, one.point),
    } for one in flowing]
    rows += [{
        "point": one.point, "medium": Medium.ELECTRICITY.value, "state": "always_on", "rate": number(one.power),
        "rate_unit": "kW", "share": number(one.share), **_where(directory, one.point),
    } for one in standby]
    rows += [{
        "point": one.point, "medium": one.medium.value, "state": "not_enough_data", "why": one.why.value,
        "nights": one.nights, **_where(directory, one.point),
    } for one in nothing]
    return rows


def _print(
    directory: Directory, period: "Period", night: Sequence[MediumNight], flowing: Sequence[Flowing],
    standby: Sequence[Standby], nothing: Sequence[Unknown], everything: bool,
) -> None:
    most = ALL if everything else MOST_SHOWN
    span = f"{period.days} days from {period.first_day}"
    if any(one.medium is not Medium.ELECTRICITY for one in night):
        print_table(
            f"leaks, {span}: flows that never stopped; a pump or a circulating line looks the same",
            ("point", "medium", "never below", "since", "so far", "consumer", "building", "meter"), [(
                one.point, one.medium.value,
                f"{said_rate(one.medium, one.rate)} ± {said_rate(one.medium, one.doubt)}" if one.doubt else
                said_rate(one.medium, one.rate),
                f"{'before ' if one.at_least else ''}{one.since}{f', stopped {one.stopped}' if one.stopped else ''}",
                f"{one.quantity:,.1f} {UNIT_OF_MEDIUM[one.medium]}",
                *(_where(directory, one.point)[name] for name in ("consumer", "building", "serial")),
            ) for one in flowing[:most]], numbers=(2, 4),
        )
        _more(len(flowing), most, "leaks")
    if standby:
        print_table(
            f"always on, {span}: the quietest three hours of a day, its refrigerator in it",
            ("point", "always on", "share of all", "consumer"), [(
                one.point, f"{1000 * one.power:,.0f} W", f"{100 * one.share:.0f} %",
                _where(directory, one.point)["consumer"],
            ) for one in standby[:most]], numbers=(1, 2),
        )
        _more(sum(one.examined - one.few_nights - one.no_meter for one in night if one.medium is Medium.ELECTRICITY),
              min(most, len(standby)), "points of electricity")
    if everything and nothing:
        print_table("too little is known of", ("point", "medium", "why", "nights known", "a count"), [(
            one.point, one.medium.value, WHY[one.why], str(one.nights),
            f"{one.count:g} {UNIT_OF_MEDIUM[one.medium]}" if one.count else "",
        ) for one in nothing], numbers=(3, 4))
    print_table("what was looked at", (
        "medium", "points", "leaks", "too few nights", "count too coarse", "no meter", "feed others"
    ), [(
        one.medium.value, f"{one.examined:,}", f"{one.running:,}" if one.medium is not Medium.ELECTRICITY else "–",
        f"{one.few_nights:,}", f"{one.coarse:,}", f"{one.no_meter:,}", f"{one.feeds:,}",
    ) for one in night], numbers=(1, 2, 3, 4, 5, 6))
    if not everything and any(one.few_nights or one.coarse or one.no_meter for one in night):
        click.echo("--all names those of which too little is known", err=True)


def _more(total: int, shown: int, what: str) -> None:
    if total > shown:
        click.echo(f"the first {shown} of {total:,} {what}; --all, --json and --csv give more", err=True)
