"""Does a dial agree with what its pulses say? Pure, for many meters at once.

The meter's error against true energy is not in question here: dial and pulses come from the same movement. A class is
a tolerance all the same, for what a retrofitted pulse sensor may lose without anybody having to come.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S
from scada.dial import Cause, Comparison, Verdict
from scada.dials.causes import causes

REGISTER_MODULUS: Final = 2**32         # a module counts in 32 bits
DRIFT_SHARE: Final = 0.02               # of what the dial advanced: up to here pulses were lost, beyond it more is wrong
DRIFT_TOLERANCES: Final = 3.0           # and as many tolerances: a difference of a few digits is no alarm

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@attrs.frozen(eq=False)
class Instant:
    """A dial as it was read, and the register as it was then, of n meters."""

    dial: Floats                        # [unit]
    decimals: Ints                      # places behind the point
    whole: Ints                         # places before it
    pulses: Floats                      # register at that instant; NaN where its hour was not delivered
    doubt: Floats                       # how far that may be wrong either way [pulses]


def at_instants(start: Ints, end: Ints, seconds: Ints, time_doubt_s: Floats, missing: int) -> tuple[Floats, Floats]:
    """
    Return registers at instants within an hour, and how far they may be wrong.

    Parameters
    ----------
    start, end : ndarray of int64, shape (n,)
        Registers at the start and at the end of the hour, `missing` where unknown. [pulses]
    seconds : ndarray of int64, shape (n,)
        The instant, after the start of its hour, 0 to 3599. [s]
    time_doubt_s : ndarray of float64, shape (n,)
        How far the instant itself may be wrong. [s]
    missing : int
        What stands for an unknown register.

    Returns
    -------
    pulses : ndarray of float64, shape (n,)
        On the straight line between the two; the register itself where the hour begins; NaN where unknown. [pulses]
    doubt : ndarray of float64, shape (n,)
        The pulses of the hour may all lie before or after the instant: the larger share of them, and the flow of the
        hour times the doubt of the time. [pulses]
    """
    known = start != missing
    whole = known & (end != missing)
    count = np.where(whole, (end - start) % REGISTER_MODULUS, 0).astype(np.float64)
    share = seconds / HOUR_S
    exact = seconds == 0
    pulses = np.where(whole, start + share * count, np.where(known & exact, start, np.nan))
    inside = np.where(exact, 0.0, np.maximum(share, 1 - share)) * count
    return pulses, inside + count * time_doubt_s / HOUR_S


def reconcile(
    begin: Instant, read: Instant, per_unit: Floats, class_percent: float, ratio_before: Floats | None = None
) -> Comparison:
    """
    Compare dials with what was counted since an earlier reading of them.

    Parameters
    ----------
    begin, read : Instant
        The reading the offset comes from, and the one that is compared, of n meters.
    per_unit : ndarray of float64, shape (n,)
        Pulses per unit. [1/kWh or 1/m³]
    class_percent : float
        Part of what was counted that dial and count may differ by without a word. [%]
    ratio_before : ndarray of float64, shape (n,), optional
        `Comparison.ratio` of the reading before; NaN where there is none.

    Returns
    -------
    Comparison
        n rows. The tolerance is the last place of both dials, one pulse, the doubt about both instants in pulses, and the
        class's share of what was counted. Within it the verdict is OK; up to three tolerances, or 2 % of what the
        dial advanced, DRIFT; beyond that MISMATCH. WAITING where a register is not known yet. A dial that has gone
        through its end (10 to the power of its places) is taken as it would stand with one place more.

    Notes
    -----
    A module's register wraps at 2**32; a meter may count less than that between two readings.
    """
    counted = (read.pulses - begin.pulses) % REGISTER_MODULUS
    pulse_doubt = begin.doubt + read.doubt
    # A register a little lower than at the beginning is the doubt about the instants, not a wrap.
    counted = np.where(counted > REGISTER_MODULUS - 1 - pulse_doubt, counted - REGISTER_MODULUS, counted)
    units = counted / per_unit
    places = 10.0 ** -begin.decimals + 10.0 ** -read.decimals
    tolerance = places + (1 + pulse_doubt) / per_unit + np.abs(units) * class_percent / 100
    expected = begin.dial + units
    dial, rolled = _rolled(begin, read, expected, tolerance)
    difference = dial - expected
    advance = dial - begin.dial
    size = np.abs(difference)
    waiting = ~np.isfinite(difference)
    ok = size <= tolerance
    drift = size <= np.maximum(DRIFT_TOLERANCES * tolerance, DRIFT_SHARE * np.abs(advance))
    verdicts = [Verdict.WAITING, Verdict.OK, Verdict.DRIFT]
    verdict = np.select([waiting, ok, drift], verdicts, Verdict.MISMATCH).astype(np.uint8)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(np.abs(units) > 10 * tolerance, advance / units, np.nan)
    cause = np.where(rolled & ok, Cause.ROLLED, Cause.NONE).astype(np.uint8)
    wrong = ~waiting & ~ok
    before = np.full(len(ratio), np.nan) if ratio_before is None else ratio_before
    cause[wrong] = causes(
        dial[wrong], expected[wrong], begin.dial[wrong], tolerance[wrong], ratio[wrong], before[wrong], drift[wrong]
    )
    return Comparison(expected, difference, tolerance, ratio, verdict, cause)


def _rolled(begin: Instant, read: Instant, expected: Floats, tolerance: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The dial as it would stand with more places, where the count says that it went through its end."""
    capacity = 10.0 ** np.maximum(begin.whole, read.whole)
    with np.errstate(invalid="ignore"):
        turns = np.round((expected - read.dial) / capacity)
        back = np.abs(read.dial + turns * capacity - expected) <= tolerance
        rolled = (turns >= 1) & (expected + tolerance >= capacity) & back
    return np.where(rolled, read.dial + turns * capacity, read.dial), rolled
