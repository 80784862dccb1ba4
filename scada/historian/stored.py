"""The rows of blocks as the month files have them, for many blocks and days in one look at each file."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.changes import changes_in
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.dense import SLOTS
from scada.historian.months import month_path
from scada.historian.rows import COLUMNS
from scada.intervals import HOURLY, IntervalChange

EPOCH: Final = date(1970, 1, 1)
# By the names of days and blocks: between two days the key holds every block of the city.
_NAMED: Final = (
    f"SELECT day, block, {COLUMNS} FROM block WHERE interval_s=? AND day IN (SELECT value FROM json_each(?)) "
    "AND block IN (SELECT value FROM json_each(?))"
)
_KINDS: Final = "SELECT interval_s FROM kind ORDER BY interval_s DESC"


@attrs.frozen
class StoredRow:
    """One row, and the connection it came from, which is good until the next one is asked for."""

    interval_s: int
    day: int
    number: int
    columns: tuple[Any, ...]
    database: sqlite3.Connection


class StoredRows:
    """Any thread. Damaged files are left out and remembered, until a fresh one has taken their place."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self._directory, self._pool = directory, pool
        self.damaged_files: set[Path] = set()

    def each(self, numbers: Sequence[int], first_day: int, last_day: int, only: int | None = None) -> Iterator[StoredRow]:
        """Of the blocks `numbers`: month by month, the longest intervals first; of one length alone where it is said."""
        for path, low, high in _spans(self._directory, first_day, last_day):
            try:
                yield from self._of(path, json.dumps([*range(low, high + 1)]), json.dumps(numbers), only)
                self.damaged_files.discard(path)
            except DamagedFile:
                self.damaged_files.add(path)

    def changes(self, slot: int, first_hour: int, hours: int) -> list[IntervalChange]:
        """How the intervals of a channel came to what they say, in no order; damaged blocks are left out."""
        found: list[IntervalChange] = []
        first_s, last_s = first_hour * HOURLY, (first_hour + hours) * HOURLY
        for path, low, high in _spans(self._directory, first_hour // DAY_H, (first_hour + hours - 1) // DAY_H):
            with self._pool.reading(path) as database:
                if database is not None:
                    found += changes_in(database, slot, (low, high), first_s, last_s)
        return found

    def _of(self, path: Path, days: str, numbers: str, only: int | None) -> Iterator[StoredRow]:
        with self._pool.reading(path) as database:
            if database is None:
                return
            for (interval_s,) in database.execute(_KINDS).fetchall():
                if only in (None, interval_s):
                    for day, number, *columns in database.execute(_NAMED, (interval_s, days, numbers)):
                        yield StoredRow(interval_s, day, number, tuple(columns), database)


class ByBlock:
    """Where channels lie: their lines in the order asked, block by block; a channel without a slot lies nowhere."""

    def __init__(self, slots: NDArray[np.int64]) -> None:
        self._slots = slots
        self._order = np.argsort(slots, kind="stable")
        sorted_blocks = slots[self._order] // SLOTS
        found, starts = np.unique(sorted_blocks, return_index=True)
        ends = [*starts.tolist(), len(slots)][1:]
        spans = zip(found.tolist(), starts.tolist(), ends, strict=True)
        self._spans = {number: slice(start, end) for number, start, end in spans if number >= 0}

    @property
    def numbers(self) -> list[int]:
        return [*self._spans]

    def of(self, number: int) -> "tuple[slice | NDArray[np.int64], NDArray[np.int64]]":
        """(lines in the order asked, rows in the block)."""
        lines = self._order[self._spans[number]]
        rows = self._slots[lines] % SLOTS
        if (np.diff(lines) == 1).all():                     # neighbours as asked: a slice is several times faster
            return slice(int(lines[0]), int(lines[-1]) + 1), rows
        return lines, rows


def _spans(directory: Path, first_day: int, last_day: int) -> list[tuple[Path, int, int]]:
    """(month file, first day, last day) over a range of days."""
    spans: list[tuple[Path, int, int]] = []
    day = first_day
    while day <= last_day:
        begins = EPOCH + timedelta(days=day)
        following = begins.replace(day=28) + timedelta(days=4)            # some day of the next month
        end = min(last_day, (following.replace(day=1) - EPOCH).days - 1)
        spans.append((month_path(directory, day), day, end))
        day = end + 1
    return spans
