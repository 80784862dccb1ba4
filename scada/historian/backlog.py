"""Which blocks of the store a destination does not have yet, as lines for it.

Of what is far behind only the days are in memory, with how many blocks each lacks: a day is looked into when its turn
comes. Which versions the destination has stands in its spool.
"""

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
from scada.historian.sent import Sent, newer, versions_of
from scada.historian.slots import SlotBook
from scada.intervals import Mark

KEYS_MOST: Final = 50_000               # blocks that are known one by one; more of them are known by their days
_VERSIONS: Final = "SELECT interval_s, day, block, version FROM block"
_OF_DAY: Final = f"{_VERSIONS} WHERE interval_s = ? AND day = ?"
Day = tuple[int, int]                   # interval_s, day since 1970


class Backlog:
    """`sent` is what the destination has of each block; marks come in the reactor's thread, the rest in another."""

    def __init__(self, store_dir: Path, book: Callable[[], SlotBook], sent: Sent) -> None:
        self._store_dir, self._book, self._sent = store_dir, book, sent
        self._pool = ReadPool()
        self._lock = threading.Lock()
        self._keys: dict[BlockKey, None] = {}       # those that wait one by one
        self._days: dict[Day, int] = {}             # days that were not looked into yet, and about how many of each wait
        self._in_days = 0
        self._all = 0                               # blocks there were when this was opened
        self._forgotten: str | None = None          # of `sent`, when this was opened
        self.filling = False                        # some of those wait still
        self._under_way: BlockKey | None = None
        self._first: BlockKey | None = None         # of those that wait, the one to be tried before the others

    def __len__(self) -> int:
        """Those that wait and the one that is being sent; about, where many wait."""
        taken = self._under_way
        return self._left + (taken is not None and taken not in self._keys)

    def open(self) -> None:
        """Find the blocks that are newer than what was sent; again, where some shall be sent again. Blocking."""
        forgotten = self._sent.forgotten()
        if forgotten == self._forgotten:
            return
        days, count = dict[Day, int](), 0
        for path in month_paths(self._store_dir):
            try:
                with self._pool.reading(path) as database:
                    there = versions_of(database.execute(_VERSIONS) if database else ())
            except DamagedFile:
                continue                            # the store's own health names it
            count += len(there)
            found, blocks = np.unique(newer(there, self._sent.versions)[:, :2], axis=0, return_counts=True)
            days |= zip(map(tuple, found.tolist()), blocks.tolist(), strict=True)
        with self._lock:
            self._days, self._in_days = days, sum(days.values())
            self._all, self.filling, self._forgotten = count, bool(self._left), forgotten

    def close(self) -> None:
        self._pool.close()

    @property
    def percent(self) -> float:
        """Share of the blocks there were at the beginning that the destination has; 100 from when it had all of them."""
        left = self._left
        return 100.0 * (1.0 - left / max(self._all, left)) if self.filling and left else 100.0

    def changed(self, mark: Mark) -> None:
        """A commit changed blocks."""
        with self._lock:
            self._keys |= dict.fromkeys(keys_of(mark))
            if len(self._keys) > KEYS_MOST:
                self._by_days()

    def take(self) -> BlockKey | None:
        """The next one; a commit that comes meanwhile enters it again."""
        while (key := self._next()) is None and self._days:
            self._look_into_day()
        return key

    def again(self, key: BlockKey, *, first: bool = False) -> None:
        """It could not be sent; `first`: it is the next that is tried."""
        with self._lock:
            self._keys[key] = None
            self._first, self._under_way = key if first else None, None

    def lines(self, key: BlockKey) -> tuple[bytes, int, int] | None:
        """(body, number of lines, version) of what changed since the version that was sent; None if nothing."""
        block, sent = self._load(key), self._sent.version(key)
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
        """The destination has confirmed it; durable when this returns."""
        self._sent.mark_sent(key, version)
        self._done()

    def lacks(self, path: Path) -> bool:
        """Whether the destination has not confirmed all of a month file; what is on its way is not confirmed. Blocking."""
        return lacking(path, self._sent.versions)

    # ------------------------------------------------------------------ private
    @property
    def _left(self) -> int:
        return len(self._keys) + self._in_days

    def _next(self) -> BlockKey | None:
        with self._lock:
            key = self._first if self._first is not None else next(iter(self._keys), None)
            if key is not None:
                self._keys.pop(key, None)
            self._first, self._under_way = None, key
            return key

    def _look_into_day(self) -> None:
        """Know the blocks of the first day one by one; it stays where it is if its file cannot be read now."""
        day = next(iter(self._days))
        try:
            with self._pool.reading(month_path(self._store_dir, day[1])) as database:
                there = versions_of(database.execute(_OF_DAY, day) if database else ())
        except DamagedFile:
            there = versions_of(())                 # the store's own health names it
        keys = [tuple(row) for row in newer(there, self._sent.versions)[:, :3].tolist()]
        with self._lock:
            self._in_days -= self._days.pop(day, 0)
            self._keys |= dict.fromkeys(keys)
            if not self._left:
                self.filling = False

    def _by_days(self) -> None:
        """So many wait that their days are enough."""
        days: dict[Day, int] = {}
        for interval_s, day, _ in self._keys:
            days[interval_s, day] = days.get((interval_s, day), 0) + 1
        for one, blocks in days.items():
            before = self._days.get(one, 0)         # they may be the same blocks
            self._days[one] = max(before, blocks)
            self._in_days += self._days[one] - before
        self._keys.clear()

    def _done(self) -> None:
        """What was taken is not waited for any more."""
        self._under_way = None
        if not self._left:
            self.filling = False

    def _load(self, key: BlockKey) -> Dense | None:
        try:
            with self._pool.reading(month_path(self._store_dir, key[1])) as database:
                row = database.execute(BY_KEY, key).fetchone() if database else None
            return decode_block(key[0], *row) if row else None
        except (ValueError, DamagedFile):
            return None                             # the store's own health names it
