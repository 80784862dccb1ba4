"""How uneven three phase loads are: the figures that allocations are compared by. Pure; phases are the last axis."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.live import NOMINAL_ANGLES, neutral_current

PHASES: Final = 3
NEUTRAL_TO_PHASE: Final = 1.0           # resistance of the neutral over that of a phase, where nobody knows better


def unevenness(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return the power that the phases do not share: the length of their sum, each turned by a third.

    Parameters
    ----------
    power : ndarray of float64, shape (..., 3)
        Active power per phase. [W]

    Returns
    -------
    unevenness : ndarray of float64, shape (...)
        0 when the phases are equal, the whole load when one phase carries it. Over the phase voltage it is the
        neutral current. NaN where a phase is NaN. [W]

    Notes
    -----
    Valid where the phase voltages are nearly a balanced set and the power factors nearly equal; the power of a phase then
    stands for its current. It is **not** a voltage unbalance factor and says nothing about voltages.
    """
    return neutral_current(np.asarray(power) * NOMINAL_ANGLES)


def loss_shape(power: NDArray[np.float64], neutral: float = NEUTRAL_TO_PHASE) -> NDArray[np.float64]:
    """
    Return what the load loses in a conductor of unit resistance, up to the square of the voltage.

    Parameters
    ----------
    power : ndarray of float64, shape (..., 3)
        Active power per phase. [W]
    neutral : float
        Resistance of the neutral over that of a phase. [1]

    Returns
    -------
    shape : ndarray of float64, shape (...)
        Sum of the squares of the phases plus `neutral` times the square of the unevenness: P²/3 when the load P is
        even, (1 + neutral) P² when one phase carries it. [W²]

    Notes
    -----
    Technical losses are what a balance has left when all meters are right, so this is the figure to lay beside an energy
    imbalance; `unevenness` is the one to lay beside a measured neutral current.
    """
    power = np.asarray(power, dtype=np.float64)
    return np.asarray((power**2).sum(axis=-1) + neutral * unevenness(power) ** 2)


def allocated(profiles: NDArray[np.float64], phase: NDArray[np.integer]) -> NDArray[np.float64]:
    """
    Return the load of the phases when every consumer hangs on the phase it is given.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each consumer in each interval. [W]
    phase : ndarray of int, shape (..., n)
        0, 1 or 2 for L1, L2, L3; any number of allocations at once.

    Returns
    -------
    power : ndarray of float64, shape (..., t, 3)
        NaN in an interval in which a consumer of that phase is NaN. [W]

    Raises
    ------
    ValueError
        If the allocation is of another number of consumers, or names a phase that there is not.
    """
    phase = np.asarray(phase)
    if profiles.ndim != 2 or phase.shape[-1:] != profiles.shape[:1]:
        raise ValueError(f"one phase for each of the (n, t) profiles; found {phase.shape} for {profiles.shape}")
    if phase.size and (phase.min() < 0 or phase.max() >= PHASES):
        raise ValueError(f"phases are 0, 1, 2; found {phase.min()} to {phase.max()}")
    member = (phase[..., None, :] == np.arange(PHASES)[:, None]).astype(np.float64)        # (..., 3, n)
    hole = np.isnan(profiles)
    power = member @ np.where(hole, 0.0, profiles)
    if hole.any():
        power = np.where(member @ hole.astype(np.float64) > 0, np.nan, power)
    return np.asarray(np.moveaxis(power, -2, -1))
