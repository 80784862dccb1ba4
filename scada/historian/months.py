"""The month files: one SQLite file a month, a row per (interval length, day, block of 256 slots)."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from scada.historian.database import open_writer, transaction
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
"""
Month = Callable[[int], sqlite3.Connection]         # the file that holds a day, inside the transaction


def month_path(directory: Path, day: int) -> Path:
    """The file that holds a day (since 1970, UTC)."""
    return directory / f"intervals-{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m}.sqlite"


def month_paths(directory: Path) -> list[Path]:
    """All month files, oldest first."""
    return sorted(directory.glob("intervals-????-??.sqlite"))


class Months:
    """The files that are open for writing; one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[Path, sqlite3.Connection] = OrderedDict()

    @contextmanager
    def transaction(self) -> Iterator[Month]:
        """One transaction in every file that is asked for; each is durable when the block ends."""
        with ExitStack() as stack:
            inside: dict[Path, sqlite3.Connection] = {}

            def month(day: int) -> sqlite3.Connection:
                path = month_path(self._directory, day)
                if path not in inside:
                    inside[path] = stack.enter_context(transaction(self._file(path)))
                return inside[path]

            yield month

    def trim(self) -> None:
        """Close the files that were not used of late."""
        while len(self._open) > OPEN_MONTHS:
            self._open.popitem(last=False)[1].close()

    def close(self) -> None:
        for database in self._open.values():
            database.close()
        self._open.clear()

    def _file(self, path: Path) -> sqlite3.Connection:
        database = self._open.get(path)
        if database is None:
            database = self._open[path] = open_writer(path, _SCHEMA)
        self._open.move_to_end(path)
        return database


def load(database: sqlite3.Connection, key: BlockKey) -> tuple[Dense, bool]:
    """A block, empty where there is none, and whether it was damaged; a damaged one is kept as evidence."""
    interval_s = key[0]
    row = database.execute(BY_KEY, key).fetchone()
    if row is None:
        database.execute("INSERT OR IGNORE INTO kind VALUES (?)", (interval_s,))
        return Dense.empty(columns_of(interval_s)), False
    try:
        return decode_block(interval_s, *row), False
    except ValueError as error:
        values = (*key, row[0], str(error), *row[2:])
        database.execute("INSERT OR REPLACE INTO damaged VALUES (?,?,?,?,?,?,?,?,?)", values)
        return Dense.empty(columns_of(interval_s), version=row[0]), True


def save(database: sqlite3.Connection, key: BlockKey, block: Dense) -> None:
    database.execute(
        f"INSERT OR REPLACE INTO block (interval_s, day, block, {COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)",
        (*key, *encode_block(block)),
    )


def keep_conflicts(database: sqlite3.Connection, key: BlockKey, conflicts: Sequence[Conflict], received: int) -> int:
    """Keep readings that contradict what is held; returns how many were not known yet."""
    interval_s, day, number = key
    first = day * columns_of(interval_s)
    before = database.total_changes
    database.executemany("INSERT OR IGNORE INTO conflict VALUES (?,?,?,?,?,?,?)", [
        (number * SLOTS + one.row, interval_s, first + one.column, one.kind, one.kept, one.value, received)
        for one in conflicts
    ])
    return database.total_changes - before
