"""Which members hold which group's key, and which epoch is in use where: on the disk, so that a restart goes on from there.

No key is in it, only the check that tells one key of an epoch from another.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail

from scada.columns import Pairs
from scada.drivers.dmesh.group_keys import NOBODY, InUse, joined
from scada.errors import StorageError

FILE: Final = "group-keys.sqlite"
VERSION: Final = 1
SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS held (link_id, number, epoch, key_check, euis, PRIMARY KEY (link_id, number, epoch));
CREATE TABLE IF NOT EXISTS in_use (link_id, number, epoch, indices, euis, PRIMARY KEY (link_id, number));
PRAGMA user_version = {VERSION};
"""
NO_CHECK: Final = b""
Place = tuple[int, int]                 # link id, group number


class KeyLedger:
    """Reads are memory; a change is in memory once it is on the disk. Without a path it lives in memory only."""

    def __init__(self, path: Path | None, run_blocking: Callable[..., "Deferred[Any]"] | None = None) -> None:
        """Who only reads needs no thread to write in."""
        self._path, self._run = path, run_blocking or _nowhere
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._held: dict[Place, dict[int, tuple[bytes, NDArray[np.uint64]]]] = {}   # by epoch
        self._in_use: dict[Place, InUse] = {}

    def open(self, *, read_only: bool = False) -> None:
        """Blocking; raises `StorageError`. Another process may read along."""
        if self._path is None or (read_only and not self._path.exists()):
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise StorageError(f"{self._path} was written by another version (tables {found}, expected {VERSION})")
            if not read_only:
                self._database.executescript(SCHEMA)
            held = self._database.execute("SELECT link_id, number, epoch, key_check, euis FROM held").fetchall()
            used = self._database.execute("SELECT link_id, number, epoch, indices, euis FROM in_use").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self._path} could not be opened: {error}") from error
        for link, number, epoch, check, euis in held:
            self._held.setdefault((link, number), {})[epoch] = check, _euis(euis)
        self._in_use = {
            (link, number): InUse(epoch, Pairs(np.frombuffer(indices, dtype=np.uint8), _euis(euis)))
            for link, number, epoch, indices, euis in used
        }

    def close(self) -> None:
        """Blocking."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    # ------------------------------------------------------------------ memory
    def held(self, link_id: int, number: int, epoch: int, check: bytes = NO_CHECK) -> NDArray[np.uint64]:
        """EUIs that hold the key of an epoch; of the key with this check, where one is given."""
        known, euis = self._held.get((link_id, number), {}).get(epoch, (check, NOBODY))
        return euis if check in (NO_CHECK, known) else NOBODY

    def in_use(self, link_id: int, number: int) -> InUse | None:
        return self._in_use.get((link_id, number))

    # ------------------------------------------------------------------ changes
    async def add(self, link_id: int, number: int, epoch: int, check: bytes, euis: tuple[int, ...]) -> None:
        """These have shown that they hold the key. Fails with `StorageError`, and then nothing has changed."""
        before = self.held(link_id, number, epoch, check)
        after = joined(before, euis)
        if len(after) == len(before):
            return
        row = (link_id, number, epoch, check, after.astype("<u8").tobytes())
        await self._run(self._write, [("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?)", row)])
        self._held.setdefault((link_id, number), {})[epoch] = check, after

    async def use(self, link_id: int, number: int, epoch: int, pairs: Pairs) -> None:
        """From now on commands go out under this epoch; what was held of older ones is forgotten."""
        if self._in_use.get((link_id, number)) == InUse(epoch, pairs):
            return
        indices, euis = pairs.indices.astype(np.uint8).tobytes(), pairs.euis.astype("<u8").tobytes()
        await self._run(self._write, [
            ("INSERT OR REPLACE INTO in_use VALUES (?, ?, ?, ?, ?)", (link_id, number, epoch, indices, euis)),
            ("DELETE FROM held WHERE link_id = ? AND number = ? AND epoch < ?", (link_id, number, epoch)),
        ])
        self._in_use[link_id, number] = InUse(epoch, pairs)
        of_group = self._held.get((link_id, number), {})
        for older in [one for one in of_group if one < epoch]:
            del of_group[older]

    def _write(self, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        if self._path is None:
            return
        try:
            with self._lock:
                if self._database is None:
                    raise StorageError(f"{self._path} is closed")
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    for statement, values in statements:
                        self._database.execute(statement, values)
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise StorageError(f"{self._path} could not be written: {error}") from error


def _nowhere(*_: object) -> "Deferred[Any]":
    return fail(StorageError("this ledger is only read"))


def _euis(blob: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(blob, dtype="<u8").astype(np.uint64)
