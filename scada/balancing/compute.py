"""One group's hours and days, computed anew from what is stored. Blocking; runs in a worker thread."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing import edges as register_edges
from scada.balancing.counting import METER_ACCURACY, accuracy_of, active_in, own_consumption, registers_over
from scada.balancing.days import day_bounds
from scada.balancing.hourly import ESTIMATE_ERROR, Members, balance, is_estimated, members_over, together
from scada.balancing.rates import rates_of
from scada.balancing.register import Edges, Feed, Rates, broken, feed_between
from scada.balancing.versions import versioned
from scada.clock import DAY_H, HOUR_S
from scada.ports import LiveReader, Metering, ResultStore, ResultTable
from scada.site import BalanceGroup, Directory, MemberRole
from scada.site_groups import Part, sum_of
from scada.tags import BAD, Device, Quality

KIND: Final = "balance"
DAY_S: Final = DAY_H * HOUR_S           # site days are stored under this span, whatever their length
MOST_IN_VAIN: Final = 10_000


TechnicalOf = Callable[[str, int, int], NDArray[np.float64]]     # (group, first hour, hours) -> (hours,) [kWh]


def no_losses(group: str, first: int, count: int) -> NDArray[np.float64]:
    """Technical losses of a network that nobody computes: not known, hour by hour."""
    return np.full(count, np.nan)


@attrs.frozen(eq=False)
class Stores:
    """What a computation reads from: histories, the devices of the bus; and the site's zone."""

    metering: Metering
    live: LiveReader
    results: ResultStore
    devices: Callable[[], Mapping[str, Device]]
    zone: ZoneInfo
    technical: TechnicalOf = no_losses
    in_vain: dict[str, set[int]] = attrs.field(factory=dict)   # edges their tag's history does not know, by tag


@attrs.frozen(eq=False)
class Outcome:
    """What a computation found: rows that are news, and the newest whole hour for the bus."""

    group: str
    rows: tuple[tuple[int, ResultTable], ...]              # (span, rows)
    edges: tuple[tuple[str, ResultTable], ...]             # (tag, readings found in history)
    whole: ResultTable                                     # at most one row: the newest hour that is measured whole
    latest_completeness: float                             # of the newest closed hour; NaN if none


def compute(
    stores: Stores, directory: Directory, group: BalanceGroup, hours: NDArray[np.int64], hour_now: int
) -> Outcome:
    """
    Compute a group's balance of all site days that hold `hours`.

    Parameters
    ----------
    stores : Stores
        Where quantities, register readings and former results come from.
    directory : Directory
        The registry.
    group : BalanceGroup
        The group.
    hours : ndarray of int64, shape (k,)
        Hours in which something changed, ascending. [h since 1970]
    hour_now : int
        The hour that is running: hours before it are closed. [h since 1970]
    """
    rows: list[tuple[int, ResultTable]] = []
    found: list[tuple[str, ResultTable]] = []
    whole = ResultTable(np.empty(0, dtype=np.int64), {})
    completeness = float("nan")
    runs = np.split(hours, np.flatnonzero(np.diff(hours) > DAY_H) + 1) if len(hours) else []
    for run in runs:
        bounds = day_bounds(stores.zone, int(run[0]), int(run[-1]))
        first, count = int(bounds[0]), int(bounds[-1] - bounds[0])
        closed = min(max(hour_now - first, 0), count)
        hourly_bounds = np.arange(count + 1, dtype=np.int64)
        cuts = (hourly_bounds, bounds - first)
        members, edges = _members(stores, directory, group, first, bounds - first, hour_now)
        feeds, error, looked_up = _feed(stores, directory, group, first, bounds - first, hour_now)
        found.extend((*edges, *looked_up))
        own = own_consumption(directory, sum_of(directory, group), first, count)
        lost = stores.technical(group.name, first, count)
        by_hour, by_day = (
            balance(feed, taken, worst(error, cut), np.add.reduceat(lost, cut[:-1]), np.add.reduceat(own, cut[:-1]))
            for feed, taken, cut in zip(feeds, members, cuts, strict=True)
        )

        columns = {name: column[:closed] for name, column in by_hour.items()}
        start = (first + np.arange(closed, dtype=np.int64)) * HOUR_S
        rows.append((HOUR_S, _news(stores, group, HOUR_S, start, columns)))
        if closed:
            completeness = float(columns["completeness"][-1])
            if len(complete := np.flatnonzero(~np.isnan(columns["imbalance"]) & (columns["estimated"] == 0))):
                last = complete[-1:]
                whole = ResultTable(start[last], {name: column[last] for name, column in columns.items()})

        begun = bounds[:-1] < hour_now
        daily = {name: column[begun] for name, column in by_day.items()}
        rows.append((DAY_S, _news(stores, group, DAY_S, bounds[:-1][begun] * HOUR_S, daily)))
    kept = tuple((span, table) for span, table in rows if len(table.start))
    return Outcome(group.name, kept, tuple(found), whole, completeness)


def _members(
    stores: Stores, directory: Directory, group: BalanceGroup, first: int, days: NDArray[np.int64], hour_now: int
) -> tuple[tuple[Members, Members], list[tuple[str, ResultTable]]]:
    """Sums by hour and by day; a member the registry does not know is expected and never present."""
    count = int(days[-1])
    cuts = np.arange(count + 1, dtype=np.int64), days
    parts = [part for part in sum_of(directory, group).parts if part.counting]
    points = [part for part in parts if part.point]
    names = [part.point for part in points]
    known = [index for index, name in enumerate(names) if name in directory.point]
    values = np.full((len(names), count), np.nan)
    quality = np.full((len(names), count), Quality.BAD_CONFIG, dtype=np.uint8)
    if known:
        taken = stores.metering.hourly([names[index] for index in known], first, count, validated=True)
        values[known], quality[known] = taken.values, taken.quality
    resolution = np.array([_pulse(directory, name) for name in names])
    accuracy = accuracy_of(directory, names, first, count)
    active, sign, shared = active_in(points, first, count), _signs(points), _shared(points)
    by_hour, by_day = (
        members_over(values, quality, cut, accuracy, resolution, active, sign, shared) for cut in cuts
    )
    registers = [part for part in parts if not part.point]
    if not registers:
        return (by_hour, by_day), []
    feeds = [_register(stores, directory, part.key[1], first, days, hour_now) for part in registers]
    hourly, daily = (
        Feed(np.stack([one.energy for one in those]), np.stack([one.doubt for one in those]))
        for those in ([one[0] for one in feeds], [one[1] for one in feeds])
    )
    active = active_in(registers, first, count)
    always = np.ones((len(registers), count), dtype=np.bool_) if active is None else active
    sign, shared = _signs(registers), _shared(registers)
    of_hour, of_day = (
        registers_over(hourly, entire, always, sign, shared, cut) for entire, cut in zip((hourly, daily), cuts, strict=True)
    )
    return (together(by_hour, of_hour), together(by_day, of_day)), [edge for one in feeds for edge in one[2]]


def _signs(parts: Sequence[Part]) -> NDArray[np.int64]:
    return np.array([part.sign for part in parts], dtype=np.int64)


def _shared(parts: Sequence[Part]) -> NDArray[np.bool_]:
    return np.array([part.role is MemberRole.COMMON for part in parts], dtype=np.bool_)


def _feed(
    stores: Stores, directory: Directory, group: BalanceGroup, first: int, days: NDArray[np.int64], hour_now: int
) -> tuple[tuple[Feed, Feed], NDArray[np.float64], list[tuple[str, ResultTable]]]:
    """The feed by hour and by day, the limit of error of its meter by hour, and edges that had to be looked up."""
    count = int(days[-1])
    error = np.full(count, METER_ACCURACY)
    if group.feed_point and group.feed_point in directory.point:
        taken = stores.metering.hourly([group.feed_point], first, count, validated=True)
        energy = np.where(taken.quality[0] < BAD, taken.values[0], np.nan)
        guessed = is_estimated(taken.quality[0])
        pulse = _pulse(directory, group.feed_point)
        doubt = pulse + np.where(guessed, ESTIMATE_ERROR * np.abs(energy), 0.0)
        daily = np.add.reduceat(energy, days[:-1])         # an hour that is missing makes its day NaN
        widened = pulse + np.add.reduceat(doubt - pulse, days[:-1])
        error[:] = accuracy_of(directory, [group.feed_point], first, count)
        share = np.add.reduceat(guessed.astype(np.float64), days[:-1]) / np.diff(days)
        return (Feed(energy, doubt, guessed.astype(np.float64)), Feed(daily, widened, share)), error, []
    by_hour, by_day, looked_up = _register(stores, directory, group.feed_tag, first, days, hour_now)
    return (by_hour, by_day), error, looked_up


def worst(error: NDArray[np.float64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k,) the coarsest meter of each interval, where it was exchanged inside it."""
    return np.asarray(np.maximum.reduceat(error, bounds[:-1]))


def _register(
    stores: Stores, directory: Directory, tag: str, first: int, days: NDArray[np.int64], hour_now: int
) -> tuple[Feed, Feed, list[tuple[str, ResultTable]]]:
    """What a register brought by hour and by day, and edges that had to be looked up."""
    count = int(days[-1])
    rates = rates_of(directory, stores.devices(), tag)
    edges, looked_up = _edges(stores, tag, first, count + 1, hour_now, rates)
    start, end = Edges(edges.reading[:-1], edges.doubt[:-1]), Edges(edges.reading[1:], edges.doubt[1:])
    midnight = Edges(edges.reading[days], edges.doubt[days])
    day_start = Edges(midnight.reading[:-1], midnight.doubt[:-1])
    day_end = Edges(midnight.reading[1:], midnight.doubt[1:])
    by_hour = feed_between(start, end, np.ones(count, dtype=np.int64), rates)
    by_day = feed_between(day_start, day_end, np.diff(days), rates)
    by_day.energy[broken(edges, days, rates)] = np.nan     # a day in which the register began anew has no feed
    return by_hour, by_day, looked_up


def _edges(
    stores: Stores, tag: str, first: int, count: int, hour_now: int, rates: Rates
) -> tuple[Edges, list[tuple[str, ResultTable]]]:
    """The register at full hours: as stored, else as its history tells; all NaN for a group without a feed."""
    if not tag:
        return Edges(np.full(count, np.nan), np.full(count, np.nan)), []
    stored = stores.results.get(register_edges.KIND, tag, HOUR_S, first * HOUR_S, (first + count) * HOUR_S)
    edges = register_edges.filled(stored, first, count)
    hours = first + np.flatnonzero(np.isnan(edges.reading))
    hours = _not_in_vain(stores, tag, hours[hours < hour_now])
    hours, found = register_edges.search(stores.live, tag, hours, rates)
    stores.in_vain[tag].difference_update(hours.tolist())
    if not len(hours):
        return edges, []
    edges.reading[hours - first], edges.doubt[hours - first] = found.reading, found.doubt
    return edges, [(tag, register_edges.as_table(hours, found))]


def _not_in_vain(stores: Stores, tag: str, hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges worth a search: history is looked through once for each; readings that come later tell of themselves."""
    known = stores.in_vain.setdefault(tag, set())
    if len(known) > MOST_IN_VAIN:
        known.clear()
    worth = [hour for hour in hours.tolist() if hour not in known]
    known.update(worth)
    return np.array(worth, dtype=np.int64)


def _news(
    stores: Stores, group: BalanceGroup, span: int, start: NDArray[np.int64], columns: dict[str, NDArray[np.float64]]
) -> ResultTable:
    first, last = (int(start[0]), int(start[-1]) + span) if len(start) else (0, 0)
    return versioned(start, columns, stores.results.get(KIND, group.name, span, first, last))


def _pulse(directory: Directory, point: str) -> float:
    """The coarsest pulse of the meters a point ever had. [kWh or m³]"""
    periods = directory.meters_of_point.get(point, ())
    return max((1.0 / period.pulses_per_unit for period in periods), default=0.0)
