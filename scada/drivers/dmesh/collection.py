"""One concentrator's picture: what its channels should have delivered, what of it is held, what is missing or given up.

A channel owes its hours from when its module was first known here (`owing`), and from the first one held of it where that
is earlier: history that came along.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H, HOUR_S
from scada.drivers.dmesh.coverage import Coverage, Words, as_hours, expected, first_held, hours_in
from scada.ports import CollectionSummary, CollectionView
from scada.tags import TagDef

GIVEN_UP_DAYS: Final = 7                # days beyond the archive's depth for which is shown what was given up
DAYS: Final = 30                        # site days told of one by one, today the last
PERIODS: Final = (slice(-1, None), slice(-2, -1), slice(-7, None), slice(None))    # today, yesterday, 7 and 30 days
TAGS: Final = (
    TagDef("held_today", "%", "Hours held of today, as far as they are due", 0, 100, digits=1),
    TagDef("held_yesterday", "%", "Hours held of yesterday", 0, 100, digits=1),
    TagDef("held_7_days", "%", "Hours held of the last 7 days", 0, 100, digits=1),
    TagDef("held_30_days", "%", "Hours held of the last 30 days", 0, 100, digits=1),
    TagDef("missing", "h", "Hours of channels that are missing and still asked for", digits=0),
    TagDef("given_up", "h", "Hours of channels given up in the last week", digits=0),
    TagDef("oldest_missing", "h", "Age of the oldest missing hour", digits=0),
)


@attrs.frozen(eq=False)
class Channels:
    """Who is expected to deliver; rows of channels."""

    index: NDArray[np.int64]            # (n,) subnet index
    eui: NDArray[np.uint64]
    channel: NDArray[np.uint8]
    since: NDArray[np.int64]            # (n,) hour from which each owes its own (`owing.Owing`) [h since 1970]


@attrs.frozen(eq=False)
class Picture:
    """How a concentrator's collection stands."""

    channels: Channels
    first_day: int                      # days since 1970, UTC
    should: Words                       # (days, n) hours that are due
    lack: Words                         # (days, n) hours that are due and not held
    missing: int                        # channel-hours within the archive's depth
    given_up: int                       # and beyond it
    given_up_days: tuple[int, ...]      # days that were given up with holes in them
    oldest: int                         # oldest missing hour within the depth; -1 if there is none
    newest: int                         # end of the newest hour that any of the channels delivered; 0 if none did
    edges: tuple[int, ...]              # `day_edges`
    due_of_day: NDArray[np.int64]       # (DAYS,) channel-hours
    lack_of_day: NDArray[np.int64]      # (DAYS,) of them those not held

    @property
    def shares(self) -> tuple[float, ...]:
        """Held of today, yesterday, 7 and 30 days, 0-1; NaN where nothing is due."""
        pairs = [(int(self.due_of_day[one].sum()), int(self.lack_of_day[one].sum())) for one in PERIODS]
        return tuple(1 - lack / due if due else float("nan") for due, lack in pairs)

    def given_up_before(self, depth: int) -> int:
        """Hours before this one are not asked for any more. [h since 1970]"""
        return (self.first_day + len(self.lack) - 1 - depth) * DAY_H

    def view(self, depth: int) -> CollectionView:
        """For the page."""
        return CollectionView(
            self.channels.index, self.first_day * DAY_H, as_hours(self.should), as_hours(self.lack),
            self.given_up_before(depth),
        )

    def summary(self, name: str, depth: int) -> CollectionSummary:
        """In few numbers."""
        return CollectionSummary(
            name, self.edges, self.due_of_day, self.lack_of_day, self.shares, self.missing, self.given_up,
            self.given_up_before(depth), self.oldest,
        )

    def values(self, now_hour: int) -> NDArray[np.float64]:
        """Of `TAGS`."""
        age = float(now_hour - self.oldest) if self.oldest >= 0 else 0.0
        return np.array([*(100 * one for one in self.shares), self.missing, self.given_up, age])


def channels_of(modules: "list[tuple[int, int, int]]", since: NDArray[np.int64]) -> Channels:
    """From (index, EUI, number of channels) of each module, and since when each owes its hours."""
    counts = np.array([count for _, _, count in modules], dtype=np.int64)
    starts = np.cumsum(counts) - counts
    return Channels(
        np.repeat(np.array([index for index, _, _ in modules], dtype=np.int64), counts),
        np.repeat(np.array([eui for _, eui, _ in modules], dtype=np.uint64), counts),
        (np.arange(counts.sum(), dtype=np.int64) - np.repeat(starts, counts)).astype(np.uint8),
        np.repeat(since, counts),
    )


def day_edges(seconds: int, zone: ZoneInfo) -> tuple[int, ...]:
    """Hours in which the last `DAYS` site days begin, and in which today ends, for a site time. [h since 1970]"""
    return _edges(seconds // HOUR_S, zone)


@lru_cache(maxsize=8)
def _edges(hour: int, zone: ZoneInfo) -> tuple[int, ...]:
    today = datetime.fromtimestamp(hour * HOUR_S, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return tuple(int((today + timedelta(days=day)).timestamp()) // HOUR_S for day in range(1 - DAYS, 2))


def by_day(words: Words, first_day: int, edges: tuple[int, ...]) -> NDArray[np.int64]:
    """Channel-hours of (days, n) words between every two edges. [h since 1970]"""
    at = np.clip(np.array(edges, dtype=np.int64) - first_day * DAY_H, 0, len(words) * DAY_H)
    row, hour = np.divmod(at, DAY_H)
    whole = np.concatenate([[0], np.bitwise_count(words).sum(axis=1, dtype=np.int64).cumsum()])
    begun = np.minimum(row, len(words) - 1)                 # the end of the last day is hour 0 of none
    low = ((np.int64(1) << hour) - 1).astype(np.uint32)
    part = np.bitwise_count(words[begun] & low[:, None]).sum(axis=1, dtype=np.int64)
    days: NDArray[np.int64] = np.diff(whole[row] + part)
    return days


def look(
    channels: Channels, slots: NDArray[np.int64], coverage: Coverage, due: int, depth: int, edges: tuple[int, ...],
    within: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Picture:
    """
    Compare what is held with what should be.

    Parameters
    ----------
    slots
        Of the channels; -1 where nothing was ever delivered.
    due
        Hours before this one should be here. [h since 1970]
    depth
        Days for which a concentrator and its modules keep their archive.
    edges
        `day_edges` of now.
    within
        Hours from and before which each channel owes something at all, if that is not always. [h since 1970]
    """
    first_day, days = coverage.oldest, coverage.days
    held = coverage.held(slots, first_day, days)
    first = first_held(held, first_day)
    since = np.where(first < 0, channels.since, np.minimum(first, channels.since))
    should = expected(since, due, first_day, days)
    if within is not None:
        should &= expected(within[0], within[1], first_day, days)
    lack = should & ~held
    kept = coverage.newest - depth - first_day              # rows before this one are given up
    open_rows = np.flatnonzero(lack[kept:].any(axis=1)) + kept
    oldest = -1
    if len(open_rows):
        word = int(np.bitwise_or.reduce(lack[open_rows[0]]))
        oldest = (first_day + int(open_rows[0])) * DAY_H + (word & -word).bit_length() - 1
    rows = np.flatnonzero(held.any(axis=1))
    newest = 0
    if len(rows):
        newest = (first_day + int(rows[-1])) * DAY_H + int(np.bitwise_or.reduce(held[rows[-1]])).bit_length()
    return Picture(
        channels, first_day, should, lack, hours_in(lack[kept:]), hours_in(lack[:kept]),
        tuple(first_day + int(row) for row in np.flatnonzero(lack[:kept].any(axis=1))), oldest, newest, edges,
        by_day(should, first_day, edges), by_day(lack, first_day, edges),
    )
