"""`scada read`: the history of a metering point or a tag, straight from the store, also while the server runs."""

import csv
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import attrs
import click
import numpy as np

from scada.cli.output import one_of, print_table
from scada.cli.periods import local, local_ns, parse_time, period, utc_ns
from scada.cli.read_steps import MOST_SHOWN, show
from scada.cli.run import make_clock
from scada.clock import HOUR_S, NS
from scada.errors import ConfigError, Problem
from scada.ports import Consumption, Estimates, IntervalHistory, IntervalReader, LiveReader
from scada.series import Buckets, How, step_edges
from scada.settings import Settings, load
from scada.site import Directory
from scada.tags import Quality

EMBEDDED: Final = "embedded"
MOST_COMPARED: Final = 5000             # names held against a misspelt one
INTERVALS: Final = {"15min": 900, "30min": 1800}
Row = tuple[int, float, str]            # ns since 1970, value, quality


@attrs.frozen
class Source:
    """Where history is read from."""

    intervals: IntervalReader
    live: LiveReader
    tags: Callable[[], tuple[str, ...]] | None = None           # every tag that it has; None where that would take long
    history: IntervalHistory | None = None                      # as it was known before; the embedded store alone
    estimates: Estimates | None = None                          # likewise


@attrs.frozen
class Wanted:
    """How a metering point is to be read."""

    known: int | None = None                                    # as it was known then [s]; None: now
    interval_s: int = HOUR_S
    validated: bool = False

    @property
    def known_ns(self) -> int | None:
        return _ns(self.known)


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
@click.option("--place", default=EMBEDDED, show_default=True, help="Where from: a name of `scada historian backends`.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, times in UTC.")
def read(
    config: Path, name: str, first: str | None, last: str | None, step: str | None, how: str | None,
    interval: str | None, as_of: str | None, validated: bool, place: str, as_json: bool, as_csv: bool,
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
    wanted = Wanted(
        parse_time(as_of, zone) if as_of else None, INTERVALS[interval] if interval else HOUR_S, validated,
    )
    directory, source = open_directory(settings), opened(settings, place)
    if step:
        kind = How(how or (How.MEAN if "/" in name else How.SUM))
        unit, steps = in_steps(settings, directory, source, name, (start, end), step, kind, now, wanted)
        show(name, unit, steps, step, kind, zone, as_json=as_json, as_csv=as_csv)
        return
    rows: Iterable[Row]
    if "/" in name:
        unit, rows = of_tag(settings, directory, source, name, start, end)
    else:
        unit, rows = of_point(directory, source, name, start, end, now, wanted)
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
    directory: Directory, source: Source, name: str, start: int, end: int, now: int, wanted: Wanted,
) -> tuple[str, list[Row]]:
    """Values of a metering point, hourly or finer."""
    if wanted.interval_s == HOUR_S:
        found = hours_of(directory, source, name, start, end, now, wanted)
        first, unit, values, quality = found.first_hour, found.units[0], found.values[0], found.quality[0]
    else:
        from scada.metering.hourly import profile
        from scada.metering.known import as_known, hour_known

        length = wanted.interval_s
        first, count = start // length, -(-end // length) - start // length
        history = as_known(_history(source), wanted.known_ns)
        finer = profile(
            _known(directory, name), history, [name], first, count, length, hour_known(now // HOUR_S, wanted.known_ns)
        )
        unit, values, quality = finer.units[0], finer.values[0], finer.quality[0]
    return unit, list(_rows((first + np.arange(len(values))) * wanted.interval_s * NS, values, quality))


def hours_of(
    directory: Directory, source: Source, name: str, start: int, end: int, now: int, wanted: Wanted
) -> Consumption:
    """Hours of a metering point that touch [start, end) [s]."""
    from scada.metering.hourly import consumption
    from scada.metering.known import as_known, hour_known
    from scada.metering.validated import laid_over

    intervals = source.intervals if wanted.known is None else as_known(_history(source), wanted.known_ns)
    first_hour, hours = start // HOUR_S, -(-end // HOUR_S) - start // HOUR_S
    hour_now = hour_known(now // HOUR_S, wanted.known_ns)
    raw = consumption(_known(directory, name), intervals, [name], first_hour, hours, hour_now)
    if not wanted.validated:
        return raw
    if source.estimates is None:
        raise _embedded_only()
    return laid_over(raw, source.estimates.standing([name], first_hour, hours, wanted.known_ns))


def history_of(settings: Settings, directory: Directory, name: str) -> IntervalHistory:
    """The intervals of a metering point that exists."""
    from scada.historian.service import open_reader

    _known(directory, name)
    return open_reader(history_dir(settings)).intervals


def _known(directory: Directory, name: str) -> Directory:
    """The directory, if it knows the metering point."""
    if name not in directory.point:
        raise unknown("metering point", name, directory.point)
    return directory


def _history(source: Source) -> IntervalHistory:
    if source.history is None:
        raise _embedded_only()
    return source.history


def _embedded_only() -> click.UsageError:
    return click.UsageError(f"--as-of, --interval and --validated are known to the place {EMBEDDED!r} alone")


def _ns(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * NS


def in_steps(
    settings: Settings, directory: Directory, source: Source, name: str, between: tuple[int, int], step: str, how: How,
    now: int, wanted: Wanted,
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
        unit, live = stored_tag(settings, directory, source, name)
        try:
            return unit, tag_steps(live, name, edges, how)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--how") from None
    edges = hour_edges(edges)
    found = hours_of(directory, source, name, int(edges[0]) // NS, int(edges[-1]) // NS, now, wanted)
    return found.units[0], hour_steps(found, edges, how)


def of_tag(
    settings: Settings, directory: Directory, source: Source, name: str, start: int, end: int
) -> tuple[str, Iterator[Row]]:
    """Samples of a live tag, read as they are asked for."""
    from scada.historian.queries import pages

    unit, live = stored_tag(settings, directory, source, name)
    found = pages(live, name, start * NS, end * NS)
    return unit, (row for page in found for row in _rows(page.at, page.values, page.quality))


def stored_tag(settings: Settings, directory: Directory, source: Source, name: str) -> tuple[str, LiveReader]:
    """Unit of a tag, and where its samples are."""
    from scada.cli.units import unit_of

    if source.tags is not None and name not in (known := source.tags()):
        raise unknown("stored tag", name, known)
    return unit_of(settings, directory, name), source.live


def opened(settings: Settings, place: str) -> Source:
    """The embedded store, or another backend that is configured."""
    from scada.historian.backends import configured
    from scada.historian.by_channel import ChannelReader, TagReader
    from scada.historian.livefiles import LiveHistory
    from scada.historian.service import open_reader

    every = {one.name: one for one in configured(settings.historian, settings.data_dir)}
    if place not in every:
        raise ConfigError([Problem("argument", "--place", f"no place {place!r}; expected one of {', '.join(every)}")])
    if every[place].kind != EMBEDDED:
        history = every[place].open()
        return Source(ChannelReader(history), TagReader(history))
    reader = open_reader(history_dir(settings))
    tags = cast(LiveHistory, reader.live).tags
    return Source(reader.intervals, reader.live, tags, reader.intervals, reader.estimates)


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
