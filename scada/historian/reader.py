"""Reads the block store: pulses and registers of any channels over any hours, from any thread or process."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.arrivals import NS_PER_MS
from scada.historian.changes import changes_in
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.dense import SLOTS, WRAP, Dense, columns_of, register_at
from scada.historian.finer import LENGTHS
from scada.historian.gathered import Gathered
from scada.historian.months import month_path
from scada.historian.noted import as_known
from scada.historian.rows import COLUMNS, BlockKey, decode_block, decode_counts
from scada.historian.slots_stored import SlotsKnown
from scada.intervals import HOURLY, MISSING, IntervalChange, IntervalSeries

REGISTER_DAYS: Final = 40                           # how far back a register is worked out from
# By name of each day: between two days the key holds every block of the city.
_OF_DAYS: Final = (
    f"SELECT day, {COLUMNS} FROM block WHERE interval_s=? AND day IN (SELECT value FROM json_each(?)) AND block=?"
)
# Of some days and the blocks between two.
_OF_BLOCKS: Final = (
    f"SELECT block, day, {COLUMNS} FROM block WHERE interval_s=? AND day IN (SELECT value FROM json_each(?)) "
    "AND block BETWEEN ? AND ?"
)
FEW: Final = 16                                     # blocks that are asked for one by one


class BlockReader:
    """`IntervalReader` over a historian's folder."""

    def __init__(self, directory: Path, pool: ReadPool, book: SlotsKnown, instant: int | None = None) -> None:
        self._directory, self._pool, self._book, self._instant = directory, pool, book, instant
        self.damaged = 0                            # blocks met whose bytes do not match their check sum
        self.damaged_files: set[Path] = set()       # met since the start; the writer sets them aside when it needs them

    def as_of(self, instant: int) -> "BlockReader":
        """The same as it was known at `instant` [ns since 1970]."""
        return BlockReader(self._directory, self._pool, self._book, instant // NS_PER_MS)

    def changes(self, slot: int, first_hour: int, hours: int) -> tuple[IntervalChange, ...]:
        """How the intervals of a channel came to what they say, the oldest change first; damaged blocks are left out."""
        found: list[IntervalChange] = []
        last_day = (first_hour + hours - 1) // DAY_H
        for path, low, high in _spans(self._directory, first_hour // DAY_H, last_day) if slot >= 0 else ():
            with self._pool.reading(path) as database:
                if database is not None:
                    found += changes_in(database, slot, (low, high), first_hour * HOURLY, (first_hour + hours) * HOURLY)
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
        for path, low, high in _spans(self._directory, first_hour // DAY_H, (first_hour + hours - 1) // DAY_H):
            try:
                self._gather(path, low, high, found)
            except DamagedFile:
                self.damaged_files.add(path)
        return IntervalSeries(first_hour, HOURLY, found.counts, found.status)

    def read_intervals(
        self, slots: NDArray[np.int64], first: int, intervals: int, interval_s: int
    ) -> IntervalSeries:
        slots = np.asarray(slots, dtype=np.int64)
        counts = np.full((len(slots), intervals), MISSING, np.int64)
        status = np.zeros((len(slots), intervals), np.uint8)
        width = columns_of(interval_s)
        for number in np.unique(slots[slots >= 0] // SLOTS).tolist():
            lines = np.flatnonzero((slots >= 0) & (slots // SLOTS == number))
            last_day = (first + intervals - 1) // width
            for _, day, block in self._blocks(number, first // width, last_day, interval_s):
                start, stop = max(day * width, first), min((day + 1) * width, first + intervals)
                inside = slice(start - day * width, stop - day * width)
                counts[lines, start - first:stop - first] = block.counts[slots[lines] % SLOTS, inside]
                status[lines, start - first:stop - first] = block.status[slots[lines] % SLOTS, inside]
        return IntervalSeries(first, interval_s, counts, status)

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        slots = np.asarray(slots, dtype=np.int64)
        found = np.full(len(slots), MISSING, np.int64)
        for number in np.unique(slots[slots >= 0] // SLOTS).tolist():
            lines = np.flatnonzero((slots >= 0) & (slots // SLOTS == number))
            rows = slots[lines] % SLOTS
            for interval_s in LENGTHS:
                unknown = found[lines] == MISSING
                if unknown.any():
                    found[lines[unknown]] = self._registers(number, rows[unknown], hour, interval_s)
        return found

    # ------------------------------------------------------------------ private
    def _gather(self, path: Path, low: int, high: int, found: Gathered) -> None:
        """What a month file holds of the channels that are read, over days."""
        days, numbers = json.dumps([*range(low, high + 1)]), found.numbers
        with self._pool.reading(path) as database:
            if database is None:
                return
            for (interval_s,) in database.execute("SELECT interval_s FROM kind ORDER BY interval_s DESC").fetchall():
                # Few blocks by name; of many, all between them: that is one walk along the key.
                each = [(one, one) for one in numbers] if len(numbers) <= FEW else [(numbers[0], numbers[-1])]
                for between in each:
                    for number, day, *columns in database.execute(_OF_BLOCKS, (interval_s, days, *between)):
                        if number in found.lines:
                            self._take(database, (interval_s, day, number), columns, found)
        self.damaged_files.discard(path)            # a fresh one has taken its place

    def _take(self, database: Any, key: BlockKey, columns: Sequence[Any], found: Gathered) -> None:
        try:
            if self._instant is None:
                counts, status = decode_counts(key[0], *columns)
            else:
                block = as_known(database, key, decode_block(key[0], *columns), self._instant)
                counts, status = block.counts, block.status
        except ValueError:
            self.damaged += 1
            return
        found.take(key, counts, status)

    def _registers(self, number: int, rows: NDArray[np.int64], hour: int, interval_s: int) -> NDArray[np.int64]:
        """Of one block's rows: the nearest earlier register, plus the pulses since, all in intervals of one length."""
        found = np.full(len(rows), MISSING, np.int64)
        since = np.zeros(len(rows), np.int64)                   # pulses from the end of the day looked at to `hour`
        open_ = np.ones(len(rows), np.bool_)
        day, offset = divmod(hour, DAY_H)
        for back in range(REGISTER_DAYS):
            one = day - back
            block = next((dense for _, _, dense in self._blocks(number, one, one, interval_s)), None)
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

    def _blocks(
        self, number: int, first_day: int, last_day: int, only: int | None = None
    ) -> list[tuple[int, int, Dense]]:
        """(interval_s, day, block) held of one block number, over days; damaged ones are left out and counted."""
        found: list[tuple[int, int, Dense]] = []
        for path, low, high in _spans(self._directory, first_day, last_day):
            try:
                found += self._blocks_in(path, number, low, high, only)
            except DamagedFile:
                self.damaged_files.add(path)
        return found

    def _blocks_in(
        self, path: Path, number: int, low: int, high: int, only: int | None
    ) -> list[tuple[int, int, Dense]]:
        found = []
        with self._pool.reading(path) as database:
            if database is None:
                return []
            for (interval_s,) in database.execute("SELECT interval_s FROM kind ORDER BY interval_s DESC").fetchall():
                if only not in (None, interval_s):
                    continue
                rows = database.execute(_OF_DAYS, (interval_s, json.dumps([*range(low, high + 1)]), number)).fetchall()
                for day, *columns in rows:
                    try:
                        block = decode_block(interval_s, *columns)
                        if self._instant is not None:
                            block = as_known(database, (interval_s, day, number), block, self._instant)
                        found.append((interval_s, day, block))
                    except ValueError:
                        self.damaged += 1
        self.damaged_files.discard(path)            # a fresh one has taken its place
        return found




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
