"""Voltage and its unbalance over a week, in means of ten minutes, as EN 50160 reports them. Pure; phases last."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

TEN_MINUTES_NS: Final = 600 * 10**9
WEEK: Final = 1008                      # intervals of ten minutes
NOMINAL: Final = 230.0                  # V
LEAST_SAMPLES: Final = 0.9              # of those an interval should have
BAND: Final = 0.10
LOWEST, HIGHEST = 0.85, 1.10            # of nominal: no interval may leave this
UNBALANCE: Final = 0.02
SHARE: Final = 0.95


@attrs.frozen(eq=False)
class Week:
    """How many intervals kept a limit; arrays of shape (3,) for voltages, () for the unbalance."""

    counted: NDArray[np.int64]              # N: valid intervals
    beyond: NDArray[np.int64]               # N1: beyond the limit that 95 % must keep
    far_beyond: NDArray[np.int64]           # N2: beyond the limit that all must keep; 0 where there is none
    invalid: NDArray[np.int64]              # intervals without a value
    share: NDArray[np.float64]              # within the first limit; NaN if nothing was counted [1]
    worst: NDArray[np.float64]              # 95th percentile of the deviation or of the unbalance [1]
    complies: NDArray[np.bool_]             # of what was counted
    whole: bool                             # a week of valid intervals: else this is not a report, only a look


def ten_minutes(
    at: NDArray[np.int64], values: NDArray[np.float64], period_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Return root mean squares over intervals of ten minutes that begin at full ones of UTC.

    Parameters
    ----------
    at : ndarray of int64, shape (m,)
        Time of each sample, ascending. [ns since 1970]
    values : ndarray of float64, shape (m, k)
        Voltages, or magnitudes of sequences. [V]
    period_s : float
        Time from sample to sample: tells how many an interval should have. [s]

    Returns
    -------
    interval : ndarray of int64, shape (w,)
        Of every interval from the first to the last, in ten minutes since 1970.
    rms : ndarray of float64, shape (w, k)
        NaN in an interval that has less than `LEAST_SAMPLES` of its samples. [V]

    Notes
    -----
    A class A instrument squares every ten cycles [1]_; samples of a meter that is asked once a second or more seldom are an
    approximation of that, and do not see what happens between them.

    References
    ----------
    .. [1] "root of the arithmetic mean of squared values", ten-minute interval on the UTC tick, IEC 61000-4-30 as quoted in
       inspector-network.com/assets/UserManual/v4/AppendixIII-Aggregation.html (read 2026-11); the standard was not read
    """
    if not len(at):
        return np.zeros(0, dtype=np.int64), np.zeros((0, values.shape[1]))
    place = at // TEN_MINUTES_NS
    interval = np.arange(place[0], place[-1] + 1)
    known = ~np.isnan(values)
    sums, count = np.zeros((len(interval), values.shape[1])), np.zeros((len(interval), values.shape[1]))
    np.add.at(sums, place - place[0], np.where(known, values, 0.0) ** 2)
    np.add.at(count, place - place[0], known)
    enough = count >= LEAST_SAMPLES * 600.0 / period_s
    return interval, np.sqrt(np.where(enough, sums / np.maximum(count, 1), np.nan))


def week_of_voltage(voltage: NDArray[np.float64], nominal: float = NOMINAL) -> Week:
    """
    Return what a week of ten-minute voltages comes to.

    Parameters
    ----------
    voltage : ndarray of float64, shape (w, 3)
        Root mean squares over ten minutes, phase to neutral; NaN where invalid, interruptions included. [V]
    nominal : float
        [V]

    Returns
    -------
    week : Week
        Complies if 95 % are within ± 10 % of nominal and none is above + 10 % or below - 15 %.

    References
    ----------
    .. [1] EN 50160:2010, supply voltage variations, as implemented by a meter: N1/N <= 5 % beyond ± 10 %, N2 = 0 beyond
       + 10 / - 15 %, a week of ten-minute values. Schneider Electric, technical note 7EN72-0197 (read 2026-11). Neither
       the standard nor its edition of 2022 was read.
    """
    share = voltage / nominal - 1.0
    return _week(np.abs(share), BAND, (voltage < LOWEST * nominal) | (voltage > HIGHEST * nominal))


def week_of_unbalance(factor: NDArray[np.float64]) -> Week:
    """
    Return what a week of ten-minute unbalance factors comes to.

    Parameters
    ----------
    factor : ndarray of float64, shape (w,)
        Ratio of the ten-minute values of the negative and the positive sequence; NaN where invalid. [1]

    Returns
    -------
    week : Week
        Complies if 95 % are at most 2 %. In some areas up to 3 % is usual, and the standard says so; that is for people to
        judge.

    References
    ----------
    .. [1] EN 50160:2010, supply voltage unbalance, as implemented by a meter: N1/N <= 5 % above 2 %. Schneider Electric,
       technical note 7EN72-0197 (read 2026-11). The standard itself, and the remark on 3 %, were not read.
    """
    return _week(factor, UNBALANCE, np.zeros(factor.shape, dtype=bool))


def _week(size: NDArray[np.float64], limit: float, far: NDArray[np.bool_]) -> Week:
    known = ~np.isnan(size)
    counted = np.asarray(known.sum(axis=0))
    beyond = np.asarray((known & (size > limit)).sum(axis=0))
    far_beyond = np.asarray((known & far).sum(axis=0))
    share = np.where(counted > 0, 1.0 - beyond / np.maximum(counted, 1), np.nan)
    worst = np.full(counted.shape, np.nan)
    if known.any():
        ordered = np.sort(np.where(known, size, np.inf), axis=0)
        place = np.maximum(np.ceil(SHARE * counted).astype(np.int64) - 1, 0)
        worst = np.where(counted > 0, np.take_along_axis(ordered, place[None], 0)[0], np.nan)
    return Week(
        counted=counted, beyond=beyond, far_beyond=far_beyond, invalid=np.asarray((~known).sum(axis=0)), share=share,
        worst=worst, complies=np.asarray((counted > 0) & (share >= SHARE) & (far_beyond == 0)),
        whole=bool((counted >= WEEK).all()),
    )
