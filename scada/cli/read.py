"""`scada read`: the history of a metering point or a tag, straight from the store, also while the server runs."""

import csv
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import local, period, utc
from scada.cli.run import make_clock
from scada.clock import HOUR_S, NS
from scada.errors import ConfigError, Problem
from scada.settings import Settings, load
from scada.site import Directory
from scada.tags import Quality

MOST_COMPARED: Final = 5000             # names held against a misspelt one
Row = tuple[int, float, str]            # s since 1970, value, quality


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("name")
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", help="End, not included.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, times in UTC.")
def read(config: Path, name: str, first: str | None, last: str | None, as_json: bool, as_csv: bool) -> None:
    """Print the history of NAME: hourly values of a metering point, or the samples of a tag (device/point)."""
    one_of(as_json, as_csv)
    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    now = make_clock(config, settings).seconds()
    start, end = period(first, last, zone, now)
    directory = _directory(settings)
    if "/" in name:
        unit, rows = of_tag(settings, directory, name, start, end)
    else:
        unit, rows = of_point(settings, directory, name, start, end, now)
    if as_json:
        values = [{"at": utc(at), "value": None if np.isnan(value) else value, "quality": how} for at, value, how in rows]
        print_json({"name": name, "unit": unit, "rows": values})
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("at", f"value [{unit}]" if unit else "value", "quality"))
        writer.writerows((utc(at), "" if np.isnan(value) else repr(value), quality) for at, value, quality in rows)
    else:
        shown = [(local(at, zone), "" if np.isnan(value) else f"{value:,.3f}", quality) for at, value, quality in rows]
        print_table(f"{name} [{unit}]" if unit else name, ("at", unit or "value", "quality"), shown, numbers=(1,))
        if not rows:
            click.echo(f"nothing between {local(start, zone)} and {local(end, zone)}; --from and --to choose another time")


def _directory(settings: Settings) -> Directory:
    from scada.registry.database import open_registry, url_of

    database = open_registry(url_of(settings.registry, settings.data_dir))
    try:
        return Directory(database.load())
    finally:
        database.close()


def of_point(
    settings: Settings, directory: Directory, name: str, start: int, end: int, now: int
) -> tuple[str, list[Row]]:
    """Hourly values of a metering point."""
    from scada.historian.service import open_reader
    from scada.metering.hourly import consumption

    if name not in directory.point:
        raise unknown("metering point", name, directory.point)
    reader = open_reader(history_dir(settings))
    first_hour, hours = start // HOUR_S, -(-end // HOUR_S) - start // HOUR_S
    found = consumption(directory, reader.intervals, [name], first_hour, hours, now // HOUR_S)
    starts = (first_hour + np.arange(hours)) * HOUR_S
    return found.units[0], _rows(starts, found.values[0], found.quality[0])


def of_tag(settings: Settings, directory: Directory, name: str, start: int, end: int) -> tuple[str, list[Row]]:
    """Samples of a live tag."""
    from scada.cli.units import unit_of
    from scada.historian.livefiles import LiveHistory
    from scada.historian.service import open_reader

    live = cast(LiveHistory, open_reader(history_dir(settings)).live)
    known = live.tags()
    if name not in known:
        raise unknown("stored tag", name, known)
    found = live.read(name, start * NS, end * NS)
    return unit_of(settings, directory, name), _rows(found.at // NS, found.values, found.quality)


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name nobody has, with those that come nearest."""
    device, slash, _ = name.partition("/")
    names = sorted(one for one in known if one.startswith(device + slash)) or sorted(known)[:MOST_COMPARED]
    near = get_close_matches(name, names, n=5, cutoff=0.5) or names[:5]
    there = f"near it are {', '.join(near)}" if near else "there are none"
    return ConfigError([Problem("argument", "NAME", f"no {what} {name!r}; {there}")])


def _rows(at: Any, values: Any, quality: Any) -> list[Row]:
    names = {int(one): one.name.lower() for one in Quality}
    return [(int(a), float(v), names[int(q)]) for a, v, q in zip(at, values, quality, strict=True)]


def history_dir(settings: Settings) -> Path:
    return settings.path(settings.historian.dir, "history")
