"""Joint regressions of a feeder's three phases on all consumers: what each phase seems to carry of each consumer. Pure.

Plain correlation of one consumer with each phase is drowned by the others; all of them together explain each other away.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RIDGE: Final = 1e-3                     # on columns of unit length: parts consumers that are alike, hardly more
LEAST_SCALE: Final = 0.05               # of the median column: an empty flat is not blown up to the size of the others
REFITS: Final = 2
STILL: Final = 0.2                      # of the median hour of the day: the quietest hours do not decide alone


def ridge(consumers: NDArray[np.float64], phases: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return the coefficients of `phases` (t, 3) on `consumers` (t, n), shape (n, 3); near 1 on a consumer's own phase.

    Columns are brought to unit length before `RIDGE` is added, so that it weighs on all consumers alike.
    """
    length = np.sqrt((consumers**2).sum(axis=0))
    length = np.maximum(length, max(LEAST_SCALE * float(np.median(length)), np.finfo(float).tiny))
    unit = consumers / length
    normal = unit.T @ unit
    normal[np.diag_indices_from(normal)] += RIDGE
    return np.asarray(np.linalg.solve(normal, unit.T @ phases) / length[:, None])


def without_days_shape(values: NDArray[np.float64], slot: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `values` (t, k) less the mean of their hour of the day, `slot` (t,) in 0..23: what is left is not habit."""
    count = np.bincount(slot, minlength=24)[:, None]
    total = np.zeros((24, values.shape[1]))
    np.add.at(total, slot, values)
    return np.asarray(values - (total / np.maximum(count, 1))[slot])


def weighted(
    consumers: NDArray[np.float64], phases: NDArray[np.float64], slot: NDArray[np.int64], follows: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """
    Return the coefficients when loud hours count less, and the rows they were made from.

    Parameters
    ----------
    consumers : ndarray of float64, shape (t, n)
    phases : ndarray of float64, shape (t, 3)
    slot : ndarray of int64, shape (t,)
        Hour of the day.
    follows : ndarray of bool, shape (t,)
        Whether the hour before is there, too.

    Returns
    -------
    coefficients : ndarray of float64, shape (n, 3)
    consumers, phases : ndarray of float64
        The weighted rows; sums of their squares can be compared.

    Notes
    -----
    Consumers without a meter are louder in the evening, now and then very loud, and an hour resembles the one before:
    the residual's size by hour of the day, its outliers (weight 1/size beyond the median, as Huber's) and its
    correlation of the first order are estimated and taken out, twice.
    """
    coefficients, rows, values = ridge(consumers, phases), consumers, phases
    for _ in range(REFITS):
        residual = phases - consumers @ coefficients
        size = np.sqrt(np.bincount(slot, (residual**2).mean(axis=1), 24) / np.maximum(np.bincount(slot, minlength=24), 1))
        size = np.maximum(size, max(STILL * float(np.median(size[size > 0], axis=None)) if size.any() else 0.0, 1e-12))
        weight = 1.0 / size[slot]
        loud = np.sqrt((residual**2).mean(axis=1)) * weight
        usual = max(float(np.median(loud)), 1e-12)
        weight *= np.sqrt(usual / np.maximum(loud, usual))
        weighed = residual * weight[:, None]
        after = np.flatnonzero(follows)
        alike = float((weighed[after] * weighed[after - 1]).sum() / max(float((weighed**2).sum()), 1e-300))
        alike = min(max(alike, 0.0), 0.98)
        rows, values = consumers * weight[:, None], phases * weight[:, None]
        rows, values = rows[after] - alike * rows[after - 1], values[after] - alike * values[after - 1]
        coefficients = ridge(rows, values)
    return coefficients, rows, values


def whole(
    consumers: NDArray[np.float64], phases: NDArray[np.float64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """
    Return the phase of every consumer, shape (n,), when each hangs on exactly one of them.

    Consumers change phase one at a time, always the one that lessens the sum of squares most, until none does: the
    knowledge that a coefficient is 0 or 1 helps where consumers are alike. A local optimum near `start`.
    """
    product = consumers.T @ consumers
    own, at = np.diag(product), np.arange(len(product))
    phase = np.array(start, dtype=np.int64)
    left = consumers.T @ (phases - consumers @ np.eye(3)[phase])               # (n, 3) what the residual still has of each
    for _ in range(4 * len(phase)):
        change = 2.0 * (left[at, phase][:, None] - left + own[:, None])
        change[at, phase] = 0.0
        one, to = np.unravel_index(int(change.argmin()), change.shape)
        if change[one, to] >= -1e-9 * max(float(own.max(initial=0.0)), 1e-300):
            break
        left[:, phase[one]] += product[:, one]
        left[:, to] -= product[:, one]
        phase[one] = to
    return phase
