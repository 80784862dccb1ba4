"""Reads the block store: pulses and registers of any channels over any hours, from any thread or process."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H, NS_PER_MS
from scada.historian.database import ReadPool
from scada.historian.dense import WRAP, Dense, columns_of, register_at
from scada.historian.finer import LENGTHS
from scada.historian.gathered import ByBlock, Gathered
from scada.historian.noted import as_known
from scada.historian.rows import decode_block, decode_counts
from scada.historian.slots_stored import SlotsKnown
from scada.historian.stored import StoredRow, StoredRows
from scada.intervals import HOURLY, MISSING, IntervalChange, IntervalSeries

REGISTER_DAYS: Final = 40                           # how far back a register is worked out from


class BlockReader:
    """`IntervalReader` over a historian's folder."""

    def __init__(self, directory: Path, pool: ReadPool, book: SlotsKnown, instant: int | None = None) -> None:
        self._directory, self._pool, self._book, self._instant = directory, pool, book, instant
        self._stored = StoredRows(directory, pool)
        self.damaged = 0                            # blocks met whose bytes do not match their check sum

    @property
    def damaged_files(self) -> set[Path]:
        """Met since the start; the writer sets them aside when it needs them."""
        return self._stored.damaged_files

    def as_of(self, instant: int) -> "BlockReader":
        """The same as it was known at `instant` [ns since 1970]."""
        return BlockReader(self._directory, self._pool, self._book, instant // NS_PER_MS)

    def changes(self, slot: int, first_hour: int, hours: int) -> tuple[IntervalChange, ...]:
        """How the intervals of a channel came to what they say, the oldest change first; damaged blocks are left out."""
        found = self._stored.changes(slot, first_hour, hours) if slot >= 0 else []
        return tuple(sorted(found, key=lambda one: (one.at, one.interval * one.interval_s)))

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        return self._book.find(eui, channel)

    def slot_bound(self) -> int:
        return self._book.bound

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        return self._book.channels(slots)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        slots = np.asarray(slots, dtype=np.int64)
        found = Gathered.empty(slots, first_hour, hours)
        for row in self._stored.each(found.numbers, first_hour // DAY_H, (first_hour + hours - 1) // DAY_H):
            if (block := self._counts(row)) is not None:
                found.take(row.key, *block)
        return IntervalSeries(first_hour, HOURLY, found.counts, found.status)

    def read_intervals(
        self, slots: NDArray[np.int64], first: int, intervals: int, interval_s: int
    ) -> IntervalSeries:
        slots = np.asarray(slots, dtype=np.int64)
        counts = np.full((len(slots), intervals), MISSING, np.int64)
        status = np.zeros((len(slots), intervals), np.uint8)
        places, width = ByBlock(slots), columns_of(interval_s)
        for row in self._stored.each(places.numbers, first // width, (first + intervals - 1) // width, interval_s):
            if (found := self._counts(row)) is None:
                continue
            lines, rows = places.of(row.number)
            start, stop = max(row.day * width, first), min((row.day + 1) * width, first + intervals)
            of_day = slice(start - row.day * width, stop - row.day * width)
            counts[lines, start - first:stop - first] = found[0][rows, of_day]
            if found[1] is not None:
                status[lines, start - first:stop - first] = found[1][rows, of_day]
        return IntervalSeries(first, interval_s, counts, status)

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        slots = np.asarray(slots, dtype=np.int64)
        found = np.full(len(slots), MISSING, np.int64)
        places = ByBlock(slots)
        for number in places.numbers:
            lines, rows = places.of(number)
            for interval_s in LENGTHS:
                mine = found[lines]
                unknown = mine == MISSING
                if unknown.any():
                    mine[unknown] = self._registers(number, rows[unknown], hour, interval_s)
                    found[lines] = mine
        return found

    # ------------------------------------------------------------------ private
    def _registers(self, number: int, rows: NDArray[np.int64], hour: int, interval_s: int) -> NDArray[np.int64]:
        """Of one block's rows: the nearest earlier register, plus the pulses since, all in intervals of one length."""
        found = np.full(len(rows), MISSING, np.int64)
        since = np.zeros(len(rows), np.int64)                   # pulses from the end of the day looked at to `hour`
        open_ = np.ones(len(rows), np.bool_)
        day, offset = divmod(hour, DAY_H)
        for back in range(REGISTER_DAYS):
            one = day - back
            block = self._block(number, one, interval_s)
            column = (offset if back == 0 else DAY_H) * (HOURLY // interval_s)
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

    def _block(self, number: int, day: int, interval_s: int) -> Dense | None:
        """A block whole; a damaged one is none, and counted."""
        found: Dense | None = None
        for row in self._stored.each([number], day, day, interval_s):      # one; to the end, which gives the file back
            try:
                found = self._known(row)
            except ValueError:
                self.damaged += 1
        return found

    def _counts(self, row: StoredRow) -> tuple[NDArray[np.integer[Any]], NDArray[np.uint8] | None] | None:
        """(256, intervals) pulses, as narrow as they lie there, and status where any is; None, and counted, if damaged."""
        try:
            if self._instant is None:
                return decode_counts(row.interval_s, *row.columns)
            block = self._known(row)
            return block.counts, block.status
        except ValueError:
            self.damaged += 1
            return None

    def _known(self, row: StoredRow) -> Dense:
        block = decode_block(row.interval_s, *row.columns)
        if self._instant is None:
            return block
        return as_known(row.database, row.key, block, self._instant)
