"""`scada balance voltage`: a week of a transformer's voltage as EN 50160 reports it, from the store."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, utc_ns
from scada.cli.run import make_clock
from scada.clock import NS
from scada.errors import ConfigError, Problem
from scada.ports import VoltageWeek
from scada.settings import Settings, load

NOT_NOW = "what is missing counts neither for nor against"


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("transformer")
@click.option("--week", "week", help="ISO week in site time, 2026-W47; else the last seven days.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
def voltage(config: Path, transformer: str, week: str | None, as_json: bool) -> None:
    """
    Print how TRANSFORMER's voltage kept to nominal over a week.

    In means of ten minutes: 95 % within 10 % of 230 V, none above +10 % or below -15 % (EN 50160). A meter that is asked
    once a second is no class A instrument. Unbalance is not reported: meters deliver no angles of voltages.
    """
    from scada.balancing.week import VoltageWeeks
    from scada.historian.service import open_reader

    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    _known_transformer(settings, transformer)
    last = _end(week, zone) if week else make_clock(config, settings).now()
    reader = open_reader(settings.path(settings.historian.dir, "history"))
    try:
        found = VoltageWeeks(reader.live).week(transformer, last)
    finally:
        reader.close()
    if as_json:
        print_json(said(found))
        return
    rows = [
        (
            f"L{n + 1}", str(one.counted), _number(100 * one.share), _number(100 * one.worst), str(one.far_beyond),
            _number(one.lowest), _number(one.highest), "yes" if one.complies else "no" if one.counted else "–",
        )
        for n, one in enumerate(found.phases)
    ]
    title = f"{transformer}: {local_ns(found.first, zone)} to {local_ns(found.last, zone)}"
    columns = ("phase", "means", "within 10 %, %", "95 % within, %", "far beyond", "lowest V", "highest V", "complies")
    print_table(title, columns, rows, numbers=range(1, 7))
    if not found.whole:
        click.echo(f"not a whole week of {found.due} means: {NOT_NOW}", err=True)


def said(found: VoltageWeek) -> dict[str, object]:
    """For programs: times in UTC, null where there is no figure."""
    return {
        "transformer": found.transformer, "first": utc_ns(found.first), "last": utc_ns(found.last), "due": found.due,
        "whole": found.whole, "complies": found.complies,
        "phases": [
            {
                "phase": f"L{n + 1}", "counted": one.counted, "beyond": one.beyond, "far_beyond": one.far_beyond,
                "share": _known(one.share), "worst": _known(one.worst), "lowest_v": _known(one.lowest),
                "highest_v": _known(one.highest), "complies": one.complies,
            }
            for n, one in enumerate(found.phases)
        ],
    }


def _known_transformer(settings: Settings, name: str) -> None:
    from scada.registry.database import open_registry, url_of

    database = open_registry(url_of(settings.registry, settings.data_dir))
    try:
        known = [one.name for one in database.load().transformers]
    finally:
        database.close()
    if name not in known:
        there = f"there are {', '.join(sorted(known)[:5])}" if known else "there are none, see docs/guide/site-file.md"
        raise ConfigError([Problem("argument", "TRANSFORMER", f"no transformer {name!r}; {there}")])


def _end(week: str, zone: ZoneInfo) -> int:
    """Seven times 24 h after the Monday it begins with; a change of the clocks in it moves its end by an hour."""
    try:
        monday = datetime.strptime(f"{week}-1", "%G-W%V-%u").replace(tzinfo=zone)
        return round(monday.timestamp() + timedelta(days=7).total_seconds()) * NS
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{week!r} is no week; expected 2026-W47", param_hint="--week") from None


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1f}"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
