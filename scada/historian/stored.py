"""The rows of blocks as the month files have them, for many blocks and days in one look at each file."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from scada.clock import DAY_H
from scada.historian.changes import changes_in
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.months import month_path
from scada.historian.rows import COLUMNS, BlockKey
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

    @property
    def key(self) -> BlockKey:
        return self.interval_s, self.day, self.number


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
