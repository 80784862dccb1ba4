"""What examinations of balance groups are made of: reads hours, feeds and events, a batch of groups at a time. Blocking.

`inquiries` runs where the stores are, `answers.examined` wherever there is a processor to spare.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.counted import Counted, counted, net_feed
from scada.balancing.days import day_bounds
from scada.balancing.suspects.columns import DAY_H, batches
from scada.clock import HOUR_S, NS
from scada.event_devices import devices_of
from scada.events import Stream
from scada.ports import Consumption, EventHistory, EventsWanted, ResultTable, measured
from scada.site import BalanceGroup, Directory, Medium
from scada.site_groups import Part, sum_of
from scada.tags import BAD

DAYS: Final = 20                        # what the figures are of
BUDGET: Final = 1_000_000               # member-hours of one batch, some 100 MB while it is examined
MAGNET, COVER = "magnet", "cover_open"  # events that bear on a verdict
EVENTS_PAGE, MOST_EVENTS = 1_000, 50_000
KNOWN_LOSS: Final = 0.8                 # of the hours with a feed: with fewer computed losses they are not subtracted
_CHANNEL: Final = re.compile(r"\.ch\d+$")


@attrs.frozen(eq=False)
class Sources:
    """Where an examination reads: all of it blocks."""

    hourly: Callable[[Sequence[str], int, int], Consumption]            # points, first hour, hours
    balances: Callable[[str, int, int, int], ResultTable]               # group, span [s], first, last [s]
    events: EventHistory


@attrs.frozen
class Period:
    """Whole days of 24 hours; where clocks change meanwhile, those before the change begin an hour beside midnight."""

    first: int                          # [h since 1970]
    days: int
    first_day: date

    @property
    def hours(self) -> int:
        return self.days * DAY_H

    @property
    def weekend(self) -> NDArray[np.int64]:
        """1 for Saturdays and Sundays, (d,)."""
        return np.array([(self.first_day.weekday() + n) % 7 >= 5 for n in range(self.days)], dtype=np.int64)


@attrs.frozen(eq=False)
class Inquiry:
    """One batch of groups of one length: everything that `answers.examined` needs, and nothing that cannot be sent."""

    period: Period
    groups: tuple[str, ...]
    media: tuple[Medium, ...]
    members: tuple[tuple[str, ...], ...]
    feed: tuple[NDArray[np.float64], ...]               # (h,) each; what the members that are examined are fed with
    taken: tuple[NDArray[np.float64], ...]              # (n_i, h) each; NaN where bad or missing
    resolution: NDArray[np.float64]                     # (g, n)
    magnets: NDArray[np.bool_]                          # (g, n, d)
    covers: NDArray[np.bool_]                           # (g, n, d)
    technical: tuple[NDArray[np.float64], ...] = ()     # (h,) each: losses by power flow, 0 where nobody computes them
    normal: tuple[float, ...] = ()                      # loss that is normal in each [1]; () = not to be judged


def period_before(zone: ZoneInfo, hour: int, days: int = DAYS) -> Period:
    """
    Return the `days` days before the site day that `hour` is in.

    Raises
    ------
    ValueError
        If a midnight is not on a full UTC hour.
    """
    midnight = int(day_bounds(zone, hour, hour)[0])
    first = midnight - days * DAY_H
    # noon, so that an hour's change of clocks moves no date
    return Period(first, days, datetime.fromtimestamp((first + DAY_H // 2) * HOUR_S, UTC).astimezone(zone).date())


def inquiries(
    sources: Sources, directory: Directory, groups: Sequence[BalanceGroup], period: Period, budget: int = BUDGET
) -> Iterator[Inquiry]:
    """Return batches as they are asked for: one is in memory at a time."""
    parts = [(group, counted(sum_of(directory, group), period.first, period.hours)) for group in groups]
    with_members = [(group, its) for group, its in parts if its.examined]
    if not with_members:
        return
    noticed = _noticed(sources.events, period)
    for rows in batches([len(its.examined) for _, its in with_members], period.hours, budget):
        yield _inquiry(sources, directory, [with_members[row] for row in rows.tolist()], period, noticed)


def _inquiry(
    sources: Sources, directory: Directory, some: Sequence[tuple[BalanceGroup, Counted]], period: Period,
    noticed: Mapping[str, Mapping[str, set[int]]],
) -> Inquiry:
    groups, its = [group for group, _ in some], [one for _, one in some]
    parts = {part.key: part for one in its for part in one.parts}
    points = sorted({part.point for part in parts.values() if part.point in directory.point})
    found = sources.hourly(points, period.first, period.hours) if points else None
    registers = [part for part in parts.values() if not part.point]      # of child groups: as their balances have them
    keys = [*((point, "") for point in points), *(part.key for part in registers)]
    values = np.full((len(keys) + 1, period.hours), np.nan)             # the last row: whom the registry does not know
    if found is not None:
        values[:len(points)] = np.where(found.quality < BAD, found.values, np.nan)
    for index, part in enumerate(registers, len(points)):
        values[index] = _feed(sources, part.group, period)
    row = {key: index for index, key in enumerate(keys)}

    def registered(part: Part) -> NDArray[np.float64]:
        return np.asarray(values[row.get(part.key, len(keys))])

    place = [np.array([row.get(part.key, len(keys)) for part in one.examined]) for one in its]
    widest = max(len(one) for one in place)
    resolution = np.zeros((len(groups), widest))
    days = {kind: np.zeros((len(groups), widest, period.days), dtype=np.bool_) for kind in (MAGNET, COVER)}
    for g, one in enumerate(its):
        for n, part in enumerate(one.examined):
            resolution[g, n] = _count(directory, part.point)
            for name in devices_of(directory, part.point) if noticed and part.point else ():
                for kind, on in noticed.get(name, {}).items():
                    days[kind][g, n, list(on)] = True
    feeds, technical = zip(*(_feed_and_loss(sources, group.name, period) for group in groups), strict=True)
    return Inquiry(
        period, tuple(group.name for group in groups), tuple(group.medium for group in groups),
        tuple(one.names for one in its),
        tuple(net_feed(feed, one.settled, registered, period.first) for feed, one in zip(feeds, its, strict=True)),
        tuple(values[one] for one in place), resolution, days[MAGNET], days[COVER], technical,
        tuple(group.normal_share for group in groups),
    )


def _feed(sources: Sources, group: str, period: Period) -> NDArray[np.float64]:
    return _feed_and_loss(sources, group, period)[0]


def _feed_and_loss(sources: Sources, group: str, period: Period) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Feed and technical loss as the balance computed them, (h,) each; NaN where it did not, or by estimates."""
    first = period.first * HOUR_S
    table = sources.balances(group, HOUR_S, first, first + period.hours * HOUR_S)
    feed, technical = np.full((2, period.hours), np.nan)
    at = table.start // HOUR_S - period.first
    for column, into in (("feed", feed), ("technical", technical)):
        if len(at) and column in table.columns:
            into[at] = measured(table, column)
    fed = np.isfinite(feed)
    # Half a period with losses taken off, and half without, would be a step that nobody made.
    enough = fed.any() and np.isfinite(technical[fed]).mean() >= KNOWN_LOSS
    return feed, technical if enough else np.zeros(period.hours)


def _count(directory: Directory, point: str) -> float:
    """The coarsest count of the meters a point ever had. [kWh or m3]"""
    return max((1.0 / one.pulses_per_unit for one in directory.meters_of_point.get(point, ())), default=0.0)


def _noticed(events: EventHistory, period: Period) -> Mapping[str, Mapping[str, set[int]]]:
    """Days on which a magnet or an open cover was reported, by device and kind; of more than `MOST_EVENTS` the newest."""
    first, last = (hour * HOUR_S * NS for hour in (period.first, period.first + period.hours))
    found: dict[str, dict[str, set[int]]] = {}
    before, left = None, MOST_EVENTS
    while left > 0:
        wanted = EventsWanted(first, last, kinds=(MAGNET, COVER), streams=(Stream.DEVICE,), before=before, size=EVENTS_PAGE)
        page = events.find(wanted)
        for event in page.events:
            moment = event.at if event.time_good else event.received
            day = (moment - first) // (DAY_H * HOUR_S * NS)
            if event.state == "raised" and 0 <= day < period.days:
                found.setdefault(_CHANNEL.sub("", event.source), {}).setdefault(event.kind, set()).add(int(day))
        before, left = page.older, left - EVENTS_PAGE
        if before is None:
            break
    return found
