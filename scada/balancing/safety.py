"""Faults of the inner network that hurt people and burn houses, from voltages and currents of the phases. Pure.

Broken neutral, lost phase, unusual voltage here; arcing contacts in `arcing`. Every finding carries the figures it rests
on. None of them is certain: it is a reason to send somebody. The thresholds are ours, no standard's.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.findings import LEAST_SAMPLES, NOMINAL, Fault, Finding, runs

ROOT_3: Final = np.sqrt(3.0)
SHIFTED: Final = 0.10                   # of nominal: star point away from its place
INTACT: Final = 0.07                    # of nominal: the triangle of the phases is as large as it should be
GONE: Final = 0.5                       # of nominal: a phase below is lost
OTHERS: Final = (0.85, 1.12)            # of nominal: the two others then
BAND: Final = 0.10                      # of nominal, in which a voltage is usual


def star_point(voltage: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return how far the star point is from its place, and how large the triangle of the phases is.

    Parameters
    ----------
    voltage : ndarray of float64, shape (..., 3)
        Phase to neutral, magnitudes. [V]

    Returns
    -------
    shift : ndarray of float64, shape (...)
        Distance of the star point from the centre of the triangle. [V]
    radius : ndarray of float64, shape (...)
        What each phase would have with the star point in the centre. [V]
        Both NaN where a phase is NaN.

    Notes
    -----
    If the voltages between the phases are even, three distances a, b, c from a point inside determine the side s of the
    triangle: s² = (a² + b² + c²) / 2 + 2 √3 K, with K the area of a triangle of sides a, b, c (Heron); and
    a² + b² + c² = 3 (radius² + shift²). Both are plain geometry, and tested as such.
    """
    voltage = np.asarray(voltage, dtype=np.float64)
    squares = (voltage**2).sum(axis=-1)
    sixteen = np.maximum(squares**2 - 2.0 * (voltage**4).sum(axis=-1), 0.0)               # 16 K², 0 if there is no triangle
    side = squares / 2.0 + 2.0 * ROOT_3 * np.sqrt(sixteen) / 4.0
    radius = np.sqrt(side / 3.0)
    return np.sqrt(np.maximum(squares / 3.0 - radius**2, 0.0)), radius


def broken_neutral(voltage: NDArray[np.float64], nominal: float = NOMINAL) -> list[Finding]:
    """
    Return where the neutral seems broken, or badly connected.

    Parameters
    ----------
    voltage : ndarray of float64, shape (t, 3)
        Phase to neutral behind the suspected place: at a three-phase meter or a riser, not at the transformer. [V]
    nominal : float
        [V]

    Returns
    -------
    findings : list of Finding
        Samples in a row in which the phases are far apart while their triangle is whole: one too high, another too low.
        `value` is the largest shift of the star point. [V]

    Notes
    -----
    An even load behind a broken neutral does not shift anything and is not found. A long thin neutral shifts the star point
    by some per cent when one phase is loaded; `SHIFTED` is above that.
    """
    shift, radius = star_point(voltage)
    whole = np.abs(radius / nominal - 1.0) <= INTACT
    mask = whole & (shift > SHIFTED * nominal) & (voltage.min(axis=-1) > 0)
    return [
        Finding(Fault.BROKEN_NEUTRAL, None, first, last, float(shift[first:last + 1].max()), SHIFTED * nominal,
                *_range(voltage, first, last))
        for first, last in runs(mask)
    ]


def lost_phase(voltage: NDArray[np.float64], nominal: float = NOMINAL) -> list[Finding]:
    """
    Return where one phase is gone while the others are there.

    Parameters
    ----------
    voltage : ndarray of float64, shape (t, 3)
        Phase to neutral. [V]
    nominal : float
        [V]

    Returns
    -------
    findings : list of Finding
        `value` is the lowest voltage of that phase. [V]

    Notes
    -----
    Below `GONE` of nominal, not zero: motors that go on turning, and loads between phases, feed the dead one backwards. All
    three gone is an outage and not this.
    """
    share = voltage / nominal
    order = np.sort(share, axis=-1)
    alone = (order[:, 0] < GONE) & (order[:, 1] >= OTHERS[0]) & (order[:, 2] <= OTHERS[1])
    found = []
    for phase in range(3):
        for first, last in runs(alone & (share[:, phase] == order[:, 0])):
            lowest = float(voltage[first:last + 1, phase].min())
            limit = GONE * nominal
            found.append(Finding(Fault.LOST_PHASE, phase, first, last, lowest, limit, *_range(voltage, first, last)))
    return found


def unusual_voltage(voltage: NDArray[np.float64], nominal: float = NOMINAL, least: int = LEAST_SAMPLES) -> list[Finding]:
    """
    Return where a phase is more than a tenth away from nominal; `value` is the extreme. [V]

    What `lost_phase` and `broken_neutral` find appears here as well: those say why. `least` samples in a row are needed;
    the week's report, which allows five per cent, is `phases.quality.week_of_voltage`.
    """
    found = []
    sides = ((Fault.HIGH_VOLTAGE, (1 + BAND) * nominal, 1.0), (Fault.LOW_VOLTAGE, (1 - BAND) * nominal, -1.0))
    for fault, limit, sign in sides:
        for phase in range(3):
            for first, last in runs(sign * (voltage[:, phase] - limit) > 0, least):
                extreme = sign * float((sign * voltage[first:last + 1, phase]).max())
                found.append(Finding(fault, phase, first, last, extreme, limit, *_range(voltage[:, [phase]], first, last)))
    return found


def _range(voltage: NDArray[np.float64], first: int, last: int) -> tuple[float, float]:
    part = voltage[first:last + 1]
    return float(np.nanmin(part)), float(np.nanmax(part))
