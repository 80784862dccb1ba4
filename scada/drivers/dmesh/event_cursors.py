"""How far each concentrator's events were taken: on the disk before they are acknowledged, so that no restart loses one.

A cursor is written after whoever stores events has them durably, and before EVENT_ACK. A process that dies in between hears
the last batch again, whose sequence numbers the alarms know. Many cursors go in one write.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scada.errors import StorageError

FILE: Final = "dmesh.sqlite"
VERSION: Final = 1                      # of the tables
SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS event_cursor (link_id INTEGER, archive_id INTEGER, sequence, PRIMARY KEY (link_id, archive_id));
PRAGMA user_version = {VERSION};
"""
Key = tuple[int, int]                   # (link id, archive id)


class EventCursors:
    """Highest sequence taken, by (link id, archive id). Without a path it lives in memory only."""

    def __init__(self, path: Path | None, run_blocking: Callable[..., "Deferred[Any]"]) -> None:
        self._path, self._run = path, run_blocking
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._reached: dict[Key, int] = {}
        self._next: dict[Key, int] = {}                     # what the next write takes
        self._waiting: list[Deferred[None]] = []
        self._writing = False

    def open(self) -> None:
        """Blocking; raises `StorageError`."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise StorageError(f"{self._path} was written by another version (tables {found}, expected {VERSION})")
            self._database.executescript(SCHEMA)
            rows = self._database.execute("SELECT link_id, archive_id, sequence FROM event_cursor").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self._path} could not be opened: {error}") from error
        self._reached = {(link, archive): sequence for link, archive, sequence in rows}

    def close(self) -> None:
        """Blocking."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def get(self, key: Key) -> int:
        return self._reached.get(key, 0)

    def commit(self, key: Key, sequence: int) -> "Deferred[None]":
        """Fires when the cursor is on the disk; fails with `StorageError`, and then it has not moved."""
        written: Deferred[None] = Deferred()
        self._next[key] = sequence
        self._waiting.append(written)
        self._write()
        return written

    def forget(self, key: Key) -> None:
        """Events of this archive count anew: at once here, and on the disk as soon as it can be."""
        self._reached.pop(key, None)
        self.commit(key, 0).addErrback(lambda failure: failure.trap(StorageError))

    # ------------------------------------------------------------------ private
    def _write(self) -> None:
        if self._writing or not self._waiting:
            return
        cursors, waiting, self._next, self._waiting = self._next, self._waiting, {}, []
        self._writing = True
        self._run(self._store, cursors).addCallbacks(
            self._written, self._failed, callbackArgs=(cursors, waiting), errbackArgs=(waiting,)
        )

    def _store(self, cursors: dict[Key, int]) -> None:
        if self._path is None:
            return
        rows = [(*key, sequence) for key, sequence in cursors.items()]
        try:
            with self._lock:
                if self._database is None:
                    raise StorageError(f"{self._path} is closed")
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    self._database.executemany("INSERT OR REPLACE INTO event_cursor VALUES (?, ?, ?)", rows)
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise StorageError(f"{self._path} could not be written: {error}") from error

    def _written(self, _: object, cursors: dict[Key, int], waiting: list["Deferred[None]"]) -> None:
        self._reached |= cursors
        self._over()
        for one in waiting:
            one.callback(None)

    def _failed(self, failure: Failure, waiting: list["Deferred[None]"]) -> None:
        self._over()
        for one in waiting:
            one.errback(failure)

    def _over(self) -> None:
        self._writing = False
        self._write()

