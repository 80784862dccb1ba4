"""`scada read`: the history of a metering point or a tag, straight from the store, also while the server runs."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import one_of, print_table
from scada.cli.periods import local, local_ns, parse_time, period, utc_ns
from scada.cli.read_steps import MOST_SHOWN, show
from scada.cli.run import make_clock
from scada.clock import HOUR_S, NS
from scada.errors import ConfigError, Problem
from scada.ports import Consumption, IntervalHistory, LiveReader
from scada.series import Buckets, How, step_edges
from scada.settings import Settings, load
from scada.site import Directory
from scada.tags import Quality

MOST_COMPARED: Final = 5000             # names held against a misspelt one
INTERVALS: Final = {"15min": 900, "30min": 1800}
Row = tuple[int, float, str]            # ns since 1970, value, quality


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("name")
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", help="End, not included.")
@click.option("--step", help="One row a step: 15min, 1h, 1d (site days), and so on.")
@click.option(
    "--how", type=click.Choice([one.value for one in How]),
    help="What stands for a step; mean by default, sum for a metering point.",
)
@click.option("--interval", type=click.Choice(list(INTERVALS)), help="Of a metering point: its intervals as delivered.")
@click.option("--as-of", help="Of a metering point: as it was known at this time.")
@click.option("--validated", is_flag=True, help="Of a metering point: validated hours in their places, not the raw series.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, times in UTC.")
def read(
    config: Path, name: str, first: str | None, last: str | None, step: str | None, how: str | None,
    interval: str | None, as_of: str | None, validated: bool, as_json: bool, as_csv: bool,
) -> None:
    """
    Print the history of NAME: hourly values of a metering point, or the samples of a tag (device/point).

    With --step one row a step, with the worst quality of what it was made of and how complete it is. With --as-of what a
    bill written then was written from; `scada historian changes` says what came since.
    """
    one_of(as_json, as_csv)
    if how and not step:
        raise click.UsageError("--how says what stands for a step; expected --step too")
    if "/" in name and (interval or as_of or validated):
        said = "--interval, --as-of and --validated are for metering points; the samples of a tag are never replaced"
        raise click.UsageError(said)
    if interval and validated:
        raise click.UsageError("validated are hours; expected --interval or --validated, not both")
    if interval and step:
        raise click.UsageError("expected --interval or --step, not both")
    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    now = make_clock(config, settings).seconds()
    start, end = period(first, last, zone, now)
    directory = open_directory(settings)
    known = parse_time(as_of, zone) if as_of else None
    if step:
        kind = How(how or (How.MEAN if "/" in name else How.SUM))
        unit, steps = in_steps(settings, directory, name, (start, end), step, kind, now, known, validated)
        show(name, unit, steps, step, kind, zone, as_json=as_json, as_csv=as_csv)
        return
    rows: Iterable[Row]
    if "/" in name:
        unit, rows = of_tag(settings, directory, name, start, end)
    else:
        interval_s = INTERVALS[interval] if interval else HOUR_S
        unit, rows = of_point(settings, directory, name, start, end, now, known, interval_s, validated)
    if as_json:
        _write_json(name, unit, rows)
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("at", f"value [{unit}]" if unit else "value", "quality"))
        writer.writerows((utc_ns(at), "" if np.isnan(value) else repr(value), quality) for at, value, quality in rows)
    else:
        _print_rows(name, unit, rows, zone, f"{local(start, zone)} and {local(end, zone)}")


def _print_rows(name: str, unit: str, rows: Iterable[Row], zone: ZoneInfo, between: str) -> None:
    newest: deque[Row] = deque(maxlen=MOST_SHOWN)
    count = 0
    for row in rows:
        newest.append(row)
        count += 1
    shown = [(local_ns(at, zone), "" if np.isnan(value) else f"{value:,.3f}", quality) for at, value, quality in newest]
    print_table(f"{name} [{unit}]" if unit else name, ("at", unit or "value", "quality"), shown, numbers=(1,))
    if not count:
        click.echo(f"nothing between {between}; --from and --to choose another time")
    if count > len(newest):
        said = f"the newest {len(newest):,} of {count:,} rows; --from and --to choose fewer, --csv or --json writes all"
        click.echo(said, err=True)


def _write_json(name: str, unit: str, rows: Iterable[Row]) -> None:
    """Row by row, so that a year of seconds needs no memory."""
    click.echo(f'{{\n  "name": {json.dumps(name, ensure_ascii=False)},\n  "unit": {json.dumps(unit, ensure_ascii=False)},')
    click.echo('  "rows": [', nl=False)
    separator = "\n    "
    for at, value, quality in rows:
        row = {"at": utc_ns(at), "value": None if np.isnan(value) else value, "quality": quality}
        click.echo(separator + json.dumps(row), nl=False)
        separator = ",\n    "
    click.echo("\n  ]\n}")


def open_directory(settings: Settings) -> Directory:
    """The registry's content."""
    from scada.registry.database import open_registry, url_of

    database = open_registry(url_of(settings.registry, settings.data_dir))
    try:
        return Directory(database.load())
    finally:
        database.close()


def of_point(
    settings: Settings, directory: Directory, name: str, start: int, end: int, now: int, known: int | None = None,
    interval_s: int = HOUR_S, validated: bool = False,
) -> tuple[str, list[Row]]:
    """Values of a metering point, hourly or finer; `known` [s]: as they were known then."""
    if interval_s == HOUR_S:
        found = hours_of(settings, directory, name, start, end, now, known, validated)
        first, unit, values, quality = found.first_hour, found.units[0], found.values[0], found.quality[0]
    else:
        from scada.metering.hourly import profile
        from scada.metering.known import hour_known

        first, count = start // interval_s, -(-end // interval_s) - start // interval_s
        finer = profile(
            directory, history_of(settings, directory, name, known), [name], first, count, interval_s,
            hour_known(now // HOUR_S, _ns(known)),
        )
        unit, values, quality = finer.units[0], finer.values[0], finer.quality[0]
    return unit, list(_rows((first + np.arange(len(values))) * interval_s * NS, values, quality))


def hours_of(
    settings: Settings, directory: Directory, name: str, start: int, end: int, now: int, known: int | None = None,
    validated: bool = False,
) -> Consumption:
    """Hours of a metering point that touch [start, end) [s]."""
    from scada.metering.hourly import consumption
    from scada.metering.known import hour_known

    intervals = history_of(settings, directory, name, known)
    first_hour, hours = start // HOUR_S, -(-end // HOUR_S) - start // HOUR_S
    raw = consumption(directory, intervals, [name], first_hour, hours, hour_known(now // HOUR_S, _ns(known)))
    if not validated:
        return raw
    from scada.historian.service import open_reader
    from scada.metering.validated import laid_over

    estimates = open_reader(history_dir(settings)).estimates
    return laid_over(raw, estimates.standing([name], first_hour, hours, _ns(known)))


def history_of(settings: Settings, directory: Directory, name: str, known: int | None = None) -> IntervalHistory:
    """The intervals of a metering point that exists."""
    from scada.historian.service import open_reader
    from scada.metering.known import as_known

    if name not in directory.point:
        raise unknown("metering point", name, directory.point)
    return as_known(open_reader(history_dir(settings)).intervals, _ns(known))


def _ns(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * NS


def in_steps(
    settings: Settings, directory: Directory, name: str, between: tuple[int, int], step: str, how: How, now: int,
    known: int | None = None, validated: bool = False,
) -> tuple[str, Buckets]:
    """A tag or a metering point in steps, and its unit; what is still to come is not missing."""
    from scada.historian.queries import hour_edges, hour_steps, tag_steps

    start, end = between
    over = now if "/" in name else now // HOUR_S * HOUR_S
    until = min(end, over) if start < over else end
    try:
        edges = step_edges(step, start * NS, until * NS, ZoneInfo(settings.site.timezone))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--step") from None
    if "/" in name:
        unit, live = stored_tag(settings, directory, name)
        return unit, tag_steps(live, name, edges, how)
    edges = hour_edges(edges)
    found = hours_of(settings, directory, name, int(edges[0]) // NS, int(edges[-1]) // NS, now, known, validated)
    return found.units[0], hour_steps(found, edges, how)


def of_tag(
    settings: Settings, directory: Directory, name: str, start: int, end: int
) -> tuple[str, Iterator[Row]]:
    """Samples of a live tag, read as they are asked for."""
    from scada.historian.queries import pages

    unit, live = stored_tag(settings, directory, name)
    found = pages(live, name, start * NS, end * NS)
    return unit, (row for page in found for row in _rows(page.at, page.values, page.quality))


def stored_tag(settings: Settings, directory: Directory, name: str) -> tuple[str, LiveReader]:
    """Unit of a tag, and where its samples are."""
    from scada.cli.units import unit_of
    from scada.historian.livefiles import LiveHistory
    from scada.historian.service import open_reader

    live = cast(LiveHistory, open_reader(history_dir(settings)).live)
    known = live.tags()
    if name not in known:
        raise unknown("stored tag", name, known)
    return unit_of(settings, directory, name), live


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name nobody has, with those that come nearest."""
    device, slash, _ = name.partition("/")
    names = sorted(one for one in known if one.startswith(device + slash)) or sorted(known)[:MOST_COMPARED]
    near = get_close_matches(name, names, n=5, cutoff=0.5) or names[:5]
    there = f"near it are {', '.join(near)}" if near else "there are none"
    return ConfigError([Problem("argument", "NAME", f"no {what} {name!r}; {there}")])


def _rows(at: Any, values: Any, quality: Any) -> Iterator[Row]:
    names = {int(one): one.name.lower() for one in Quality}
    return ((int(a), float(v), names[int(q)]) for a, v, q in zip(at, values, quality, strict=True))


def history_dir(settings: Settings) -> Path:
    return settings.path(settings.historian.dir, "history")
