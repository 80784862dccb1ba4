"""Weighted regression with priors, for many groups at once: what all ways of asking share.

Each coefficient has a normal prior around zero whose precision is given; 0 leaves it free. With precision zero
everywhere this is weighted least squares. Singular designs do not arise as long as columns that may be empty have
some precision.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

TINY = 1e-12


@attrs.frozen(eq=False)
class Fit:
    """A regression that was solved, in g groups with p columns and h hours."""

    columns: NDArray[np.float64]            # (g, p, h)
    weight: NDArray[np.float64]             # (g, h) over variance, up to a factor; 0 where an hour is not used
    cover: NDArray[np.float64]              # (g, p, p) covariance of the coefficients over `variance`
    coefficient: NDArray[np.float64]        # (g, p)
    residual: NDArray[np.float64]           # (g, h)
    variance: NDArray[np.float64]           # (g,) of the residual at weight 1

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard error of each coefficient, (g, p)."""
        diagonal = np.einsum("gpp->gp", self.cover)
        return np.asarray(np.sqrt(np.maximum(diagonal, 0.0) * self.variance[:, None]), dtype=np.float64)

    def trial(self, candidates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Return what each candidate column would be worth as the next one.

        Parameters
        ----------
        candidates : ndarray of float64, shape (g, m, h)
            Columns that are not in the fit.

        Returns
        -------
        coefficient, error : ndarray of float64, shape (g, m)
            As if that column alone were added; the variance stays that of this fit.
        """
        weighted = candidates * self.weight[:, None]
        cross = weighted @ self.columns.swapaxes(1, 2)                          # (g, m, p)
        own = np.einsum("gmh,gmh->gm", weighted, candidates)
        left = np.maximum(own - np.einsum("gmp,gmp->gm", cross @ self.cover, cross), 1e-9 * own + TINY)
        gain = np.einsum("gmh,gh->gm", weighted, self.residual)                # of the penalised fit: holds the cross term
        return gain / left, np.sqrt(np.maximum(self.variance, TINY)[:, None] / left)


def fit(
    columns: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    precision: NDArray[np.float64],
    freedom: NDArray[np.float64],
) -> Fit:
    """
    Return the regression of `target` on `columns`.

    Parameters
    ----------
    columns : ndarray of float64, shape (g, p, h)
    target : ndarray of float64, shape (g, h)
    weight : ndarray of float64, shape (g, h)
        1 over the variance of an hour, up to a factor; 0 leaves it out.
    precision : ndarray of float64, shape (g, p)
        Of the prior of each coefficient, times the variance of the residual.
    freedom : ndarray of float64, shape (g,)
        Degrees of freedom left to the residual.
    """
    weighted = columns * weight[:, None]
    normal = weighted @ columns.swapaxes(1, 2)
    index = np.arange(columns.shape[1])
    normal[:, index, index] += precision + TINY
    cover = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    coefficient = np.einsum("gpq,gq->gp", cover, np.einsum("gph,gh->gp", weighted, target))
    residual = target - np.einsum("gp,gph->gh", coefficient, columns)
    variance = np.einsum("gh,gh->g", weight, residual**2) / np.maximum(freedom, 1.0)
    return Fit(columns, weight, cover, coefficient, residual, variance)


def weights(feed: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """
    Return how much an hour counts: errors of clocks, meters and losses grow with the load, and some stay at no load.

    Parameters
    ----------
    feed : ndarray of float64, shape (g, h)
        [kWh or m3]
    usable : ndarray of bool, shape (g, h)

    Returns
    -------
    weight : ndarray of float64, shape (g, h)
        1 / (1/4 + (feed / mean feed)^2); 0 where not usable. The quarter is ours, by trial on the generator of
        tests/bench.
    """
    mean = level(feed, usable)
    return np.where(usable, 1.0 / (0.25 + (feed / mean[:, None]) ** 2), 0.0)


def level(feed: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean magnitude of the feed over usable hours, shape (g,); never 0."""
    mean = np.abs(np.where(usable, feed, 0.0)).sum(axis=1) / np.maximum(usable.sum(axis=1), 1)
    return np.asarray(np.maximum(mean, TINY), dtype=np.float64)
