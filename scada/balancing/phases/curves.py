"""The simultaneity curves: the least, the usual and the largest unevenness that the same consumers could make. Pure.

They are laid beside what was measured: consumers are well spread over the phases when the measured curve has the shape of
the least one.
"""

from collections.abc import Callable
from itertools import product
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.uneven import PHASES, allocated, unevenness
from scada.balancing.simultaneity import DRAWS

Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]     # (..., 3) to (...)

EXACT: Final = 7                        # consumers up to which all splits are tried: 3^6 of them, the first one stays


@attrs.frozen(eq=False)
class Curves:
    """What these consumers make in every interval; `minimum` <= `low` <= `middle` <= `high` <= `maximum` everywhere."""

    minimum: NDArray[np.float64]            # the best split that was found for that interval
    low: NDArray[np.float64]                # p5 of random allocations
    middle: NDArray[np.float64]
    high: NDArray[np.float64]               # p95
    maximum: NDArray[np.float64]            # all on one phase

    def scaled(self, factor: float) -> "Curves":
        """The same shapes, for laying beside a curve of another unit; the order stays."""
        return Curves(*(factor * curve for curve in attrs.astuple(self, recurse=False)))


def curves(
    profiles: NDArray[np.float64], rng: np.random.Generator, measure: Measure = unevenness, draws: int = DRAWS,
    days: NDArray[np.int64] | None = None,
) -> Curves:
    """
    Return the least, the usual and the largest unevenness that these consumers could make.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each one-phase consumer in each hour. [W]
    rng : numpy.random.Generator
        Draws the random allocations.
    measure : callable
        `unevenness` to compare with a neutral current, `loss_shape` to compare with an energy imbalance.
    draws : int
        Random allocations.
    days : ndarray of int64, shape (t,), optional
        The day of every hour, ascending: the curves are then of days, sums of their hours.

    Returns
    -------
    curves : Curves
        Of shape (t,), or of one value a day. NaN in an hour in which a consumer is NaN, and in its
        day. Unit of the measure.

    Notes
    -----
    `minimum` is what each hour's own best split would leave: no fixed allocation reaches it in all hours. For up to seven
    consumers it is the least unevenness there is; for more it is the best of a greedy split and of the draws, and so an
    upper bound of the true minimum.
    `maximum` is exact for consumers that do not generate.
    """
    n, t = profiles.shape
    drawn = measure(allocated(profiles, rng.integers(PHASES, size=(draws, n))))             # (draws, t)
    one = measure(allocated(profiles, np.zeros((1, n), dtype=np.int64)))[0]
    best = np.minimum(measure(best_split(profiles)), drawn.min(axis=0))
    worst = np.maximum(one, drawn.max(axis=0))
    if days is not None:
        first = np.flatnonzero(np.diff(np.asarray(days), prepend=np.asarray(days)[:1] - 1)) if t else np.zeros(0, dtype=int)
        drawn, best, worst = (np.add.reduceat(of, first, axis=-1) for of in (drawn, best, worst))
    low, middle, high = np.percentile(drawn, [5, 50, 95], axis=0)
    return Curves(best, low, middle, high, worst)


def best_split(profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return the loads of the phases, shape (t, 3), when every interval is split as evenly as we can. [W]

    Up to seven consumers every split is tried, by its unevenness; beyond, the largest consumer first to the phase that has
    least. NaN where a consumer is NaN.
    """
    n, t = profiles.shape
    if n <= EXACT:
        all_splits = np.array([(0, *rest) for rest in product(range(PHASES), repeat=max(n - 1, 0))])[:, :n]
        power = allocated(profiles, all_splits)                                             # (s, t, 3)
        best = np.nan_to_num(unevenness(power), nan=np.inf).argmin(axis=0)
        return np.asarray(power[best, np.arange(t)])
    ordered = -np.sort(-profiles, axis=0)                   # NaN last, and NaN it stays
    power = np.zeros((t, PHASES))
    at = np.arange(t)
    for step in ordered:                                    # n steps, all intervals at once
        power[at, np.nan_to_num(power).argmin(axis=1)] += step
    return np.where(np.isnan(power).any(axis=1, keepdims=True), np.nan, power)
