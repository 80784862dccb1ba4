"""Balance groups of unequal size as one array, and which of their hours can be used."""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

DAY_H: Final = 24


@attrs.frozen(eq=False)
class Groups:
    """Groups side by side; rows of `members` beyond a group's own are zero and not `real`."""

    feed: NDArray[np.float64]               # (g, h) fed in; 0 where not usable [kWh or m3]
    members: NDArray[np.float64]            # (g, n, h) registered; 0 where not usable [kWh or m3]
    real: NDArray[np.bool_]                 # (g, n)
    usable: NDArray[np.bool_]               # (g, h) hours in which feed and every member are there
    known: NDArray[np.bool_]                # (g, n, h) member-hours that are there
    technical: NDArray[np.float64] | None   # (g, h) technical loss that a power flow gave; None where nobody computed it

    @property
    def imbalance(self) -> NDArray[np.float64]:
        """Feed - members - technical loss, (g, h); 0 where not usable."""
        rest = self.feed - self.members.sum(axis=1, where=self.usable[:, None])
        if self.technical is not None:
            rest = rest - self.technical
        return np.where(self.usable, rest, 0.0)

    @property
    def seen(self) -> NDArray[np.float64]:
        """Members in usable hours, 0 in others, (g, n, h)."""
        return np.where(self.usable[:, None], self.members, 0.0)

    def take(self, rows: NDArray[np.intp]) -> "Groups":
        """Some of the groups."""
        technical = None if self.technical is None else self.technical[rows]
        return Groups(self.feed[rows], self.members[rows], self.real[rows], self.usable[rows], self.known[rows], technical)


def stacked(
    feeds: Sequence[NDArray[np.float64]],
    members: Sequence[NDArray[np.float64]],
    technical: Sequence[NDArray[np.float64]] | None = None,
) -> Groups:
    """
    Return groups as one.

    Parameters
    ----------
    feeds : sequence of ndarray of float64, shape (h,)
        What the feeding meter of each group registered in whole days of hours; NaN where missing. [kWh or m3]
    members : sequence of ndarray of float64, shape (n_i, h)
        What each member registered, from the same hours; NaN where missing or not to be trusted. [kWh or m3]
    technical : sequence of ndarray of float64, shape (h,), optional
        Technical loss and own consumption of metering, where a power flow gave them. [kWh or m3]

    Raises
    ------
    ValueError
        If the lists are of different lengths, or a group's hours are not the others' or no whole days.
    """
    if not feeds or len(feeds) != len(members) or (technical is not None and len(technical) != len(feeds)):
        raise ValueError(f"{len(feeds)} feeds and {len(members)} lists of members: one of each for every group expected")
    hours = len(feeds[0])
    wrong = [
        index for index, (feed, rows) in enumerate(zip(feeds, members, strict=True))
        if feed.shape != (hours,) or rows.ndim != 2 or rows.shape[1] != hours
    ]
    if wrong or not hours or hours % DAY_H:
        raise ValueError(f"groups {wrong} have others than the {hours} hours of the first; whole days expected")
    widest = max(len(rows) for rows in members)
    padded = np.zeros((len(feeds), widest, hours))
    real = np.zeros((len(feeds), widest), dtype=np.bool_)
    for index, rows in enumerate(members):                 # a step a group: the arrays come one by one
        padded[index, : len(rows)], real[index, : len(rows)] = rows, True
    feed = np.stack(feeds)
    loss = None if technical is None else np.stack(technical)
    known = np.isfinite(padded)
    usable = known.all(axis=1) & np.isfinite(feed)
    if loss is not None:
        usable &= np.isfinite(loss)
        loss = np.where(usable, loss, 0.0)
    return Groups(np.where(usable, feed, 0.0), np.where(known, padded, 0.0), real, usable, known & real[..., None], loss)


def batches(sizes: Sequence[int], hours: int, budget: int = 4_000_000) -> list[NDArray[np.intp]]:
    """
    Return which groups to stack together: alike in size, so that little is padded, and bounded in memory.

    Parameters
    ----------
    sizes : sequence of int
        Members of each group.
    hours : int
        Hours of each. [h]
    budget : int
        Member-hours of one stack at most; a single group may be larger.
    """
    order = np.argsort(np.asarray(sizes), kind="stable")[::-1]
    found: list[NDArray[np.intp]] = []
    while len(order):
        widest = max(int(sizes[order[0]]), 1)
        take = max(budget // (widest * hours), 1)
        similar = np.asarray(sizes)[order[:take]] >= 0.75 * widest - 2
        take = int(similar.sum())
        found.append(order[:take])
        order = order[take:]
    return found
