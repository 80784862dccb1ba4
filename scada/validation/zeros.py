"""A meter that stands still where it never stood still for so long: by its own past alone. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

LONGER: Final = 3                       # times its longest pause so far, before a pause is no pause any more
LEAST_PAST_H: Final = 24                # hours with a consumption before anything is said


@attrs.frozen(eq=False)
class Pauses:
    """The hours in which nothing was counted."""

    present: NDArray[np.int64]          # (n,) hours of the pause that goes on; 0 where there is none [h]
    longest: NDArray[np.int64]          # (n,) of those that ended within the range [h]
    used: NDArray[np.int64]             # (n,) hours with a consumption [h]


def pauses(hourly: NDArray[np.float64]) -> Pauses:
    """
    Return the pauses of meters.

    Parameters
    ----------
    hourly : ndarray of float64, shape (n, h)
        Pulses or quantities, oldest first; NaN where nothing is held. A missing hour neither ends a pause nor
        lengthens it.
    """
    n, hours = hourly.shape
    if not hours:
        nothing = np.zeros(n, dtype=np.int64)
        return Pauses(nothing, nothing, nothing)
    used = hourly > 0
    zeros = np.concatenate([np.zeros((n, 1), np.int64), np.cumsum(hourly == 0, axis=1)], axis=1)   # before each column
    column = np.arange(hours)
    last_used = np.maximum.accumulate(np.where(used, column, -1), axis=1)
    before = np.concatenate([np.full((n, 1), -1), last_used[:, :-1]], axis=1)       # the last use before each column
    rows = np.arange(n)[:, None]
    pause = np.where(used & (before >= 0), zeros[:, :-1] - zeros[rows, before + 1], 0)
    present = np.where(last_used[:, -1] >= 0, zeros[:, -1] - zeros[np.arange(n), last_used[:, -1] + 1], 0)
    return Pauses(present, pause.max(axis=1), used.sum(axis=1))


def stuck(found: Pauses, least: NDArray[np.int64]) -> NDArray[np.bool_]:
    """
    Return who has stood still for too long.

    Parameters
    ----------
    found : Pauses
        Of n meters.
    least : ndarray of int64, shape (n,)
        Below it no pause is remarkable: electricity is always used a little, water and gas are not. [h]

    Returns
    -------
    stuck : ndarray of bool, shape (n,)
        A pause of at least `least` and of `LONGER` times the longest one before it, of a meter with a past. An empty
        flat looks the same; it is for people to know.
    """
    enough = np.maximum(least, LONGER * found.longest)
    return np.asarray((found.present >= enough) & (found.used >= LEAST_PAST_H), dtype=np.bool_)
