"""A measured imbalance beside the simultaneity curves: alike in shape, or where between least and largest. Pure."""

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.curves import Curves


def similarity(imbalance: NDArray[np.float64], curve: NDArray[np.float64]) -> tuple[float, float]:
    """
    Return how alike two curves are in shape, and the factor that lays the second one over the first.

    Parameters
    ----------
    imbalance, curve : ndarray of float64, shape (t,)
        What was measured, and a curve of `Curves`. Any units.

    Returns
    -------
    likeness : float
        Correlation of the two where both are known: 1 is the same shape. NaN with fewer than three such intervals, or
        where one of them is flat. [1]
    factor : float
        Least squares, no constant: `Curves.scaled(factor)` has the imbalance's unit. NaN where the curve is zero.

    Notes
    -----
    A shape is compared, never a size, and that is a trap: the loss of a feeder with everybody on one phase has exactly the
    shape of an even one (both follow the square of the load). Where the unit is that of the curves, `position` decides.
    """
    both = ~(np.isnan(imbalance) | np.isnan(curve))
    left, right = imbalance[both], curve[both]
    square = float(right @ right)
    factor = float(left @ right) / square if square > 0 else np.nan
    if len(left) < 3 or not (np.ptp(left) > 0 and np.ptp(right) > 0):
        return np.nan, factor
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / np.sqrt((left @ left) * (right @ right))), factor


def position(measured: NDArray[np.float64], of: Curves) -> NDArray[np.float64]:
    """
    Return where a measured curve lies between the least and the largest one.

    Parameters
    ----------
    measured : ndarray of float64, shape (..., t)
        In the unit of the curves.
    of : Curves
        Of shape (t,).

    Returns
    -------
    position : ndarray of float64, shape (...)
        Sum of the distances from `minimum` over that of `maximum`: 0 is the best split of every interval, 1 is all on one
        phase; consumers spread at random are at the `position` of `of.middle`. NaN if no interval is known. [1]
    """
    known = ~np.isnan(measured) & ~np.isnan(of.minimum)
    above = np.where(known, measured - of.minimum, 0.0).sum(axis=-1)
    room = np.where(known, of.maximum - of.minimum, 0.0).sum(axis=-1)
    return np.asarray(np.where(room > 0, above / np.where(room > 0, room, 1.0), np.nan))


def deducted(
    imbalance: NDArray[np.float64], technical: NDArray[np.float64] | None = None, own: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the imbalance without technical losses and the metering's own consumption, as the switch asks. All [Wh]."""
    left = np.array(imbalance, dtype=np.float64)
    for part in (technical, own):
        if part is not None:
            left -= part
    return left
