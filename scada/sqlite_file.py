"""One small SQLite file: its tables, their version, and transactions that say what went wrong. Blocking."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from scada.errors import StartError, StorageError

BUSY_S: Final = 10.0                    # wait for another process: the command line, or the server
Upgrade = Callable[[sqlite3.Connection], None]


class SqliteFile:
    """What a transaction has written is on the disk when it ends. Any thread may call, and waits for the one before it."""

    def __init__(
        self, path: Path, part: str, what: str, schema: str, version: int, *,
        upgrades: Mapping[int, Upgrade] | None = None, foreign_keys: bool = False,
    ) -> None:
        """
        `part` cannot start without the file; `what` is its name in a sentence. `schema` makes what is not there yet.

        `upgrades` bring tables of an earlier version to this one, after `schema`; files of all other versions are refused.
        """
        self.path, self._part, self._what = path, part, what
        self._schema, self._version, self._upgrades = schema, version, upgrades or {}
        self._foreign_keys = foreign_keys
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def open(self, *, read_only: bool = False) -> None:
        """Make the folder, the file and its tables, all or none of them; raises `StartError`, and has changed nothing."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path, BUSY_S, check_same_thread=False, isolation_level=None)
            try:
                self._prepare(database, read_only)
            except BaseException:
                database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            remedy = "check the space on its disk, and whose file it is"
            raise StartError(self._part, f"{self.path} cannot be opened: {error}", remedy) from None
        self._database = database

    def _prepare(self, database: sqlite3.Connection, read_only: bool) -> None:
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, self._version, *self._upgrades}:
            expected = f"(tables {found}, expected {self._version})"
            raise StartError(self._part, f"{self.path} was written by another version {expected}", "use that version")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")         # with NORMAL the last commits are lost when the power fails
        database.execute(f"PRAGMA foreign_keys={int(self._foreign_keys)}")
        if not read_only:
            database.executescript(f"BEGIN IMMEDIATE; {self._schema}")
            if found in self._upgrades:
                self._upgrades[found](database)
            database.execute(f"PRAGMA user_version={self._version}")
            database.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """All of it or nothing of it, durable when the block ends; raises `StorageError`, and the next one goes on."""
        return self._within("BEGIN IMMEDIATE")

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """The file as it is at one instant; raises `StorageError`."""
        return self._within("BEGIN")

    @contextmanager
    def _within(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._database is None:
                raise StorageError(f"{self._what} is closed")
            try:
                self._database.execute(begin)
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                finally:
                    if self._database.in_transaction:       # something above failed, a COMMIT on a full disk included
                        self._database.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StorageError(f"{self._what} {self.path} cannot be used: {error}") from None
