"""Down-sampling into steps: how many samples a step holds, what they come to, how good and how complete they are.

A range of any length is tallied a page at a time and the tallies are added: memory goes with the steps, not the samples.
"""

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.series import Buckets, How
from scada.tags import BAD, Quality


@attrs.frozen(eq=False)
class Tally:
    """What is known of b steps so far; only samples that are finite and not bad are counted."""

    count: NDArray[np.int64]            # (b,) samples; one that only goes on standing in a step is none of it
    low: NDArray[np.float64]            # (b,) NaN where nothing counts, and so on
    high: NDArray[np.float64]           # (b,)
    weight: NDArray[np.float64]         # (b,) of all that counts: a sample's is 1, or how long it stands [ns]
    total: NDArray[np.float64]          # (b,) of values by their weight; 0 where nothing counts: never shown without it
    last: NDArray[np.float64]           # (b,)
    worst: NDArray[np.uint8]            # (b,) worst `Quality` of what is counted
    unusable: NDArray[np.uint8]         # (b,) worst `Quality` of what is not counted

    def then(self, later: "Tally") -> "Tally":
        """Both together; `later` holds the later samples."""
        return Tally(
            self.count + later.count, np.fmin(self.low, later.low), np.fmax(self.high, later.high),
            self.weight + later.weight, self.total + later.total, np.where(np.isnan(later.last), self.last, later.last),
            np.maximum(self.worst, later.worst), np.maximum(self.unusable, later.unusable),
        )


def tally(
    at: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.uint8], edges: NDArray[np.int64],
    weight: NDArray[np.float64] | None = None, told: NDArray[np.bool_] | None = None,
) -> Tally:
    """
    Count samples into steps.

    Parameters
    ----------
    at : ndarray of int64, shape (n,)
        Times, ascending; those outside the edges are left out. [ns since 1970]
    values : ndarray of float64, shape (n,)
        In any unit; NaN and infinite ones are not counted.
    quality : ndarray of uint8, shape (n,)
        `Quality`; bad ones are not counted.
    edges : ndarray of int64, shape (b + 1,)
        Steps [edges[i], edges[i + 1]), of any lengths. [ns since 1970]
    weight : ndarray of float64, shape (n,), optional
        How much each counts in the mean; all the same unless given.
    told : ndarray of bool, shape (n,), optional
        Which are samples, and not what one goes on saying in a later step; all unless given.

    Raises
    ------
    ValueError
        If times or edges do not ascend.
    """
    if (at[1:] < at[:-1]).any() or (edges[1:] <= edges[:-1]).any() or len(edges) < 2:
        raise ValueError("times and edges must ascend, and there must be a step")
    usable = np.isfinite(values) & (quality < BAD)
    counted, starts, count = _inside(at, edges, usable)
    spoilt, spoilt_starts, spoilt_count = _inside(at, edges, ~usable)
    held = values[counted]
    last = np.full(len(count), np.nan)
    last[count > 0] = held[(starts + count - 1)[count > 0]]
    weights = np.ones(len(held)) if weight is None else weight[counted]
    samples = count if told is None else _reduce(np.add, told[counted].astype(np.int64), starts, count, 0)
    return Tally(
        samples, _reduce(np.minimum, held, starts, count, np.nan), _reduce(np.maximum, held, starts, count, np.nan),
        _reduce(np.add, weights, starts, count, 0.0),
        _reduce(np.add, held if weight is None else held * weights, starts, count, 0.0), last,
        _reduce(np.maximum, quality[counted], starts, count, 0),
        _reduce(np.maximum, quality[spoilt], spoilt_starts, spoilt_count, 0),
    )


def buckets(found: Tally, edges: NDArray[np.int64], how: How, period: float) -> Buckets:
    """
    Turn a tally into what was asked for.

    Parameters
    ----------
    found : Tally
        Of b steps.
    edges : ndarray of int64, shape (b + 1,)
        Of those steps. [ns since 1970]
    how : How
        What stands for the samples of a step. A mean counts every sample by its weight: the same, however far it is from
        the next, or by how long it stands. There is no sum of what stands.
    period : float
        Time of weight 1 when nothing is missing: between two samples, or 1 where weights are times. NaN or 0 where nobody
        knows, and then completeness is NaN. [ns]

    Returns
    -------
    Buckets
        A step without a usable sample is NaN, with the worst quality of what it holds, BAD_WAITING where it holds nothing.
    """
    some = ~np.isnan(found.last)
    match how:
        case How.MIN:
            values = found.low
        case How.MAX:
            values = found.high
        case How.LAST:
            values = found.last
        case How.COUNT:
            values = found.count.astype(np.float64)
        case How.SUM:
            values = np.where(some, found.total, np.nan)
        case How.MEAN:
            mean = found.total / np.where(some, found.weight, 1.0)
            values = np.clip(mean, found.low, found.high)       # rounding must not carry it past what was measured
    nothing = np.where(found.unusable >= BAD, found.unusable, np.uint8(Quality.BAD_WAITING))
    quality = np.where(some, found.worst, nothing).astype(np.uint8)
    expected = np.diff(edges) / period if period > 0 else np.full(len(found.count), np.nan)
    return Buckets(edges, values, quality, found.count, np.minimum(found.weight / expected, 1.0))


def resample(
    at: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.uint8], edges: NDArray[np.int64], how: How,
    period: float,
) -> Buckets:
    """Both at once, for a series that is in memory: parameters as in `tally` and `buckets`."""
    return buckets(tally(at, values, quality, edges), edges, how, period)


def spacing(at: NDArray[np.int64]) -> float:
    """Median distance of samples, for series whose period nobody states; NaN below two. [ns]"""
    return float(np.median(np.diff(at))) if len(at) > 1 else float("nan")


def _inside(at: Any, edges: Any, which: Any) -> tuple[Any, Any, Any]:
    """The samples chosen, where each step begins among them, and how many it has."""
    chosen = which & (at >= edges[0]) & (at < edges[-1])
    starts = np.searchsorted(at[chosen], edges[:-1])
    return chosen, starts, np.diff(starts, append=np.count_nonzero(chosen))


def _reduce(ufunc: np.ufunc, samples: Any, starts: Any, count: Any, empty: float) -> Any:
    """`ufunc` over each step's samples; `reduceat` knows no empty steps, so they are left out and filled in."""
    found = np.full(len(count), empty, dtype=samples.dtype)
    if (some := count > 0).any():
        found[some] = ufunc.reduceat(samples, starts[some])
    return found
