"""Thinning a series for drawing: Largest Triangle Three Buckets on each stretch between gaps, so that a gap stays one."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.tags import Quality

FEWEST: Final = 4                       # the first, the last, and room for one stretch between
SPARE: Final = 8                        # times as many samples as wanted are kept of a page, to choose from at the end


def lttb(at: NDArray[np.int64], values: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """
    Choose the samples of a series that a drawing needs.

    Largest Triangle Three Buckets [1]_ picks from each of n - 2 equal runs of samples the one that spans the largest
    triangle with the sample picked before and the mean of the next run. A run of NaN is a gap: what lies between gaps is
    thinned by itself, with as many of the n samples as its share of them all, and of each gap one NaN is kept. When
    there are more gaps than n can show the longest are kept.

    Parameters
    ----------
    at : ndarray of int64, shape (m,)
        Times, ascending. [ns since 1970]
    values : ndarray of float64, shape (m,)
        In any unit; what is not finite is a gap.
    n : int
        Samples wanted, at least 4. [1]

    Returns
    -------
    chosen : ndarray of int64, shape (at most n,)
        Positions, ascending; the first and the last sample are always among them.

    Raises
    ------
    ValueError
        If `n` is below 4.

    References
    ----------
    .. [1] Sveinn Steinarsson, "Downsampling Time Series for Visual Representation", MSc thesis, University of Iceland,
       June 2013.
    """
    if n < FEWEST:
        raise ValueError(f"{n} samples cannot be a line; expected at least {FEWEST}")
    if len(at) <= n:
        return np.arange(len(at))
    held = np.flatnonzero(np.isfinite(values))
    ends = np.array([0, len(at) - 1])
    outer = ends[~np.isfinite(values[ends])]                    # NaN at either end stays, and says how far the gap goes
    if not len(held):
        return ends
    before = np.flatnonzero(np.diff(held) > 1)                  # a gap follows this one of those held
    most = min((n - len(outer) - 2) // 3, len(before))          # each costs a NaN and two ends of a stretch
    length = at[held[before + 1]] - at[held[before]]
    kept = np.sort(before[np.argsort(-length, kind="stable")[:most]])
    stretches = np.split(held, kept + 1)
    shares = _shares(np.array([len(one) for one in stretches]), n - len(outer) - len(kept))
    parts = [one[_stretch(at[one], values[one], share)] for one, share in zip(stretches, shares, strict=True)]
    return np.sort(np.concatenate([outer, held[kept] + 1, *parts]))


def line(at: NDArray[np.int64], values: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """What `lttb` chooses with two less, at least 6, and the lowest and the highest of all: no drawing may hide those."""
    if len(at) <= n or not np.isfinite(values).any():
        return lttb(at, values, n)
    finite = np.where(np.isfinite(values), values, np.nan)
    return np.unique(np.append(lttb(at, values, n - 2), [np.nanargmin(finite), np.nanargmax(finite)]))


def extremes(values: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """
    Choose samples that `lttb` may then choose from, at once and not one by one.

    Of equal runs of samples the lowest, the highest and the first NaN, and both ends of the series: about `n`, all of
    them where there are no more. With several times as many as are wanted in the end hardly anything looks different [1]_.

    Parameters
    ----------
    values : ndarray of float64, shape (m,)
        In any unit; what is not finite counts as NaN.
    n : int
        Samples wanted, at least 5. [1]

    Returns
    -------
    chosen : ndarray of int64, shape (at most n,)
        Positions, ascending.

    References
    ----------
    .. [1] J. Van Der Donckt et al., "MinMaxLTTB: Leveraging MinMax-Preselection to Scale LTTB", 2023, arXiv:2305.00332.
    """
    m = len(values)
    if m <= n:
        return np.arange(m)
    length = -(-m // max((n - 2) // 3, 1))
    padded = np.full(-(-m // length) * length, np.nan)
    padded[:m] = values
    runs = padded.reshape(-1, length)
    finite = np.isfinite(runs)
    inside = np.stack([
        np.where(finite, runs, np.inf).argmin(axis=1), np.where(finite, runs, -np.inf).argmax(axis=1), finite.argmin(axis=1)
    ])
    found = np.unique(np.append(inside + np.arange(len(runs)) * length, [0, m - 1]))
    return found[found < m]


def with_silence(
    at: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.uint8], longest: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8]]:
    """The same samples, and a stale NaN `longest` [ns] after each that a longer silence followed; 0 = none is too long."""
    last = np.flatnonzero(np.diff(at) > longest) if longest > 0 else np.empty(0, np.int64)
    if not len(last):
        return at, values, quality
    return (
        np.insert(at, last + 1, at[last] + longest), np.insert(values, last + 1, np.nan),
        np.insert(quality, last + 1, np.uint8(Quality.BAD_STALE)),
    )


def _shares(sizes: NDArray[np.int64], n: int) -> list[int]:
    """How many of `n` samples each stretch gets: both its ends, and the rest by how many it has."""
    ends = np.minimum(sizes, 2)
    more, spare = sizes - ends, max(n - int(ends.sum()), 0)
    shares: list[int] = (ends + np.minimum(more, spare * more // max(int(more.sum()), 1))).tolist()
    return shares


def _stretch(at: NDArray[np.int64], values: NDArray[np.float64], n: int) -> Any:
    """Positions of `n` samples of a series without gaps."""
    m = len(at)
    if n >= m:
        return np.arange(m)
    if n <= 2:
        return np.array([0, m - 1])[:n]
    x = (at - at[0]).astype(np.float64)
    edges = 1 + (m - 2) * np.arange(n - 1) // (n - 2)           # of n - 2 runs; whole numbers, so that none is empty
    sizes = np.diff(edges, append=m)
    x_next, y_next = np.add.reduceat(x, edges) / sizes, np.add.reduceat(values, edges) / sizes
    chosen = np.zeros(n, dtype=np.int64)
    chosen[-1] = m - 1
    for run in range(n - 2):                                    # each choice rests on the one before
        inside, left = slice(edges[run], edges[run + 1]), chosen[run]
        area = np.abs(
            (x[left] - x_next[run + 1]) * (values[inside] - values[left])
            - (x[left] - x[inside]) * (y_next[run + 1] - values[left])
        )
        chosen[run + 1] = edges[run] + int(area.argmax())
    return chosen
