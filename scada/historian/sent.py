"""Which version of each block a destination has: rows of its spool, compared with a store's a month at a time. Pure.

Years of blocks of a large site are millions: they stay on disk, and what is compared is arrays.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from scada.historian.rows import BlockKey

Versions = NDArray[np.int64]            # (n, 4): interval_s, day, block, version
HasVersions = Callable[[int, int, int], Versions]               # interval_s, first day, last day; in their order
_DAY: Final = 24                        # bits of a block's number, 4 thousand million channels
_INTERVAL: Final = 46                   # and of a day's


class Sent(Protocol):
    """What a destination has."""

    def version(self, key: BlockKey) -> int:
        """Of one block; 0: it has none."""

    def versions(self, interval_s: int, first_day: int, last_day: int) -> Versions:
        """Of the blocks of some days, both included, in the order of days and blocks."""

    def mark_sent(self, key: BlockKey, version: int) -> None:
        """Durable when it returns."""

    def forgotten(self) -> str:
        """Something that changes when blocks that were sent shall be sent again."""


def versions_of(rows: Iterable[tuple[int, int, int, int]]) -> Versions:
    """Rows as they come out of a file; never all of them as Python's numbers."""
    return np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 4)


def newer(there: Versions, has: HasVersions) -> Versions:
    """Those rows of a store of which a destination has an older version, or none."""
    return np.concatenate([
        _newer_of(mine, has(interval_s, int(mine[:, 1].min()), int(mine[:, 1].max())))
        for interval_s in np.unique(there[:, 0]).tolist()
        for mine in (there[there[:, 0] == interval_s],)
    ] or [there])


def _newer_of(there: Versions, sent: Versions) -> Versions:
    if not len(sent):
        return there
    keys, known = _packed(there), _packed(sent)
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    has = np.where(known[place] == keys, sent[place, 3], 0)
    return there[has < there[:, 3]]


def _packed(rows: Versions) -> NDArray[np.int64]:
    """A number for each key, in the keys' order."""
    return rows[:, 0] << _INTERVAL | rows[:, 1] << _DAY | rows[:, 2]
