"""The likely cause of a difference between a dial and its count, from the figures alone. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.dial import Cause

Floats = NDArray[np.float64]
FACTORS: Final = (0.001, 0.01, 0.1, 0.125, 0.2, 0.25, 0.3125, 0.5, 2.0, 3.2, 4.0, 5.0, 8.0, 10.0, 100.0, 1000.0)
"""Advance of the dial over the count where the constant was taken wrongly: powers of ten, and constants that are sold
side by side (1000 and 3200, 500 and 4000 pulses per kWh)."""
NEAR: Final = 0.02                      # of the factor
SAME: Final = 0.005                     # two ratios of one constant
PLACES: Final = range(-2, 8)            # of a dial: hundredths to ten millions


def causes(
    dial: Floats, expected: Floats, begin: Floats, tolerance: Floats, ratio: Floats, before: Floats,
    small: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """
    Return the likely cause of each difference.

    Parameters
    ----------
    dial, expected, begin : ndarray of float64, shape (n,)
        What was read, what it should have been, and what stood at the beginning. [unit]
    tolerance : ndarray of float64, shape (n,)
        [unit]
    ratio : ndarray of float64, shape (n,)
        Advance of the dial over what was counted; NaN where too little was counted to say.
    before : ndarray of float64, shape (n,)
        The same ratio at the reading before; NaN where there is none. One that stays is a constant.
    small : ndarray of bool, shape (n,)
        A drift: a person's slip of a whole digit, or another constant, is not looked for.

    Returns
    -------
    cause : ndarray of uint8, shape (n,)
        `Cause`. The first that fits of: two digits that changed places, another constant, a single wrong digit, a dial
        below where it began, and then lost or added pulses, which explain any difference.
    """
    difference = dial - expected
    found = np.where(difference > 0, Cause.MISSED_PULSES, Cause.EXTRA_PULSES)
    large = ~small
    found = np.where(large & (dial < begin - tolerance), Cause.BACKWARDS, found)
    factor = np.array(FACTORS)
    with np.errstate(invalid="ignore"):
        constant = (np.abs(ratio[:, None] / factor - 1) <= NEAR).any(axis=1)
        constant |= (np.abs(ratio / before - 1) <= SAME) & (np.abs(ratio - 1) > NEAR)
    found = np.where(large & constant, Cause.WRONG_CONSTANT, found)
    found = np.where(large & ~constant & _one_digit(dial, difference, tolerance), Cause.ONE_DIGIT, found)
    found = np.where(large & _swapped(dial, expected, tolerance), Cause.SWAPPED_DIGITS, found)
    return np.asarray(found, dtype=np.uint8)


def _digit(value: Floats, place: int) -> Floats:
    return np.floor(np.round(value * 10.0**-place, 6)) % 10


def _swapped(dial: Floats, expected: Floats, tolerance: Floats) -> NDArray[np.bool_]:
    """Whether two neighbouring digits of the dial, changed back, give what was expected."""
    found = np.zeros(len(dial), dtype=np.bool_)
    for place in PLACES:
        low, high = _digit(dial, place), _digit(dial, place + 1)
        back = dial + (low - high) * (10.0 ** (place + 1) - 10.0**place)
        found |= (low != high) & (np.abs(back - expected) <= tolerance)
    return found


def _one_digit(dial: Floats, difference: Floats, tolerance: Floats) -> NDArray[np.bool_]:
    """Whether one digit of the dial, another one, gives what was expected; in places well above the doubt."""
    found = np.zeros(len(dial), dtype=np.bool_)
    for place in PLACES:
        step = np.round(difference * 10.0**-place)
        digit = _digit(dial, place) - step
        fits = (np.abs(step) >= 1) & (digit >= 0) & (digit <= 9)
        found |= fits & (tolerance * 10 <= 10.0**place) & (np.abs(difference - step * 10.0**place) <= tolerance)
    return found
