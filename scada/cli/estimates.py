"""`scada historian estimate` and `estimates`: validated hours of a metering point, beside what was delivered."""

from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import click
import numpy as np
from numpy.typing import NDArray

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, parse_time, period, utc_ns
from scada.cli.read import history_dir, history_of, open_directory
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.clock import HOUR_S, NS
from scada.errors import CommandRejected
from scada.estimates import Estimate, Method
from scada.ports import IntervalReader
from scada.settings import load
from scada.site import UNIT_OF_MEDIUM, Directory
from scada.tags import BAD

METHODS: Final = [one.value for one in Method]
MOST_HOURS: Final = 24 * 366


@attrs.frozen(eq=False)
class _Raw:
    """Where the delivered hours of one point are."""

    directory: Directory
    intervals: IntervalReader
    point: str
    hour_now: int

    def hours(self, first: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        from scada.metering.hourly import consumption

        found = consumption(self.directory, self.intervals, [self.point], first, count, self.hour_now)
        return found.values[0], found.quality[0]

    def used(self, first: int, last: int) -> float:
        """What the register says was used between two hours; NaN where it is not known at one of them."""
        from scada.metering.known import registers

        start, end = (float(registers(self.directory, self.intervals, [self.point], hour)[0]) for hour in (first, last))
        return round(end - start, 9) if end >= start else float("nan")


@click.command()
@CONFIG
@click.argument("point")
@click.option("--from", "first", required=True, help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", required=True, help="End, not included.")
@click.option("--method", type=click.Choice(METHODS), required=True, help="Where the values come from.")
@click.option("--value", type=float, help="With `value`: what was used over the whole time, in the point's unit.")
@click.option("--note", default="", help="Why: shown with every hour.")
@AS_JSON
def estimate(
    config: Path, point: str, first: str, last: str, method: str, value: float | None, note: str, as_json: bool
) -> None:
    """
    Enter validated hours of POINT. What was delivered stays as it is: validated values are a series of their own.

    `value` speaks of every hour of the time, `withdrawn` of those that were validated, the other methods of those that are
    missing or not to be used: `spread` shares out what the register says, `typical` is the median of the same hours of the
    eight weeks before, `interpolated` a straight line over at most six hours.
    """
    from scada.historian.estimates import add_estimates
    from scada.historian.service import open_reader

    chosen, settings = Method(method), load(config)
    if (chosen is Method.VALUE) != (value is not None):
        raise click.UsageError("--value belongs to --method value, and to no other")
    if value is not None and not 0 <= value < float("inf"):
        raise click.BadParameter("expected a number that is not negative", param_hint="--value")
    zone, clock = ZoneInfo(settings.site.timezone), make_clock(config, settings)
    begin, end = (parse_time(one, zone) // HOUR_S for one in (first, last))
    if not 0 < end - begin <= MOST_HOURS or end > clock.hour():
        raise click.UsageError(f"expected 1 to {MOST_HOURS:,} hours that are over")
    directory = open_directory(settings)
    raw = _Raw(directory, history_of(settings, directory, point), point, clock.hour())
    hours, values = made(raw, begin, end - begin, chosen, value)
    if chosen is Method.WITHDRAWN:
        standing = open_reader(history_dir(settings)).estimates.standing([point], begin, end - begin)
        hours = np.array(sorted(one.hour for one in standing), dtype=np.int64)
        values = np.full(len(hours), np.nan)
    if not len(hours):
        raise CommandRejected([f"{point}: {NOTHING[chosen]}"])
    who, at = person(), clock.now()
    entered = [
        Estimate(point, hour, one, chosen, who.name, at, note)
        for hour, one in zip(hours.tolist(), values.tolist(), strict=True)
    ]
    with registry_of(config) as database:
        database.audit.append_now(
            who, "estimate.enter", point, method=method, first_hour=begin, last_hour=end, hours=len(entered), note=note
        )
    add_estimates(history_dir(settings), entered)
    total = None if chosen is Method.WITHDRAWN else float(values.sum())
    if as_json:
        print_json({"point": point, "method": method, "hours": len(entered), "sum": total})
    else:
        unit = UNIT_OF_MEDIUM[directory.point[point].medium]
        click.echo(f"{point}: {len(entered)} hours {method}" + ("" if total is None else f", {total:,.3f} {unit} together"))


NOTHING: Final = {
    Method.VALUE: "there is no hour", Method.WITHDRAWN: "nothing validated stands there",
    Method.INTERPOLATED: "no hour is missing there, or no gap is short enough for a straight line",
    Method.TYPICAL: "no hour is missing there, or the weeks before do not tell",
    Method.SPREAD: "no hour is missing there, or the register is not known on both sides",
}


def made(
    raw: _Raw, first: int, count: int, method: Method, value: float | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(k,) hours and their values by a method."""
    from scada.metering.validated import LONGEST_LINE_H, WEEK_H, WEEKS, interpolated, spread, typical

    values, quality = raw.hours(first, count)
    hours = first + np.arange(count, dtype=np.int64)
    lacking = ~(np.isfinite(values) & (quality < BAD))
    if method is Method.INTERPOLATED:
        beside = LONGEST_LINE_H + 1
        found = interpolated(*raw.hours(first - beside, count + 2 * beside))[beside:-beside]
    else:
        found = typical(*raw.hours(first - WEEKS * WEEK_H, WEEKS * WEEK_H + count), count)
    if method is Method.VALUE:
        return hours, spread(value or 0.0, found)
    if method is Method.SPREAD:
        for start, stop in _runs(lacking):
            total = raw.used(first + start, first + stop)
            found[start:stop] = spread(total, found[start:stop])
    good = lacking & np.isfinite(found)
    return hours[good], found[good]


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, stop) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@click.command()
@CONFIG
@click.argument("point")
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", help="End, not included.")
@AS_JSON
def estimates(config: Path, point: str, first: str | None, last: str | None, as_json: bool) -> None:
    """List what was ever entered of validated hours of POINT, in the order it was entered: the last of an hour stands."""
    from scada.historian.service import open_reader

    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    start, end = period(first, last, zone, make_clock(config, settings).seconds())
    directory = open_directory(settings)
    history_of(settings, directory, point)
    begin = start // HOUR_S
    found = open_reader(history_dir(settings)).estimates.history(point, begin, -(-end // HOUR_S) - begin)
    unit = UNIT_OF_MEDIUM[directory.point[point].medium]
    if as_json:
        print_json({"point": point, "unit": unit, "estimates": [
            {"hour": utc_ns(one.hour * HOUR_S * NS), "value": None if np.isnan(one.value) else one.value,
             "method": one.method.value, "by": one.by, "at": utc_ns(one.at), "note": one.note}
            for one in found
        ]})
        return
    print_table(
        f"{point} [{unit}]", ("hour", "value", "method", "by", "entered", "note"),
        [
            (local_ns(one.hour * HOUR_S * NS, zone), "" if np.isnan(one.value) else f"{one.value:,.3f}", one.method.value,
             one.by, local_ns(one.at, zone), one.note)
            for one in found
        ],
        numbers=(1,),
    )
