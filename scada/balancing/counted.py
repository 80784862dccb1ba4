"""Of what counts in a group: whose registers can be examined over some days, and what is settled before. Pure.

Examined are the meters that consume in all hours of them: points, and what feeds child groups, so that of a group of groups
it is what is lost between it and them. Settled are local generation, which is fed in as well, and members that come or go,
whose own past and profile end in between: they are taken off the feed, and accused of nothing.
"""

from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.site_groups import Part, Span, Sum, common


@attrs.frozen
class Counted:
    """The parts of one group's sum."""

    examined: tuple[Part, ...]
    settled: tuple[tuple[Part, tuple[Span, ...]], ...]      # with the hours in which it counts

    @property
    def names(self) -> tuple[str, ...]:
        """What people call those that are examined: a point, or the child group that a meter feeds."""
        return tuple(part.group or part.point for part in self.examined)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (*self.examined, *(part for part, _ in self.settled))


def counted(whole: Sum, first: int, hours: int) -> Counted:
    """Return what counts in `hours` hours from `first` on. [h since 1970]"""
    span = (first, first + hours)
    examined, settled = [], []
    for part in whole.parts:
        its = common(part.counting, [span])
        if its == [span] and part.sign > 0:
            examined.append(part)
        elif its:
            settled.append((part, tuple(its)))
    return Counted(tuple(examined), tuple(settled))


def net_feed(
    feed: NDArray[np.float64], settled: Sequence[tuple[Part, tuple[Span, ...]]],
    taken: Callable[[Part], NDArray[np.float64]], first: int,
) -> NDArray[np.float64]:
    """
    Return what those who are examined are fed with.

    Parameters
    ----------
    feed : ndarray of float64, shape (h,)
        [kWh or m³]
    settled : sequence of (Part, spans)
        As in `Counted`.
    taken : callable
        Part -> (h,), what it registered; NaN where missing. [kWh or m³]
    first : int
        The first of the h hours. [h since 1970]

    Returns
    -------
    net : ndarray of float64, shape (h,)
        Feed + generation - what came or went; NaN in hours in which one of them counts and is missing.
    """
    net = feed.copy()
    for part, spans in settled:
        its = taken(part)
        for begin, end in spans:
            hours = slice(max(begin - first, 0), max(end - first, 0))
            net[hours] -= part.sign * its[hours]
    return net
