"""Which blocks of the store a destination does not have yet, as lines for it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from scada.historian.blocks import keys_of
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.dense import SLOTS, Dense
from scada.historian.lines import block_lines
from scada.historian.months import month_path, month_paths
from scada.historian.removal import lacking
from scada.historian.rows import BY_KEY, BlockKey, decode_block
from scada.historian.slots import SlotBook
from scada.intervals import Mark

_VERSIONS: Final = "SELECT interval_s, day, block, version FROM block"


class Backlog:
    """`versions` are what the destination has of each block; marks come in the reactor's thread, the rest in another."""

    def __init__(self, store_dir: Path, book: Callable[[], SlotBook]) -> None:
        self._store_dir, self._book = store_dir, book
        self._pool = ReadPool()
        self._lock = threading.Lock()
        self._pending: dict[BlockKey, None] = {}
        self._versions: dict[BlockKey, int] = {}
        self._all = 0                               # blocks there were when this was opened
        self.filling = False                        # some of those wait still
        self._under_way: BlockKey | None = None
        self._first: BlockKey | None = None         # of those that wait, the one to be tried before the others

    def __len__(self) -> int:
        """Those that wait and the one that is being sent."""
        taken = self._under_way
        return len(self._pending) + (taken is not None and taken not in self._pending)

    def open(self, versions: dict[BlockKey, int]) -> None:
        """Find the blocks that are newer than what was sent; again, when that was changed. Blocking."""
        if self._versions and versions == self._versions:
            return
        pending, count = [], 0
        for path in month_paths(self._store_dir):
            try:
                with self._pool.reading(path) as database:
                    rows = database.execute(_VERSIONS).fetchall() if database else []
            except DamagedFile:
                continue                            # the store's own health names it
            count += len(rows)
            pending += [tuple(key) for *key, version in rows if versions.get(tuple(key), 0) < version]
        with self._lock:
            self._versions = versions
            self._pending |= dict.fromkeys(pending)
            self._all, self.filling = count, bool(self._pending)

    def close(self) -> None:
        self._pool.close()

    @property
    def percent(self) -> float:
        """Share of the blocks there were at the beginning that the destination has; 100 from when it had all of them."""
        left = len(self._pending)
        return 100.0 * (1.0 - left / max(self._all, left)) if self.filling and left else 100.0

    def changed(self, mark: Mark) -> None:
        """A commit changed blocks."""
        with self._lock:
            self._pending |= dict.fromkeys(keys_of(mark))

    def take(self) -> BlockKey | None:
        """The next one; a commit that comes meanwhile enters it again."""
        with self._lock:
            key = self._first if self._first is not None else next(iter(self._pending), None)
            if key is not None:
                self._pending.pop(key, None)
            self._first, self._under_way = None, key
            return key

    def again(self, key: BlockKey, *, first: bool = False) -> None:
        """It could not be sent; `first`: it is the next that is tried."""
        with self._lock:
            self._pending[key] = None
            self._first, self._under_way = key if first else None, None

    def lines(self, key: BlockKey) -> tuple[bytes, int, int] | None:
        """(body, number of lines, version) of what changed since the version that was sent; None if nothing."""
        block, sent = self._load(key), self._versions.get(key, 0)
        if block is None or block.version <= sent:
            self._done()
            return None
        book = self._book()
        slots = key[2] * SLOTS + np.arange(SLOTS)
        rows = np.flatnonzero(book.known(slots))
        eui, channel = book.channels(slots[rows])
        columns = np.flatnonzero(block.column_version > sent)
        body = "".join(block_lines(block, key[0], key[1], columns, rows, eui, channel))
        return body.encode(), body.count("\n"), block.version

    def sent(self, key: BlockKey, version: int) -> None:
        self._versions[key] = version
        self._done()

    def lacks(self, path: Path) -> bool:
        """Whether the destination has not confirmed all of a month file; what is on its way is not confirmed. Blocking."""
        return lacking(path, self._versions)

    def _done(self) -> None:
        """What was taken is not waited for any more."""
        self._under_way = None
        if not self._pending:
            self.filling = False

    def _load(self, key: BlockKey) -> Dense | None:
        try:
            with self._pool.reading(month_path(self._store_dir, key[1])) as database:
                row = database.execute(BY_KEY, key).fetchone() if database else None
            return decode_block(key[0], *row) if row else None
        except (ValueError, DamagedFile):
            return None                             # the store's own health names it
