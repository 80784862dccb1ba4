"""Hours that wait to be balanced, by group. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.basis import Span
from scada.balancing.groups import single_hours
from scada.clock import DAY_H

PIECE_H: Final = 31 * DAY_H             # of a group at a time: what one computation reads has to stay small


class Due:
    """Groups take turns; of each the newest hours come first."""

    def __init__(self) -> None:
        self._hours: dict[str, list[NDArray[np.int64]]] = {}

    def __bool__(self) -> bool:
        return bool(self._hours)

    def add(self, group: str, hours: NDArray[np.int64]) -> None:
        """Ascending. [h since 1970]"""
        if len(hours):
            self._hours.setdefault(group, []).append(hours)

    def gather(self) -> None:
        """Many pieces of news about the same hours become one list of hours."""
        for name, parts in self._hours.items():
            self._hours[name] = [single_hours(parts)]

    def take(self) -> tuple[str, NDArray[np.int64]]:
        """What is to be computed next; `add` it again if that fails."""
        name = next(iter(self._hours))
        hours = single_hours(self._hours.pop(name))
        self.add(name, hours[:-PIECE_H])
        return name, hours[-PIECE_H:]

    @property
    def days(self) -> int:
        """Of all groups together."""
        return sum(len(np.unique(np.concatenate(parts) // DAY_H)) for parts in self._hours.values())


def newest(spans: list[Span]) -> Span:
    """The last piece of some spans."""
    first, last = spans[-1]
    return max(first, last - PIECE_H), last
