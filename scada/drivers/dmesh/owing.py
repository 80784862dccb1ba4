"""Since when each module owes its hours: from the first whole hour after this server knew of it, kept on the disk.

Without it a module that never delivered would be forgotten at every restart, and a newcomer would owe hours from before it
existed. What is not written yet is known all the same: a disk that fails costs a later beginning after the next restart.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.drivers.dmesh.event_cursors import VERSION
from scada.sqlite_file import SqliteFile

NOTHING: Final = 2**31                  # an hour that never comes: who is not known owes nothing
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS owing (hour INTEGER NOT NULL, euis BLOB NOT NULL);
"""                                     # rows are added: who was met in one hour, 8 bytes each


class Owing:
    """Columns sorted by EUI. Without a path it lives in memory only. Its file is that of the event cursors."""

    log = Logger()

    def __init__(self, path: Path | None, run_blocking: Callable[..., "Deferred[Any]"]) -> None:
        self._file = None if path is None else SqliteFile(path, "dmesh", "the file of event cursors", SCHEMA, VERSION)
        self._run = run_blocking
        self._euis = np.zeros(0, dtype=np.uint64)
        self._hours = np.zeros(0, dtype=np.int64)
        self._unwritten: list[tuple[int, bytes]] = []
        self._writing = self._failing = False

    def open(self) -> None:
        """Blocking; raises `StartError`, or `StorageError`."""
        if self._file is None:
            return
        self._file.open()
        with self._file.read() as database:
            rows = database.execute("SELECT hour, euis FROM owing").fetchall()
        if rows:
            euis = np.concatenate([np.frombuffer(known, dtype="<u8") for _, known in rows]).astype(np.uint64)
            hours = np.repeat([hour for hour, _ in rows], [len(known) // 8 for _, known in rows])
            order = np.lexsort((hours, euis))               # of a module that was met twice, the earlier hour
            self._euis, first = np.unique(euis[order], return_index=True)
            self._hours = hours[order][first].astype(np.int64)

    def close(self) -> None:
        """Blocking: what could not be written before is written now, if it can be."""
        if self._file is not None:
            if self._unwritten:
                self._store(self._unwritten)
            self._file.close()

    def since(self, euis: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,) the hour from which each module owes something [h since 1970]; `NOTHING` of one never met."""
        if not len(self._euis):
            return np.full(len(euis), NOTHING, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._euis, euis), len(self._euis) - 1)
        return np.where(self._euis[at] == euis, self._hours[at], NOTHING)

    def meet(self, euis: NDArray[np.uint64], hour: int) -> None:
        """Modules are there in this hour; who is known already owes no less by it, and more if a clock went back."""
        found = np.unique(euis[self.since(euis) > hour + 1])
        if not len(found):
            return
        old = np.isin(self._euis, found)
        self._hours[old] = hour + 1
        new = found[~np.isin(found, self._euis[old])]
        at = np.searchsorted(self._euis, new)
        self._euis, self._hours = np.insert(self._euis, at, new), np.insert(self._hours, at, hour + 1)
        if self._file is not None:
            self._unwritten.append((hour + 1, found.astype("<u8").tobytes()))
            self._write()

    # ------------------------------------------------------------------ private
    def _write(self) -> None:
        """One write at a time, and whatever has come meanwhile in the next."""
        if self._writing or not self._unwritten:
            return
        rows, self._unwritten, self._writing = self._unwritten, [], True

        def over(outcome: object) -> None:
            self._writing = False
            if isinstance(outcome, Failure):                # tried again with the next module that comes, and at the end
                self._unwritten = rows + self._unwritten
                if not self._failing:
                    self.log.warn("since when modules owe hours is not on the disk: {why}", why=outcome.getErrorMessage())
            else:
                self._write()
            self._failing = isinstance(outcome, Failure)

        self._run(self._store, rows).addBoth(over)

    def _store(self, rows: list[tuple[int, bytes]]) -> None:
        assert self._file is not None
        with self._file.transaction() as database:
            database.executemany("INSERT INTO owing VALUES (?, ?)", rows)
