"""Which members hold which group's key, and which epoch is in use where: on the disk, so that a restart goes on from there.

No key is in it, only the check that tells one key of an epoch from another.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail

from scada.columns import Pairs
from scada.drivers.dmesh.group_keys import NOBODY, InUse, joined
from scada.errors import StorageError
from scada.sqlite_file import SqliteFile

FILE: Final = "group-keys.sqlite"
VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS held (link_id, number, epoch, key_check, euis, PRIMARY KEY (link_id, number, epoch));
CREATE TABLE IF NOT EXISTS in_use (link_id, number, epoch, indices, euis, PRIMARY KEY (link_id, number));
"""
NO_CHECK: Final = b""
Place = tuple[int, int]                 # link id, group number


class KeyLedger:
    """Reads are memory; a change is in memory once it is on the disk. Without a path it lives in memory only."""

    def __init__(self, path: Path | None, run_blocking: Callable[..., "Deferred[Any]"] | None = None) -> None:
        """Who only reads needs no thread to write in."""
        self._run = run_blocking or _nowhere
        self._file = None if path is None else SqliteFile(path, "dmesh", "the ledger of group keys", SCHEMA, VERSION)
        self._held: dict[Place, dict[int, tuple[bytes, NDArray[np.uint64]]]] = {}   # by epoch
        self._in_use: dict[Place, InUse] = {}

    def open(self, *, read_only: bool = False) -> None:
        """Blocking; raises `StartError`, or `StorageError`. Another process may read along."""
        if self._file is None or (read_only and not self._file.path.exists()):
            return
        self._file.open(read_only=read_only)
        with self._file.read() as database:
            held = database.execute("SELECT link_id, number, epoch, key_check, euis FROM held").fetchall()
            used = database.execute("SELECT link_id, number, epoch, indices, euis FROM in_use").fetchall()
        for link, number, epoch, check, euis in held:
            self._held.setdefault((link, number), {})[epoch] = check, _euis(euis)
        self._in_use = {
            (link, number): InUse(epoch, Pairs(np.frombuffer(indices, dtype=np.uint8), _euis(euis)))
            for link, number, epoch, indices, euis in used
        }

    def close(self) -> None:
        """Blocking."""
        if self._file is not None:
            self._file.close()

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
        if self._file is not None:
            with self._file.transaction() as database:
                for statement, values in statements:
                    database.execute(statement, values)


def _nowhere(*_: object) -> "Deferred[Any]":
    return fail(StorageError("this ledger is only read"))


def _euis(blob: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(blob, dtype="<u8").astype(np.uint64)
