"""What damaged blocks have lost: the intervals that are missing where blocks or whole month files were put away.

A block that was ever put away is looked at, and every day of a month file that was set aside, whatever came since.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.errors import StorageError
from scada.historian.database import ReadPool
from scada.historian.dense import DAY_S, SLOTS, columns_of
from scada.historian.months import month_path, month_paths, set_aside
from scada.historian.reader import BlockReader
from scada.historian.rows import BlockKey
from scada.historian.slots_stored import StoredSlots
from scada.intervals import HOURLY, MISSING, IntervalSeries


@attrs.frozen(eq=False)
class Missing:
    """What stays of a hole in memory when it was looked at: a spoilt month of a city has ten thousand of them."""

    start: int                                      # of the first missing interval. [s since 1970]
    end: int                                        # of the last one, exclusive
    eui: NDArray[np.uint64]                         # modules that lack something, each once
    intervals: int                                  # of channels


@attrs.frozen(eq=False)
class Hole:
    """Intervals of one block of the store that are missing."""

    key: BlockKey
    eui: NDArray[np.uint64]                         # (n,) channels that lack something
    channel: NDArray[np.uint8]
    series: IntervalSeries                          # what is held of them
    due: NDArray[np.bool_]                          # (n, k) missing, and over by now

    def brief(self) -> Missing:
        """Its outlines."""
        columns = self.series.first + np.flatnonzero(self.due.any(axis=0))
        start, end = int(columns[0]) * self.series.interval_s, (int(columns[-1]) + 1) * self.series.interval_s
        return Missing(start, end, distinct(self.eui), int(self.due.sum()))

    def without(self, given: NDArray[np.bool_]) -> "Hole | None":
        """What is left of it when (n, k) intervals were given."""
        return _hole_of(self.key, self.eui, self.channel, self.series, self.due & ~given)


def holes(directory: Path, now_s: int) -> Iterator[tuple[Hole | None, float]]:
    """What is missing of blocks that were lost, until a site time, and the share of all blocks that each one is. [s]"""
    with closing(ReadPool()) as pool:
        reader = BlockReader(directory, pool, StoredSlots(directory, pool))
        keys = lost(directory, pool, -(-reader.slot_bound() // SLOTS))
        for key in keys:
            yield _hole(reader, key, now_s), 1.0 / len(keys)


def lost(directory: Path, pool: ReadPool, blocks: int) -> list[BlockKey]:
    """Blocks that were put away as damaged, or may have been in a month file that was; so many `blocks` there are."""
    found: set[BlockKey] = set()
    kinds = {HOURLY}
    for path in month_paths(directory):
        try:
            with pool.reading(path) as database:
                if database is not None:
                    found.update(database.execute("SELECT interval_s, day, block FROM damaged"))
                    kinds.update(kind for (kind,) in database.execute("SELECT interval_s FROM kind"))
        except StorageError:
            continue                                # `verify` names it
    for path in set_aside(directory):
        for day in days_of(path):
            found.update((kind, day, block) for kind in kinds for block in range(blocks))
    return sorted(found, key=lambda key: (key[1], key[0], key[2]))


def days_of(path: Path) -> range:
    """The days (since 1970) of a month file, whatever it is called now."""
    first = datetime.strptime(path.name[:len("intervals-2026-01")], "intervals-%Y-%m").replace(tzinfo=UTC)
    start = int(first.timestamp()) // DAY_S
    end = start
    while month_path(path.parent, end) == month_path(path.parent, start):
        end += 1
    return range(start, end)


# ---------------------------------------------------------------------- private
def _hole(reader: BlockReader, key: BlockKey, now_s: int) -> Hole | None:
    interval_s, day, number = key
    width = columns_of(interval_s)
    slots = reader.known(number * SLOTS + np.arange(SLOTS))
    series = reader.read_intervals(slots, day * width, width, interval_s)
    over = (series.first + 1 + np.arange(width)) * interval_s <= now_s
    return _hole_of(key, *reader.channels(slots), series, (series.counts == MISSING) & over)


def _hole_of(
    key: BlockKey, eui: NDArray[np.uint64], channel: NDArray[np.uint8], series: IntervalSeries, due: NDArray[np.bool_]
) -> Hole | None:
    """Of the channels that lack something; None where none does."""
    lines = np.flatnonzero(due.any(axis=1))
    if not len(lines):
        return None
    part = IntervalSeries(series.first, series.interval_s, series.counts[lines], series.status[lines])
    return Hole(key, eui[lines], channel[lines], part, due[lines])
