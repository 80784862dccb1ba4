"""The voltage unbalance factor, where voltages are metered with their angles. Pure; phases are the last axis.

It is about voltages: computed from their phasors, or from the three voltages between the phases, whose triangle has no
other angles than those its sides leave. Magnitudes of phase voltages do not determine it, and neither do powers or
currents: for those see `live.maximum_deviation` and `live.sequence_ratio`, which are not called so.
"""

import numpy as np
from numpy.typing import NDArray

from scada.balancing.live import THIRD_OF_TURN, sequence_ratio


def voltage_unbalance_factor(phasors: NDArray[np.complex128]) -> NDArray[np.float64]:
    """
    Return negative over positive sequence of voltage phasors, (..., 3) in, (...) out. [1]

    NaN where a phase is NaN or there is no voltage. Phase to neutral or phase to phase makes no difference.
    """
    return sequence_ratio(phasors)


def sequences(phasors: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return magnitudes of positive and negative sequence, (..., 3) in, (..., 2) out: what `ten_minutes` squares. [V]"""
    a = THIRD_OF_TURN
    return np.asarray(np.abs(phasors @ np.array([[1, 1], [a, a**2], [a**2, a]])) / 3)


def sequences_of_sides(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return the sequences of the three voltages between the phases.

    Parameters
    ----------
    sides : ndarray of float64, shape (..., 3)
        Magnitudes L1-L2, L2-L3, L3-L1. [V]

    Returns
    -------
    magnitudes : ndarray of float64, shape (..., 2)
        Positive and negative sequence, √3 times those of the phases; NaN where a side is NaN, or where the three do not
        make a triangle. [V]

    References
    ----------
    .. [1] √((1 - √(3 - 6β)) / (1 + √(3 - 6β))), β = Σ U⁴ / (Σ U²)², is their ratio: Hioki 3196 manual, section 12.4 (read
       2026-11); the sum of their squares is Σ U² / 3.
    """
    sides = np.asarray(sides, dtype=np.float64)
    squares = (sides**2).sum(axis=-1)
    beta = (sides**4).sum(axis=-1) / np.where(squares > 0, squares**2, np.nan)
    inner = 3.0 - 6.0 * beta
    possible = inner >= -1e-12
    root = np.sqrt(np.where(possible, np.maximum(inner, 0.0), np.nan))
    return np.asarray(np.sqrt(squares[..., None] / 6 * np.maximum(1.0 + np.stack([root, -root], axis=-1), 0.0)))


def unbalance_of_sides(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the voltage unbalance factor from the three voltages between the phases: see `sequences_of_sides`. [1]"""
    both = sequences_of_sides(sides)
    return np.asarray(both[..., 1] / both[..., 0])
