"""How far each concentrator's events were taken: on the disk before they are acknowledged, so that no restart loses one.

A cursor is written after whoever stores events has them durably, and before EVENT_ACK. A process that dies in between hears
the last batch again, whose sequence numbers the alarms know. Many cursors go in one write.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scada.errors import StorageError
from scada.sqlite_file import SqliteFile

FILE: Final = "dmesh.sqlite"
VERSION: Final = 1                      # of the tables
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS event_cursor (link_id INTEGER, archive_id INTEGER, sequence, PRIMARY KEY (link_id, archive_id));
"""
Key = tuple[int, int]                   # (link id, archive id)


class EventCursors:
    """Highest sequence taken, by (link id, archive id). Without a path it lives in memory only."""

    def __init__(self, path: Path | None, run_blocking: Callable[..., "Deferred[Any]"]) -> None:
        self._file = None if path is None else SqliteFile(path, "dmesh", "the file of event cursors", SCHEMA, VERSION)
        self._run = run_blocking
        self._reached: dict[Key, int] = {}
        self._next: dict[Key, int] = {}                     # what the next write takes
        self._waiting: list[Deferred[None]] = []
        self._writing = False

    def open(self) -> None:
        """Blocking; raises `StartError`, or `StorageError`."""
        if self._file is not None:
            self._file.open()
            with self._file.read() as database:
                rows = database.execute("SELECT link_id, archive_id, sequence FROM event_cursor").fetchall()
            self._reached = {(link, archive): sequence for link, archive, sequence in rows}

    def close(self) -> None:
        """Blocking."""
        if self._file is not None:
            self._file.close()

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
        if self._file is not None:
            with self._file.transaction() as database:
                rows = [(*key, sequence) for key, sequence in cursors.items()]
                database.executemany("INSERT OR REPLACE INTO event_cursor VALUES (?, ?, ?)", rows)

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

