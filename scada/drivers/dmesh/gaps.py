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
MOST_LEVELS: Final = 30                 # of a tree
RELAYED: Final = 2                      # packets of a relay for each read below it: the question, and the answer


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
        self.budget = budget                                # packets a day
        self.spent = np.zeros(SIZE, dtype=np.int64)
        self.not_before = 0.0                               # real time, monotonic [s]: the concentrator said BUSY
        self._day = 0
        self._strikes = np.zeros(SIZE, dtype=np.int64)
        self._until = np.zeros(SIZE)                        # real time, monotonic [s]

    def room(self, packets: NDArray[np.int64], day: int, now: float) -> NDArray[np.bool_]:
        """Whose read neither itself nor any relay on its way is too poor for."""
        if day != self._day:
            self._day = day
            self.spent[:] = 0
        room: NDArray[np.bool_] = np.all(packets <= self.budget - self.spent, axis=1)
        room[0] = False
        if now < self.not_before:
            room[:] = False
        return room

    def ready(self, packets: NDArray[np.int64], day: int, now: float) -> NDArray[np.bool_]:
        """Of those with room, who is not left alone at present."""
        return self.room(packets, day, now) & (self._until <= now)

    def affordable(self, read: Read, packets: NDArray[np.int64]) -> Read:
        """The first modules of a read that their common relays can pay for together; the others are asked another time."""
        cost = packets[list(read.modules)].cumsum(axis=0)
        fits = int((cost <= self.budget - self.spent).all(axis=1).sum())
        return attrs.evolve(read, modules=read.modules[: max(1, fits)])

    def charge(self, cost: NDArray[np.int64]) -> None:
        """`cost_of` a read, by subnet index."""
        self.spent += cost

    def postpone(self, cost: NDArray[np.int64], until: float) -> None:
        """The concentrator was busy: nothing went by radio, and it is not asked again before."""
        self.spent = np.maximum(self.spent - cost, 0)
        self.not_before = until

    def settle(self, read: Read, gained: NDArray[np.bool_], now: float) -> None:
        """After a read: who gave nothing new is asked again later, each time twice as late."""
        chosen = np.array(read.modules, dtype=np.int64)
        nothing = chosen[~gained[chosen]]
        self._strikes[chosen[gained[chosen]]] = 0
        wait = FIRST_WAIT_S * 2.0 ** np.minimum(self._strikes[nothing], 16)
        self._until[nothing] = now + np.minimum(wait, LONGEST_WAIT_S)
        self._strikes[nothing] += 1


def packets_by_node(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return what a read of each module costs each node of its subnet.

    Parameters
    ----------
    parents : ndarray of int64, shape (241,)
        Parent by subnet index; 0 is the concentrator, or not known.

    Returns
    -------
    packets : ndarray of int64, shape (241, 241)
        Row: the module that is read. Column: the node that sends. The module sends its answer, one packet; each relay
        on its way passes on the question and the answer. A tree that is a circle by mistake ends after 30 levels.
    """
    packets = np.zeros((SIZE, SIZE), dtype=np.int64)
    rows, node = np.arange(SIZE), parents
    for _ in range(MOST_LEVELS):
        there = node > 0
        if not there.any():
            break
        packets[rows[there], node[there]] = RELAYED
        node = np.where(there, parents[node], 0)
    packets[rows, rows] = 1
    return packets


def cost_of(read: Read, packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Packets by subnet index that a read of several modules makes."""
    cost: NDArray[np.int64] = packets[list(read.modules)].sum(axis=0)
    return cost


def busy_for(retry_after: int) -> float:
    """Real seconds for which a concentrator that said BUSY is left alone; one that says no time gets a usual wait. [s]"""
    return min(float(retry_after), LONGEST_WAIT_S) or FIRST_WAIT_S


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
