"""What is the matter with a group as a whole."""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.history import Windows
from scada.balancing.suspects.joint import Explained
from scada.balancing.suspects.linear import TINY

LEFT: Final = 0.015                     # of the feed, that nobody explains
LEFT_OF_LOSS: Final = 0.5               # and over the square-law part, which does not hold all of the technical loss
BALANCED: Final = 0.005
SURPLUS: Final = 0.01


class State(IntEnum):
    """What is the matter with a group."""

    BALANCED = 0
    TECHNICAL = 1           # what is missing goes with the square of the load
    EXPLAINED = 2           # members explain it
    UNMETERED = 3           # no member explains it: unassigned, a connection without a meter
    NOT_ENOUGH_DATA = 4
    SURPLUS = 5             # members register more than was fed: the feed's meter, or who is a member, is wrong


def state_of(
    groups: Groups, windows: Windows, first: Explained, found: Ranking,
    suspect: NDArray[np.bool_], rate: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Return the state of each group, and what neither suspects nor the square law explain.

    Parameters
    ----------
    groups, windows, first, found
        The groups, the days, way 1 and the ranking of both ways.
    suspect : ndarray of bool, shape (g, n)
    rate : ndarray of float64, shape (g, n)
        What each explains. [kWh or m3 a day in question]

    Returns
    -------
    state : ndarray of int64, shape (g,)
        `State`.
    unassigned : ndarray of float64, shape (g,)
        NaN without enough data. [kWh or m3 a day in question]
    """
    used = groups.usable & windows.recent
    days = np.maximum(used.sum(axis=1) / DAY_H, TINY)
    fed = np.maximum(np.abs(groups.feed).sum(axis=1, where=used), TINY) / days
    missing = groups.imbalance.sum(axis=1, where=used) / days
    named = np.where(suspect, rate, 0.0).sum(axis=1)
    unassigned = missing - first.loss * fed - named
    much = np.maximum(LEFT, LEFT_OF_LOSS * first.loss) * fed
    state = np.select(
        [~first.enough, missing < -SURPLUS * fed, (found.tap > 0) | (unassigned > much), suspect.any(axis=1),
         missing > BALANCED * fed],
        [State.NOT_ENOUGH_DATA, State.SURPLUS, State.UNMETERED, State.EXPLAINED, State.TECHNICAL],
        State.BALANCED,
    )
    return state, np.where(first.enough, unassigned, np.nan)
