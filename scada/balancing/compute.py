"""Hours and days of groups, computed anew from what is stored, many groups at once. Blocking; runs in a worker thread."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing import register_feed
from scada.balancing.counting import METER_ACCURACY, accuracy_of, own_consumption, registers_over, running
from scada.balancing.days import day_bounds
from scada.balancing.hourly import (
    ESTIMATE_ERROR,
    FIELDS,
    Members,
    balance,
    is_doubtful,
    is_estimated,
    members_over,
    together,
)
from scada.balancing.register import Feed
from scada.balancing.register_feed import Found, Registers
from scada.balancing.roster import Columns, Roster, accuracy_in, active_in, pulse, shared, signs
from scada.balancing.versions import versioned
from scada.clock import DAY_H, HOUR_S
from scada.ports import BALANCE_COLUMNS, LiveReader, Metering, ResultRows, ResultStore, ResultTable
from scada.site import BalanceGroup, Directory
from scada.tags import BAD, Device, Quality

KIND: Final = "balance"
DAY_S: Final = DAY_H * HOUR_S           # site days are stored under this span, whatever their length
SERIES: Final = 2**40                   # s, more than any start: keys of rows are series x this + start


TechnicalOf = Callable[[str, int, int], NDArray[np.float64]]     # (group, first hour, hours) -> (hours,) [kWh]


def no_losses(group: str, first: int, count: int) -> NDArray[np.float64]:
    """Technical losses of a network that nobody computes: not known, hour by hour."""
    return np.full(count, np.nan)


@attrs.define(eq=False)
class Stores:
    """What a computation reads from: histories, the devices of the bus; and the site's zone."""

    metering: Metering
    live: LiveReader
    results: ResultStore
    devices: Callable[[], Mapping[str, Device]]
    zone: ZoneInfo
    technical: TechnicalOf = no_losses
    registers: Registers = attrs.field(init=False)
    _roster: Roster | None = attrs.field(init=False, default=None)

    @registers.default
    def _same_places(self) -> Registers:
        return Registers(self.live, self.results, self.devices)

    def columns(self, directory: Directory, groups: Sequence[BalanceGroup]) -> list[Columns]:
        """Who counts in them; what was worked out for one content of the registry is kept."""
        if self._roster is None or not self._roster.fits(directory):
            self._roster = Roster(directory)
        return [self._roster.of(group) for group in groups]


@attrs.frozen(eq=False)
class Outcome:
    """What a computation found of g groups: rows that are news, and each one's newest whole hour for the bus."""

    groups: tuple[str, ...]
    rows: tuple[tuple[int, ResultRows], ...]               # (span, rows)
    edges: tuple[Found, ...]
    whole: ResultTable                                     # (g,) the newest hour that is measured whole; start -1: none
    latest_completeness: NDArray[np.float64]               # (g,) of the newest closed hour; NaN if none


def compute(
    stores: Stores, directory: Directory, groups: Sequence[BalanceGroup], hours: NDArray[np.int64], hour_now: int
) -> Outcome:
    """
    Compute the balances of groups of all site days that hold `hours`.

    Parameters
    ----------
    stores : Stores
        Where quantities, register readings and former results come from.
    directory : Directory
        The registry.
    groups : sequence of BalanceGroup
        The groups, each once.
    hours : ndarray of int64, shape (k,)
        Hours in which something changed, ascending. [h since 1970]
    hour_now : int
        The hour that is running: hours before it are closed. [h since 1970]
    """
    names = tuple(group.name for group in groups)
    rows: list[tuple[int, ResultRows]] = []
    found: list[Found] = []
    whole = ResultTable(
        np.full(len(groups), -1, dtype=np.int64), {name: np.full(len(groups), np.nan) for name in BALANCE_COLUMNS[:-1]}
    )
    completeness = np.full(len(groups), np.nan)
    runs = np.split(hours, np.flatnonzero(np.diff(hours) > DAY_H) + 1) if len(hours) else []
    for run in runs:
        bounds = day_bounds(stores.zone, int(run[0]), int(run[-1]))
        first, count = int(bounds[0]), int(bounds[-1] - bounds[0])
        closed = min(max(hour_now - first, 0), count)
        by_hour, by_day, edges = _balances(stores, directory, groups, first, bounds - first, hour_now)
        found += edges

        columns = {name: column[:, :closed] for name, column in by_hour.items()}
        start = (first + np.arange(closed, dtype=np.int64)) * HOUR_S
        rows.append((HOUR_S, _news(stores, names, HOUR_S, start, columns)))
        if closed:
            completeness = columns["completeness"][:, -1]
            complete = ~np.isnan(columns["imbalance"]) & (columns["estimated"] == 0)
            row = np.flatnonzero(complete.any(axis=1))
            last = closed - 1 - np.argmax(complete[row, ::-1], axis=1)
            whole.start[row] = start[last]
            for name, column in columns.items():
                whole.columns[name][row] = column[row, last]

        begun = bounds[:-1] < hour_now
        daily = {name: column[:, begun] for name, column in by_day.items()}
        rows.append((DAY_S, _news(stores, names, DAY_S, bounds[:-1][begun] * HOUR_S, daily)))
    kept = tuple((span, table) for span, table in rows if len(table.which))
    return Outcome(names, kept, tuple(found), whole, completeness)


Balances: TypeAlias = dict[str, NDArray[np.float64]]        # (g, k) of each column
FeedOf: TypeAlias = Callable[[str], tuple[Feed, Feed, list[Found]]]     # of a register: by hour, by day, edges looked up


def _balances(
    stores: Stores, directory: Directory, groups: Sequence[BalanceGroup], first: int, days: NDArray[np.int64], hour_now: int
) -> tuple[Balances, Balances, list[Found]]:
    """By hour and by day, and edges that had to be looked up."""
    count = int(days[-1])
    cuts = np.arange(count + 1, dtype=np.int64), days
    of = stores.columns(directory, groups)
    tags = dict.fromkeys(group.feed_tag for group in groups if group.feed_tag)
    tags.update(dict.fromkeys(part.key[1] for one in of for part in one.registers))
    stored = register_feed.stored_edges(stores.registers, tuple(tags), first, count + 1)
    feed_of = partial(
        register_feed.register_feed, stores.registers, directory, first=first, days=days, hour_now=hour_now, stored=stored
    )
    members, edges = _members(stores, of, first, days, feed_of)
    feeds, error, looked_up = _feeds(stores, directory, groups, first, days, feed_of)
    own, lost = np.zeros((len(groups), count)), np.empty((len(groups), count))
    for row, (group, columns) in enumerate(zip(groups, of, strict=True)):
        lost[row] = stores.technical(group.name, first, count)
        if columns.own:
            own[row] = own_consumption(directory, columns.whole, first, count)
    by_hour, by_day = (
        balance(feed, taken, worst(error, cut), _summed(lost, cut), _summed(own, cut))
        for feed, taken, cut in zip(feeds, members, cuts, strict=True)
    )
    return by_hour, by_day, [*edges, *looked_up]


def _members(
    stores: Stores, of: Sequence[Columns], first: int, days: NDArray[np.int64], feed_of: FeedOf
) -> tuple[tuple[Members, Members], list[Found]]:
    """Sums by hour and by day, (g, k); a member the registry does not know is expected and never present."""
    count = int(days[-1])
    cuts = np.arange(count + 1, dtype=np.int64), days
    start = np.concatenate(([0], np.cumsum([len(one.points) for one in of]))).astype(np.int64)
    names = [point for one in of for point in one.points]
    known = np.concatenate([one.known for one in of])
    if known.all() and names:
        taken = stores.metering.hourly(names, first, count, validated=True)
        values, quality = taken.values, taken.quality
    else:
        values = np.full((len(names), count), np.nan)
        quality = np.full((len(names), count), Quality.BAD_CONFIG, dtype=np.uint8)
        if known.any():
            asked = [names[row] for row in np.flatnonzero(known).tolist()]
            some = stores.metering.hourly(asked, first, count, validated=True)
            values[known], quality[known] = some.values, some.quality
    accuracy, active = accuracy_in(of, start, first, count), active_in(of, start, first, count)
    resolution, sign = np.concatenate([one.resolution for one in of]), np.concatenate([one.sign for one in of])
    common = np.concatenate([one.shared for one in of])
    by_hour, by_day = (
        members_over(values, quality, cut, accuracy, resolution, active, sign, common, start) for cut in cuts
    )
    edges: list[Found] = []
    for row, one in enumerate(of):
        if one.registers:
            more, looked_up = _registers(one, first, days, feed_of)
            _enter(by_hour, row, together(by_hour.of(row), more[0]))
            _enter(by_day, row, together(by_day.of(row), more[1]))
            edges += looked_up
    return (by_hour, by_day), edges


def _enter(members: Members, row: int, one: Members) -> None:
    """What is known better of one of several groups."""
    for name in FIELDS:
        getattr(members, name)[row] = getattr(one, name)


def _registers(
    of: Columns, first: int, days: NDArray[np.int64], feed_of: FeedOf
) -> tuple[tuple[Members, Members], list[Found]]:
    """What the child feeds that are registers add to a group, by hour and by day."""
    count = int(days[-1])
    cuts = np.arange(count + 1, dtype=np.int64), days
    feeds = [feed_of(part.key[1]) for part in of.registers]
    hourly, daily = (
        Feed(np.stack([one.energy for one in those]), np.stack([one.doubt for one in those]))
        for those in ([one[0] for one in feeds], [one[1] for one in feeds])
    )
    spans = [(row, *span) for row, part in enumerate(of.registers) for span in part.counting]
    active = running(spans, len(of.registers), first, count) > 0
    sign, common = signs(of.registers), shared(of.registers)
    by_hour, by_day = (
        registers_over(hourly, entire, active, sign, common, cut) for entire, cut in zip((hourly, daily), cuts, strict=True)
    )
    return (by_hour, by_day), [edge for one in feeds for edge in one[2]]


def _feeds(
    stores: Stores, directory: Directory, groups: Sequence[BalanceGroup], first: int, days: NDArray[np.int64],
    feed_of: FeedOf,
) -> tuple[tuple[Feed, Feed], NDArray[np.float64], list[Found]]:
    """The feeds by hour and by day, the limits of error of their meters by hour, and edges that had to be looked up."""
    count = int(days[-1])
    error = np.full((len(groups), count), METER_ACCURACY)
    shares = [np.zeros((2, len(groups), k)) for k in (count, len(days) - 1)]    # that are estimates, that are doubtful
    hourly, daily = (Feed(np.full(one.shape[1:], np.nan), np.full(one.shape[1:], np.nan), *one) for one in shares)
    edges: list[Found] = []
    points = [row for row, group in enumerate(groups) if group.feed_point and group.feed_point in directory.point]
    metered = set(points)
    for row, group in enumerate(groups):
        if row not in metered and group.feed_tag:
            one, day, looked_up = feed_of(group.feed_tag)
            hourly.energy[row], hourly.doubt[row], daily.energy[row], daily.doubt[row] = (
                one.energy, one.doubt, day.energy, day.doubt
            )
            edges += looked_up
    if points:
        names = [groups[row].feed_point for row in points]
        taken = stores.metering.hourly(names, first, count, validated=True)
        energy = np.where(taken.quality < BAD, taken.values, np.nan)
        guessed = is_estimated(taken.quality)
        resolution = np.array([pulse(directory, name) for name in names])[:, None]
        widened = np.where(guessed, ESTIMATE_ERROR * np.abs(energy), 0.0)
        hourly.energy[points], hourly.doubt[points] = energy, resolution + widened
        daily.energy[points] = _summed(energy, days)        # an hour that is missing makes its day NaN
        daily.doubt[points] = resolution + _summed(widened, days)
        for n, some in enumerate((guessed, is_doubtful(taken.quality))):
            shares[0][n, points] = some
            shares[1][n, points] = _summed(some.astype(np.float64), days) / np.diff(days)
        error[points] = accuracy_of(directory, names, first, count)
    return (hourly, daily), error, edges


def _summed(hours: NDArray[np.float64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """(g, k) sums over adjoining intervals."""
    return np.asarray(np.add.reduceat(hours, bounds[:-1], axis=1))


def worst(error: NDArray[np.float64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """(g, k) the coarsest meter of each interval, where it was exchanged inside it."""
    return np.asarray(np.maximum.reduceat(error, bounds[:-1], axis=1))


def _news(
    stores: Stores, names: tuple[str, ...], span: int, start: NDArray[np.int64], columns: Balances
) -> ResultRows:
    """Rows of all groups that differ from what is stored."""
    first, last = (int(start[0]), int(start[-1]) + span) if len(start) else (0, 0)
    stored = stores.results.get_many(KIND, names, span, first, last)
    keys = (np.arange(len(names))[:, None] * SERIES + start).ravel()
    before = ResultTable(stored.which * SERIES + stored.table.start, stored.table.columns)
    table = versioned(keys, {name: column.ravel() for name, column in columns.items()}, before)
    return ResultRows(names, table.start // SERIES, ResultTable(table.start % SERIES, table.columns))
