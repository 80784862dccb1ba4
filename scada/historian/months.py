"""The month files: one SQLite file a month, a row per (interval length, day, block of 256 slots).

A damaged file is set aside under another name, as evidence and for repair, and a fresh one takes its place: one bad
sector must not stop the merging of everything else.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import attrs
from twisted.logger import Logger

from scada.historian import noted
from scada.historian.arrivals import Arrivals
from scada.historian.database import DamagedFile, aside_of, naming, open_writer, put_aside, remove_database, transaction
from scada.historian.dense import SLOTS, Conflict, Dense, columns_of
from scada.historian.rows import BY_KEY, COLUMNS, BlockKey, decode_block, encode_block

OPEN_MONTHS: Final = 8
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kind(interval_s INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS block(interval_s INTEGER NOT NULL, day INTEGER NOT NULL, block INTEGER NOT NULL,
    version INTEGER NOT NULL, crc INTEGER NOT NULL, columns BLOB NOT NULL, counts BLOB NOT NULL,
    status BLOB, registers BLOB, PRIMARY KEY(interval_s, day, block));
CREATE TABLE IF NOT EXISTS conflict(slot INTEGER NOT NULL, interval_s INTEGER NOT NULL, interval INTEGER NOT NULL,
    kind TEXT NOT NULL, kept INTEGER NOT NULL, value INTEGER NOT NULL, received INTEGER NOT NULL,
    PRIMARY KEY(slot, interval_s, interval, kind, value));
CREATE TABLE IF NOT EXISTS damaged(interval_s INTEGER NOT NULL, day INTEGER NOT NULL, block INTEGER NOT NULL,
    version INTEGER NOT NULL, reason TEXT NOT NULL, columns BLOB, counts BLOB, status BLOB, registers BLOB,
    PRIMARY KEY(interval_s, day, block, version));
""" + noted.SCHEMA
_SAVE: Final = f"INSERT OR REPLACE INTO block (interval_s, day, block, {COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEWER: Final = 2**32                                # what the versions of a fresh file are ahead of the damaged one's
_log = Logger()


@attrs.frozen
class MonthFile:
    """A file that is open for writing."""

    path: Path
    database: sqlite3.Connection
    newer: int                                      # version its empty blocks begin with


Month = Callable[[int], MonthFile]                  # the file that holds a day, inside the transaction


def month_path(directory: Path, day: int) -> Path:
    """The file that holds a day (since 1970, UTC)."""
    return directory / _file_name(day)


@lru_cache(maxsize=4096)
def _file_name(day: int) -> str:
    return f"intervals-{EPOCH + timedelta(days=day):%Y-%m}.sqlite"


def month_paths(directory: Path) -> list[Path]:
    """All month files, oldest first."""
    return sorted(directory.glob("intervals-????-??.sqlite"))


def first_day(directory: Path) -> int | None:
    """No interval is held before this day (since 1970, UTC); None = none at all."""
    for path in month_paths(directory)[:1]:
        return (datetime.strptime(path.name, "intervals-%Y-%m.sqlite").replace(tzinfo=UTC) - EPOCH).days
    return None


def set_aside(directory: Path) -> list[Path]:
    """Files that were found damaged, since the folder began."""
    return sorted(directory.glob("intervals-????-??.sqlite*.damaged"))


class Months:
    """The files that are open for writing; one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[Path, MonthFile] = OrderedDict()

    @contextmanager
    def transaction(self) -> Iterator[Month]:
        """One transaction in every file that is asked for; each is durable when the block ends."""
        with ExitStack() as stack:
            inside: dict[Path, MonthFile] = {}

            def month(day: int) -> MonthFile:
                path = month_path(self._directory, day)
                if path not in inside:
                    stack.enter_context(naming(path))
                    file = self._opened(path)
                    stack.enter_context(transaction(file.database))
                    inside[path] = file
                return inside[path]

            yield month

    def file(self, day: int) -> MonthFile:
        """The file that holds a day, to look into it between two transactions, or in one that holds it."""
        path = month_path(self._directory, day)
        with naming(path):
            return self._opened(path)

    def trim(self) -> None:
        """Close the files that were not used of late."""
        while len(self._open) > OPEN_MONTHS:
            self._open.popitem(last=False)[1].database.close()

    def remove(self, path: Path) -> bool:
        """Delete a month that no transaction holds; False where a reader is in the way."""
        file = self._open.pop(path, None)
        if file is not None:
            file.database.close()
        return remove_database(path)

    def close(self) -> None:
        for file in self._open.values():
            file.database.close()
        self._open.clear()

    def set_aside(self, damage: DamagedFile) -> Path:
        """Give a damaged file, which no transaction holds, another name; returns it. Nothing is deleted."""
        path = damage.path
        file = self._open.pop(path, None)
        if file is not None:
            file.database.close()
        target = put_aside(path)
        _log.error("{damage}; it is kept as {aside}, a fresh file goes on", damage=str(damage), aside=target.name)
        return target

    def _opened(self, path: Path) -> MonthFile:
        file = self._open.get(path)
        if file is None:
            file = self._open[path] = _opened(path)
        self._open.move_to_end(path)
        return file


def _opened(path: Path) -> MonthFile:
    """A file for writing, with the number of damaged ones before it kept inside: those may be taken away some day."""
    database = open_writer(path, _SCHEMA)
    try:
        before: int = database.execute("PRAGMA user_version").fetchone()[0]
        if (now := len(aside_of(path))) > before:
            database.execute(f"PRAGMA user_version = {now}")
    except sqlite3.Error:
        database.close()
        raise
    return MonthFile(path, database, max(before, now) * NEWER)


def load(file: MonthFile, key: BlockKey) -> tuple[Dense, bool]:
    """A block, empty where there is none, and whether it was damaged; a damaged one is kept as evidence."""
    interval_s, database = key[0], file.database
    with naming(file.path):
        row = database.execute(BY_KEY, key).fetchone()
        if row is None:
            database.execute("INSERT OR IGNORE INTO kind VALUES (?)", (interval_s,))
            return _noting(Dense.empty(columns_of(interval_s), version=file.newer)), False
        try:
            block = decode_block(interval_s, *row)
            block.arrivals = _arrivals(database, key)
            return block, False
        except ValueError as error:
            values = (*key, row[0], str(error), *row[2:])
            database.execute("INSERT OR REPLACE INTO damaged VALUES (?,?,?,?,?,?,?,?,?)", values)
            return _noting(Dense.empty(columns_of(interval_s), version=row[0])), True


def _noting(block: Dense) -> Dense:
    """An empty block: whatever was noted of one in its place is replaced when something comes."""
    block.arrivals = Arrivals.empty(block.counts.shape)
    block.arrivals.touched = True
    return block


def _arrivals(database: sqlite3.Connection, key: BlockKey) -> Arrivals:
    """What is noted of a block; damaged notes begin anew, because the block itself is whole."""
    try:
        return noted.load_arrivals(database, key)
    except ValueError as error:
        _log.warn("who brought block {key} is not known any more: {error}", key=key, error=str(error))
        arrivals = Arrivals.empty((SLOTS, columns_of(key[0])))
        arrivals.touched = True
        return arrivals


def save(file: MonthFile, key: BlockKey, block: Dense) -> None:
    with naming(file.path):
        file.database.execute(_SAVE, (*key, *encode_block(block)))


def add(file: MonthFile, rows: Sequence[tuple[object, ...]]) -> int:
    """Blocks by their key and the values of `COLUMNS`; how many."""
    with naming(file.path):
        file.database.executemany(_SAVE, rows)
    return len(rows)


def keep_conflicts(
    file: MonthFile, key: BlockKey, conflicts: Sequence[Conflict], received: Mapping[int, int]
) -> int:
    """Keep readings that contradict what is held, received [ns] by row; returns how many were not known yet."""
    interval_s, day, number = key
    first, database = day * columns_of(interval_s), file.database
    before = database.total_changes
    with naming(file.path):
        database.executemany("INSERT OR IGNORE INTO conflict VALUES (?,?,?,?,?,?,?)", [
            (number * SLOTS + one.row, interval_s, first + one.column, one.kind, one.kept, one.value,
             received[one.row])
            for one in conflicts
        ])
    return database.total_changes - before
