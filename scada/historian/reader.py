"""Reads the block store: pulses and registers of any channels over any hours, from any thread or process."""

import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.dense import SLOTS, WRAP, Dense, register_at
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

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        return self._book.channels(slots)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        slots = np.asarray(slots, dtype=np.int64)
        counts = np.full((len(slots), hours), MISSING, np.int64)
        status = np.zeros((len(slots), hours), np.uint8)
        last_day = (first_hour + hours - 1) // DAY_H
        for number in np.unique(slots[slots >= 0] // SLOTS).tolist():
            lines = np.flatnonzero((slots >= 0) & (slots // SLOTS == number))
            rows = slots[lines] % SLOTS
            for interval_s, day, block in self._blocks(number, first_hour // DAY_H, last_day):
                start = max(day * DAY_H, first_hour)
                stop = min((day + 1) * DAY_H, first_hour + hours)
                inside = slice(start - day * DAY_H, stop - day * DAY_H)
                place = np.ix_(lines, np.arange(start - first_hour, stop - first_hour))
                pulses, bits = _hourly(block, rows, interval_s)
                held = counts[place]
                counts[place] = np.where(held == MISSING, pulses[:, inside], held)
                status[place] |= bits[:, inside]
        return IntervalSeries(first_hour, HOURLY, counts, status)

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        slots = np.asarray(slots, dtype=np.int64)
        found = np.full(len(slots), MISSING, np.int64)
        for number in np.unique(slots[slots >= 0] // SLOTS).tolist():
            lines = np.flatnonzero((slots >= 0) & (slots // SLOTS == number))
            found[lines] = self._registers(number, slots[lines] % SLOTS, hour)
        return found

    # ------------------------------------------------------------------ private
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


def _hourly(block: Dense, rows: NDArray[np.int64], interval_s: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(n, 24) pulses and status of rows; an hour of shorter intervals counts when all of them are held."""
    counts, status = block.counts[rows], block.status[rows]
    if interval_s == HOURLY:
        return counts, status
    per_hour = HOURLY // interval_s
    parts = counts.reshape(len(rows), DAY_H, per_hour)
    whole = (parts != MISSING).all(axis=2)
    bits: NDArray[np.uint8] = np.bitwise_or.reduce(status.reshape(len(rows), DAY_H, per_hour), axis=2)
    return np.where(whole, parts.sum(axis=2), MISSING), bits


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
