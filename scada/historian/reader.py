"""Reads the block store: pulses and registers of any channels over any hours, from any thread or process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.dense import SLOTS, WRAP, Dense, columns_of, hourly, register_at
from scada.historian.months import month_path
from scada.historian.rows import COLUMNS, decode_block
from scada.historian.slots_stored import SlotsKnown
from scada.intervals import HOURLY, MISSING, IntervalSeries

REGISTER_DAYS: Final = 40                           # how far back a register is worked out from
# By name of each day: between two days the key holds every block of the city.
_OF_DAYS: Final = (
    f"SELECT day, {COLUMNS} FROM block WHERE interval_s=? AND day IN (SELECT value FROM json_each(?)) AND block=?"
)


class BlockReader:
    """`IntervalReader` over a historian's folder."""

    def __init__(self, directory: Path, pool: ReadPool, book: SlotsKnown) -> None:
        self._directory, self._pool, self._book = directory, pool, book
        self.damaged = 0                            # blocks met whose bytes do not match their check sum
        self.damaged_files: set[Path] = set()       # met since the start; the writer sets them aside when it needs them

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        return self._book.find(eui, channel)

    def slot_bound(self) -> int:
        return self._book.bound

    def known(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of them that were given to a channel."""
        return slots[self._book.known(slots)]

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        return self._book.channels(slots)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        slots = np.asarray(slots, dtype=np.int64)
        series = _nothing(len(slots), first_hour, hours, HOURLY)
        for lines, interval_s, day, block in self._parts(slots, first_hour, hours, HOURLY):
            rows = slots[lines] % SLOTS
            _fill(series, lines, day * DAY_H, *hourly(block.counts[rows], block.status[rows], interval_s))
        return series

    def exact(self, slots: NDArray[np.int64], first: int, count: int, interval_s: int) -> IntervalSeries:
        """What was delivered in intervals of this length, (n,) slots x `count` intervals; nothing is put together."""
        slots = np.asarray(slots, dtype=np.int64)
        series = _nothing(len(slots), first, count, interval_s)
        for lines, kind, day, block in self._parts(slots, first, count, interval_s):
            if kind == interval_s:
                rows = slots[lines] % SLOTS
                _fill(series, lines, day * columns_of(kind), block.counts[rows], block.status[rows])
        return series

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        slots = np.asarray(slots, dtype=np.int64)
        found = np.full(len(slots), MISSING, np.int64)
        for number in np.unique(slots[slots >= 0] // SLOTS).tolist():
            lines = np.flatnonzero((slots >= 0) & (slots // SLOTS == number))
            found[lines] = self._registers(number, slots[lines] % SLOTS, hour)
        return found

    # ------------------------------------------------------------------ private
    def _parts(
        self, slots: NDArray[np.int64], first: int, count: int, interval_s: int
    ) -> Iterator[tuple[NDArray[np.int64], int, int, Dense]]:
        """(places in `slots`, interval_s, day, block) of all that is held of them on the days of a range."""
        width = columns_of(interval_s)
        for number in np.unique(slots[slots >= 0] // SLOTS).tolist():
            lines = np.flatnonzero((slots >= 0) & (slots // SLOTS == number))
            for kind, day, block in self._blocks(number, first // width, (first + count - 1) // width):
                yield lines, kind, day, block

    def _registers(self, number: int, rows: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        """Of one block's rows: the nearest earlier register, plus the pulses since."""
        found = np.full(len(rows), MISSING, np.int64)
        since = np.zeros(len(rows), np.int64)                   # pulses from the end of the day looked at to `hour`
        open_ = np.ones(len(rows), np.bool_)
        day, offset = divmod(hour, DAY_H)
        for back in range(REGISTER_DAYS):
            one = day - back
            block = next((dense for kind, _, dense in self._blocks(number, one, one) if kind == HOURLY), None)
            column = offset if back == 0 else DAY_H
            if block is None:
                if column:
                    break                                       # a whole day of pulses is missing
                continue
            value, settled = register_at(block, rows, column)
            here = open_ & settled
            found[here] = np.where(value[here] == MISSING, MISSING, (value[here] + since[here]) % WRAP)
            open_ &= ~settled
            if not open_.any():
                break
            since += np.where(open_, block.counts[rows, :column].sum(axis=1), 0)
        return found

    def _blocks(self, number: int, first_day: int, last_day: int) -> list[tuple[int, int, Dense]]:
        """(interval_s, day, block) held of one block number, over days; damaged ones are left out and counted."""
        found: list[tuple[int, int, Dense]] = []
        for path, low, high in _spans(self._directory, first_day, last_day):
            try:
                found += self._blocks_in(path, number, low, high)
            except DamagedFile:
                self.damaged_files.add(path)
        return found

    def _blocks_in(self, path: Path, number: int, low: int, high: int) -> list[tuple[int, int, Dense]]:
        found = []
        with self._pool.reading(path) as database:
            if database is None:
                return []
            for (interval_s,) in database.execute("SELECT interval_s FROM kind ORDER BY interval_s DESC").fetchall():
                rows = database.execute(_OF_DAYS, (interval_s, json.dumps([*range(low, high + 1)]), number)).fetchall()
                for day, *columns in rows:
                    try:
                        found.append((interval_s, day, decode_block(interval_s, *columns)))
                    except ValueError:
                        self.damaged += 1
        self.damaged_files.discard(path)            # a fresh one has taken its place
        return found


def _nothing(n: int, first: int, count: int, interval_s: int) -> IntervalSeries:
    return IntervalSeries(first, interval_s, np.full((n, count), MISSING, np.int64), np.zeros((n, count), np.uint8))


def _fill(
    series: IntervalSeries, lines: NDArray[np.int64], begin: int, counts: NDArray[np.int64], status: NDArray[np.uint8]
) -> None:
    """Enter (n, k) intervals from number `begin` on into some lines of a series; what is there already stays."""
    start, stop = max(begin, series.first), min(begin + counts.shape[1], series.first + series.counts.shape[1])
    inside = slice(start - begin, stop - begin)
    place = np.ix_(lines, np.arange(start - series.first, stop - series.first))
    held = series.counts[place]
    series.counts[place] = np.where(held == MISSING, counts[:, inside], held)
    series.status[place] |= status[:, inside]


def _spans(directory: Path, first_day: int, last_day: int) -> list[tuple[Path, int, int]]:
    """(month file, first day, last day) over a range of days."""
    spans: list[tuple[Path, int, int]] = []
    for day in range(first_day, last_day + 1):
        path = month_path(directory, day)
        if spans and spans[-1][0] == path:
            spans[-1] = (path, spans[-1][1], day)
        else:
            spans.append((path, day, day))
    return spans
