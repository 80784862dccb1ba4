"""Gaps that a person asks for again: asked before all others, whatever was said before, each hole once. Pure.

A wish passes over the waits of modules that gave nothing, and over the archive's depth; never over the radio budget.
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.drivers.dmesh.coverage import Words, hours_in
from scada.drivers.dmesh.gaps import Read, next_read
from scada.ports import Recall, RecallState

GOOD_FOR_S: Final = 86_400              # site time; then a wish is over, whatever is left of it
MOST_OPEN: Final = 8                    # of one concentrator
KEPT: Final = 200                       # that are over, of all


@attrs.define(eq=False)
class Wish:
    """Holes of one concentrator. `open` has what was not asked for yet: words by day, by subnet index."""

    recall: Recall
    open: dict[int, Words]
    begun: bool = False

    @property
    def finished(self) -> bool:
        return not any(words.any() for words in self.open.values())

    def next(self, lack: Words, first_day: int, ready: NDArray[np.bool_]) -> Read | None:
        """The newest of its holes that is still one; `lack` are the (days, 241) hours missing now."""
        for day, words in self.open.items():
            row = day - first_day
            words &= lack[row] if 0 <= row < len(lack) else np.uint32(0)
        days = sorted(self.open)
        if not days:
            return None
        held = np.zeros((days[-1] - days[0] + 1, lack.shape[1]), dtype=np.uint32)
        for day in days:
            held[day - days[0]] = self.open[day]
        return next_read(held, days[0], ready)

    def sent(self, read: Read) -> None:
        self.begun = True
        self.open[read.day][list(read.modules)] &= ~np.uint32(read.word)

    def give_back(self, read: Read) -> None:
        """The read did not take place."""
        if read.day in self.open:
            self.open[read.day][list(read.modules)] |= np.uint32(read.word)

    def brought(self, hours: int) -> None:
        self.recall = attrs.evolve(self.recall, brought=self.recall.brought + hours)

    def told(self, *, under_way: bool, now: int) -> Recall:
        """How it stands at a site time. [s since 1970]"""
        state = RecallState.ASKING if under_way or self.begun else RecallState.WAITING
        if self.finished and not under_way:
            state = RecallState.DONE
        elif now >= self.recall.until:
            state = RecallState.EXPIRED
        return attrs.evolve(self.recall, state=state)


def holes(
    lack: Words, first_day: int, first: int, hours: int, modules: Mapping[int, str] | None
) -> dict[int, Words]:
    """Of (days, 241) hours missing by module, those in `hours` hours from `first` on, of some modules or of all."""
    found = {}
    for day in range(max(first // DAY_H, first_day), min((first + hours - 1) // DAY_H, first_day + len(lack) - 1) + 1):
        low, high = max(0, first - day * DAY_H), min(DAY_H, first + hours - day * DAY_H)
        words = lack[day - first_day] & np.uint32((1 << high) - (1 << low))
        if modules is not None:
            words[[index for index in range(len(words)) if index not in modules]] = 0
        if words.any():
            found[day] = words
    return found


def lacking(open_: Mapping[int, Words]) -> int:
    """Hours of modules."""
    return sum(hours_in(words) for words in open_.values())


class WishBook:
    """The wishes of all concentrators, by link id; those that are over are remembered for a while."""

    def __init__(self) -> None:
        self._open: dict[int, list[Wish]] = {}
        self._over: deque[Recall] = deque(maxlen=KEPT)

    def add(
        self, link_id: int, recall: Recall, lack: Words, first_day: int, modules: Mapping[int, str] | None
    ) -> Recall:
        """Enter a wish, if anything lacks of what it names."""
        found = holes(lack, first_day, recall.first, recall.hours, modules)
        recall = attrs.evolve(recall, lacking=lacking(found))
        if found:
            self._open.setdefault(link_id, []).append(Wish(recall, found))
        return recall

    def open(self, link_id: int) -> int:
        return len(self._open.get(link_id, ()))

    def next(
        self, link_id: int, lack: Words, first_day: int, ready: NDArray[np.bool_]
    ) -> tuple[Read | None, Wish | None]:
        """The next read of the oldest wish that has one."""
        for wish in self._open.get(link_id, ()):
            if (read := wish.next(lack, first_day, ready)) is not None:
                return read, wish
        return None, None

    def settle(self, link_id: int, under_way: Wish | None, now: int) -> list[Recall]:
        """Close what is over at a site time, and tell of it. [s since 1970]"""
        over = []
        for wish in tuple(self._open.get(link_id, ())):
            told = wish.told(under_way=wish is under_way, now=now)
            if told.state in (RecallState.DONE, RecallState.EXPIRED):
                self._open[link_id].remove(wish)
                over.append(told)
        self._over.extend(over)
        return over

    def told(self, under_way: Collection[Wish | None], now: int) -> tuple[Recall, ...]:
        """All of them, newest first; from any thread."""
        every = [one for open_ in tuple(self._open.values()) for one in tuple(open_)]
        found = [one.told(under_way=one in under_way, now=now) for one in every]
        return tuple(sorted((*found, *tuple(self._over)), key=lambda one: -one.number))
