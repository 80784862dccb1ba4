"""Hours that wait to be balanced, by group. Pure."""

from collections.abc import Callable
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.balancing.groups import single_hours
from scada.clock import DAY_H
from scada.site_groups import Span

PIECE_H: Final = 31 * DAY_H             # of a group at a time: what one computation reads has to stay small
MOST_CELLS: Final = 600_000             # hours of members that are computed together
MOST_TOGETHER: Final = 1000             # groups
MOST_PARTS: Final = 16                  # pieces of news about one group that wait unjoined


class Due:
    """Groups take turns; of each the newest hours come first."""

    def __init__(self) -> None:
        self._hours: dict[str, list[NDArray[np.int64]]] = {}

    def __bool__(self) -> bool:
        return bool(self._hours)

    def add(self, group: str, hours: NDArray[np.int64]) -> None:
        """Ascending. [h since 1970]"""
        if len(hours):
            parts = self._hours.setdefault(group, [])
            parts.append(hours)
            if len(parts) > MOST_PARTS:                     # most of them are about the same hours
                self._hours[group] = [single_hours(parts)]

    def take(self) -> tuple[str, NDArray[np.int64]]:
        """What is to be computed next; `add` it again if that fails."""
        name = next(iter(self._hours))
        parts = self._hours.pop(name)
        hours = parts[0] if len(parts) == 1 else single_hours(parts)
        if len(hours) <= PIECE_H:
            return name, hours
        self.add(name, hours[:-PIECE_H])
        return name, hours[-PIECE_H:]

    def take_many(self, members: Callable[[str], int]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """
        The same with those behind it that are due in the same days, as many as can be computed together.

        Parameters
        ----------
        members : callable
            How many members a group has.
        """
        first, hours = self.take()
        days, names, parts = days_of(hours), [first], [hours]
        cells = members(first) * len(days) * DAY_H
        for name, waiting in islice(self._hours.items(), MOST_TOGETHER - 1):
            cells += members(name) * len(days) * DAY_H
            if cells > MOST_CELLS or not self._in(waiting, hours, days):
                break                                       # it will be the first of others
            names.append(name)
            parts += [one for one in waiting if one is not hours]
        for name in names[1:]:
            del self._hours[name]
        return tuple(names), single_hours(parts) if len(parts) > 1 else hours

    @staticmethod
    def _in(waiting: list[NDArray[np.int64]], hours: NDArray[np.int64], days: NDArray[np.int64]) -> bool:
        """Whether these hours lie in the very days of those; most often they are the same list."""
        if len(waiting) == 1 and waiting[0] is hours:
            return True
        return np.array_equal(days_of(np.concatenate(waiting)), days)

    @property
    def days(self) -> int:
        """Of all groups together."""
        known: dict[int, int] = {}                          # groups often wait with the very same list of hours
        total = 0
        for parts in self._hours.values():
            if len(parts) > 1:
                total += len(days_of(np.concatenate(parts)))
            else:
                if id(parts[0]) not in known:
                    known[id(parts[0])] = len(days_of(parts[0]))
                total += known[id(parts[0])]
        return total


def days_of(hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """The days, by UTC, that hold some hours. [d since 1970]"""
    return distinct(hours // DAY_H)


def newest(spans: list[Span]) -> Span:
    """The last piece of some spans."""
    first, last = spans[-1]
    return max(first, last - PIECE_H), last
