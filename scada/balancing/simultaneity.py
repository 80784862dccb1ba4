"""How much consumers peak together: the coincidence factor g(n), and its fit. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

DRAWS: Final = 200


@attrs.frozen(eq=False)
class Coincidence:
    """g(n): the peak of n consumers together over the sum of their own peaks."""

    sizes: NDArray[np.int64]                # (k,)
    mean: NDArray[np.float64]               # (k,) over the draws
    low: NDArray[np.float64]                # (k,) p5
    high: NDArray[np.float64]               # (k,) p95
    limit: float                            # g∞ of the fit: what is left for very many consumers
    misfit: float                           # root mean square of mean minus fit

    def fitted(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """The fitted g for other numbers of consumers."""
        return rusck(sizes, self.limit)


def rusck(sizes: NDArray[np.int64], limit: float) -> NDArray[np.float64]:
    """
    Return g(n) = g∞ + (1 - g∞) / √n.

    Notes
    -----
    The form that is commonly named after S. Rusck (1956). His paper was not read; how well the form fits the consumers at
    hand is `Coincidence.misfit`.
    """
    return np.asarray(limit + (1.0 - limit) / np.sqrt(sizes))


def coincidence(
    profiles: NDArray[np.float64], sizes: NDArray[np.int64], rng: np.random.Generator, draws: int = DRAWS
) -> Coincidence:
    """
    Return the coincidence factor of groups of some sizes, from random groups of the consumers there are.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each consumer in each interval. [W]
    sizes : ndarray of int64, shape (k,)
        Numbers of consumers, from 1 to n.
    rng : numpy.random.Generator
        Where chance comes from.
    draws : int
        Random groups of each size. A group has nobody twice: a consumer coincides fully with itself.

    Returns
    -------
    coincidence : Coincidence
        An interval counts in a group if all its members are known then. [1]

    Raises
    ------
    ValueError
        If a size is not from 1 to n.

    Notes
    -----
    g depends on the length of the interval (minutes coincide less than hours) and of the period. For groups of nearly all
    consumers the draws are nearly the same, and the spread says little.
    """
    n = len(profiles)
    sizes = np.asarray(sizes, dtype=np.int64)
    if not len(sizes) or sizes.min() < 1 or sizes.max() > n:
        raise ValueError(f"sizes are from 1 to the {n} consumers; found {sizes.tolist()}")
    hole = np.isnan(profiles)
    known = np.where(hole, 0.0, profiles)
    peaks = np.where(hole, -np.inf, profiles).max(axis=1, initial=-np.inf)
    peaks = np.where(np.isfinite(peaks), peaks, np.nan)
    rank = rng.random((draws, n)).argsort(axis=1).argsort(axis=1)
    factors = np.empty((len(sizes), draws))
    for at, size in enumerate(sizes):                       # a handful of sizes, each one product of matrices
        member = (rank < size).astype(np.float64)
        together = member @ known
        if hole.any():
            together = np.where(member @ hole.astype(np.float64) > 0, -np.inf, together)
        alone = np.where(member > 0, peaks, 0.0).sum(axis=1)
        factors[at] = np.where(alone > 0, together.max(axis=1) / np.where(alone > 0, alone, 1.0), np.nan)
    factors[~np.isfinite(factors)] = np.nan
    mean = np.nanmean(factors, axis=1)
    low, high = np.nanpercentile(factors, [5, 95], axis=1)
    slope = 1.0 - 1.0 / np.sqrt(sizes)
    limit = float(slope @ (mean - 1.0 / np.sqrt(sizes)) / (slope @ slope)) if slope.any() else np.nan
    misfit = float(np.sqrt(np.mean((mean - rusck(sizes, limit)) ** 2)))
    return Coincidence(sizes, mean, low, high, limit, misfit)
