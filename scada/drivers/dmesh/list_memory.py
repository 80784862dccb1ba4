"""What module lists said: who had an index before whoever has it now, and which conflicts were told. On the disk.

A concentrator delivers events late, after a break or a restart of either side, and says them of an index. The last list of
each link is kept to see that an owner changed, whoever changed it, and when we first saw that.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.drivers.dmesh.conflicts import Conflict
from scada.drivers.dmesh.numbers import MAX_MODULES
from scada.errors import StorageError
from scada.events import EventCode
from scada.sqlite_file import SqliteFile

FILE: Final = "module-lists.sqlite"
VERSION: Final = 1                      # of the tables
MOST_BEFORE: Final = 8                  # owners of one index that are remembered; the oldest go
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS list (link_id INTEGER PRIMARY KEY, archive_id INTEGER NOT NULL, euis BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS before (
    link_id INTEGER, idx INTEGER, until INTEGER, eui TEXT NOT NULL, PRIMARY KEY (link_id, idx, until)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflict (
    link_id INTEGER, code INTEGER, device TEXT, detail TEXT NOT NULL, PRIMARY KEY (link_id, code, device)
) WITHOUT ROWID;
"""
Told = Mapping[tuple[EventCode, str], Conflict]     # by code and device
Statement = tuple[str, tuple[Any, ...]]
log = Logger()


class ListMemory:
    """Reads are memory; what changes is on the disk soon after. Without a path it lives in memory only."""

    def __init__(self, path: Path | None, run_blocking: Callable[..., "Deferred[Any]"]) -> None:
        self._file = None if path is None else SqliteFile(path, "dmesh", "the memory of module lists", SCHEMA, VERSION)
        self._run = run_blocking
        self._lists: dict[int, tuple[int, NDArray[np.uint64]]] = {}         # by link: archive id, EUIs by index
        self._before: dict[int, dict[int, list[tuple[int, int]]]] = {}      # by link, by index: until [s], EUI; in order
        self._told: dict[int, Told] = {}                                    # by the link that lists the modules
        self._due: list[Statement] = []
        self._writing = False

    def open(self) -> None:
        """Blocking; raises `StartError`, or `StorageError`."""
        if self._file is None:
            return
        self._file.open()
        with self._file.read() as database:
            for link, archive, euis in database.execute("SELECT link_id, archive_id, euis FROM list"):
                self._lists[link] = archive, np.frombuffer(euis, dtype="<u8").astype(np.uint64)
            for link, idx, until, eui in database.execute("SELECT link_id, idx, until, eui FROM before ORDER BY until"):
                self._before.setdefault(link, {}).setdefault(idx, []).append((until, int(eui, 16)))
            for link, code, device, detail in database.execute("SELECT link_id, code, device, detail FROM conflict"):
                told = dict(self._told.get(link, {}))
                told[EventCode(code), device] = Conflict(EventCode(code), device, detail)
                self._told[link] = told

    def close(self) -> None:
        """Blocking; what waits is written first."""
        due, self._due = self._due, []
        try:
            self._store(due)
        except StorageError as error:
            log.warn("{why}", why=str(error))
        if self._file is not None:
            self._file.close()

    # ------------------------------------------------------------------ owners
    def took(self, link_id: int, archive_id: int, euis: NDArray[np.uint64], now: int) -> None:
        """The present list of a link, as EUIs by index, at a site time [s]. Another archive is another concentrator."""
        known, before = self._lists.get(link_id, (archive_id, np.zeros(MAX_MODULES + 1, dtype=np.uint64)))
        if link_id in self._lists and known == archive_id and bool((before == euis).all()):
            return
        self._lists[link_id] = archive_id, euis
        blob = euis.astype("<u8").tobytes()
        self._write(("INSERT OR REPLACE INTO list VALUES (?, ?, ?)", (link_id, archive_id, blob)))
        if known != archive_id:
            self._before.pop(link_id, None)
            self._write(("DELETE FROM before WHERE link_id = ?", (link_id,)))
            return
        for index in np.flatnonzero((before != euis) & (before != 0)).tolist():
            self._left(link_id, index, int(before[index]), now)

    def owner(self, link_id: int, index: int, at: int) -> int:
        """EUI of the module that had an index at a site time [s], before whoever has it now; 0: whoever has it now."""
        owners = self._before.get(link_id, {}).get(index, [])
        place = bisect_right(owners, at, key=lambda one: one[0])
        return owners[place][1] if place < len(owners) else 0

    def _left(self, link_id: int, index: int, eui: int, until: int) -> None:
        owners = self._before.setdefault(link_id, {}).setdefault(index, [])
        if owners and owners[-1][0] >= until:               # a clock that was set back: the later instant stands
            until = owners[-1][0] + 1
        owners.append((until, eui))
        self._write(("INSERT INTO before VALUES (?, ?, ?, ?)", (link_id, index, until, f"{eui:016x}")))
        for old, _ in owners[:-MOST_BEFORE]:
            self._write(("DELETE FROM before WHERE link_id = ? AND idx = ? AND until = ?", (link_id, index, old)))
        del owners[:-MOST_BEFORE]

    # ------------------------------------------------------------------ conflicts
    def conflicts(self, link_id: int) -> Told:
        return self._told.get(link_id, {})

    @property
    def contradicting(self) -> tuple[int, ...]:
        """The links whose lists do."""
        return tuple(self._told)

    def keep(self, link_id: int, told: Told) -> None:
        """What is told of a link's list from now on."""
        before = self._told.get(link_id, {})
        if told == before:
            return
        for code, device in before.keys() - told.keys():
            statement = "DELETE FROM conflict WHERE link_id = ? AND code = ? AND device = ?"
            self._write((statement, (link_id, int(code), device)))
        for key, one in told.items():
            if before.get(key) != one:
                row = (link_id, int(one.code), one.device, one.detail)
                self._write(("INSERT OR REPLACE INTO conflict VALUES (?, ?, ?, ?)", row))
        self._told.pop(link_id, None)
        if told:
            self._told[link_id] = told

    # ------------------------------------------------------------------ disk
    def _write(self, statement: Statement) -> None:
        """Many changes go in one write."""
        if self._file is not None:
            self._due.append(statement)
            self._go_on()

    def _go_on(self) -> None:
        if self._due and not self._writing:
            due, self._due, self._writing = self._due, [], True
            self._run(self._store, due).addBoth(self._over).addErrback(_failed)

    def _over(self, outcome: Any) -> Any:
        self._writing = False
        self._go_on()
        return outcome

    def _store(self, statements: list[Statement]) -> None:
        if self._file is not None and statements:
            with self._file.transaction() as database:
                for statement, values in statements:
                    database.execute(statement, values)


def _failed(failure: Failure) -> None:
    """Memory goes on; after a restart a change is seen again, a little later, and a conflict is told once more."""
    failure.trap(StorageError)
    log.warn("{why}", why=failure.getErrorMessage())
