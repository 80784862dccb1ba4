"""What to ask a concentrator for next: holes, newest first, for all modules with the same hours, within their radio budget.

Pure: the clock's readings come in as numbers. Times of the ledger are monotonic real time, days are site days of UTC.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.drivers.dmesh.coverage import Words
from scada.drivers.dmesh.numbers import MAX_MODULES

FIRST_WAIT_S: Final = 60.0              # real time before a module that gave nothing new is asked again; doubles
LONGEST_WAIT_S: Final = 6 * 3600.0
SIZE: Final = MAX_MODULES + 1           # arrays by subnet index


@attrs.frozen
class Read:
    """One ARCH_READ: hours of one UTC day, of one or more modules."""

    first: int                          # h since 1970
    hours: int
    modules: tuple[int, ...]            # subnet indices

    @property
    def day(self) -> int:
        return self.first // DAY_H

    @property
    def word(self) -> int:
        """Its hours as bits of the day."""
        return ((1 << self.hours) - 1) << (self.first % DAY_H)


class Ledger:
    """What asking has cost each module today, and who is left alone for a while. By subnet index."""

    def __init__(self, budget: int) -> None:
        self.budget = budget                                # relayed packets a day
        self.spent = np.zeros(SIZE, dtype=np.int64)
        self._day = 0
        self._strikes = np.zeros(SIZE, dtype=np.int64)
        self._until = np.zeros(SIZE)                        # real time, monotonic [s]

    def ready(self, cost: NDArray[np.int64], day: int, now: float) -> NDArray[np.bool_]:
        """Whom one more read may be asked of."""
        if day != self._day:
            self._day = day
            self.spent[:] = 0
        ready = (self.spent + cost <= self.budget) & (self._until <= now)
        ready[0] = False
        return ready

    def charge(self, read: Read, cost: NDArray[np.int64]) -> None:
        chosen = list(read.modules)
        self.spent[chosen] += cost[chosen]

    def settle(self, read: Read, gained: NDArray[np.bool_], now: float) -> None:
        """After a read: who gave nothing new is asked again later, each time twice as late."""
        chosen = np.array(read.modules, dtype=np.int64)
        nothing = chosen[~gained[chosen]]
        self._strikes[chosen[gained[chosen]]] = 0
        wait = FIRST_WAIT_S * 2.0 ** np.minimum(self._strikes[nothing], 16)
        self._until[nothing] = now + np.minimum(wait, LONGEST_WAIT_S)
        self._strikes[nothing] += 1


def cost_of_a_read(level: NDArray[np.int64], blocks: int = 1) -> NDArray[np.int64]:
    """Packets that a module's blocks are on the radio: one a level and block; a level of 0 is not known and counts as 1."""
    cost: NDArray[np.int64] = np.maximum(level, 1) * blocks
    return cost


def by_module(lack: Words, index: NDArray[np.int64]) -> Words:
    """(days, n) hours missing of channels -> (days, 241) of modules: what any of their channels lacks."""
    found = np.zeros((len(lack), SIZE), dtype=np.uint32)
    np.bitwise_or.at(found.T, index, lack.T)
    return found


def next_read(lack: Words, first_day: int, ready: NDArray[np.bool_]) -> Read | None:
    """The newest hole of any module that may be asked, with all modules that lack the same hours of that day."""
    open_ = np.where(ready, lack, 0).astype(np.uint32)
    days = np.flatnonzero(open_.any(axis=1))
    if not len(days):
        return None
    words = open_[days[-1]]
    word = int(words.max())                                 # the newest hour is the highest bit
    low = (word & -word).bit_length() - 1
    modules = tuple(np.flatnonzero(words == word).tolist())
    return Read((first_day + int(days[-1])) * DAY_H + low, word.bit_length() - low, modules)


def gained(read: Read, before: Words, after: Words) -> NDArray[np.bool_]:
    """By subnet index: whether the read brought an hour that was missing. Words of the read's day, by module."""
    brought: NDArray[np.bool_] = ((before & ~after) & np.uint32(read.word)) != 0
    return brought
