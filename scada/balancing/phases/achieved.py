"""What the moves have really given, from what was metered afterwards. Pure.

Two ways that share nothing but the meters. Like with like: each hour after the moves beside hours before them of the same
place in the week and about the same load. And without the moves: the same hours after, with the moved consumers put back
by their own profiles.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.uneven import PHASES, unevenness

WEEK: Final = 168
ALIKE: Final = 0.15                     # of the load: hours farther apart are not compared
LEAST: Final = 24                       # hours compared, below which nothing is said
DRAWS: Final = 400


@attrs.frozen
class Gain:
    """How much smaller the unevenness has become. NaN where too little can be compared."""

    neutral: float                          # 1 - after / before, of the mean unevenness: of the neutral current
    neutral_low: float                      # p5 over days drawn anew
    neutral_high: float                     # p95
    squared: float                          # the same of the mean square: of the loss in the neutral
    hours: int                              # that were compared
    left_out: int                           # hours after the moves for which there was nothing alike


def like_for_like(
    before: NDArray[np.float64], slots_before: NDArray[np.int64], after: NDArray[np.float64],
    slots_after: NDArray[np.int64], days_after: NDArray[np.int64], rng: np.random.Generator,
    days_before: NDArray[np.int64] | None = None,
) -> Gain:
    """
    Return the gain by comparing hours of the week.

    Parameters
    ----------
    before, after : ndarray of float64, shape (b, 3) and (a, 3)
        The feeder's phases in hours before and after the moves; hours of holidays are best left out. [W]
    slots_before, slots_after : ndarray of int64, shape (b,) and (a,)
        Hour of the week, 0 to 167, in the site's own time.
    days_after : ndarray of int64, shape (a,)
        Day of each hour: whole days are drawn anew for the interval, for hours of a day are alike.
    rng : numpy.random.Generator
    days_before : ndarray of int64, shape (b,), optional
        Day of each hour before: with it the interval knows that those are a sample, too.

    Returns
    -------
    gain : Gain
        Of hours after that have one or more like them before (same hour of the week, load within `ALIKE`); the mean of
        those, each in proportion to the loads of the two, stands for what would have been.

    Notes
    -----
    Seasons change who is at home and what is heated: compare weeks close to the moves. `without_moves` has no such limit,
    but wants the profiles of those who were moved.
    """
    load_b, load_a = before.sum(axis=1), after.sum(axis=1)
    uneven_b, uneven_a = unevenness(before), unevenness(after)
    expected, drawn = np.full((len(after), 2), np.nan), None
    often = np.ones((1, len(before)))
    if days_before is not None:
        often, drawn = _often(days_before, rng), np.full((len(after), DRAWS), np.nan)
    for slot in np.unique(slots_after):                 # at most a week's hours
        mine, others = np.flatnonzero(slots_after == slot), np.flatnonzero((slots_before == slot) & ~np.isnan(uneven_b))
        alike = np.abs(load_b[others][None] - load_a[mine][:, None]) <= ALIKE * np.abs(load_a[mine])[:, None]
        grown = load_a[mine][:, None] / np.where(load_b[others] != 0, load_b[others], 1.0)[None]
        count, some = alike.sum(axis=1), alike.any(axis=1)
        for column, value in enumerate((grown * uneven_b[others], (grown * uneven_b[others]) ** 2)):
            expected[mine[some], column] = np.where(alike, value, 0.0).sum(axis=1)[some] / count[some]
        if drawn is not None:
            taken = alike @ often[:, others].T
            sums = np.where(alike, grown * uneven_b[others], 0.0) @ often[:, others].T
            drawn[mine] = np.where(taken > 0, sums / np.maximum(taken, 1), np.nan)
    return _gain(uneven_a, expected, days_after, rng, drawn)


def without_moves(
    after: NDArray[np.float64], moved: NDArray[np.float64], of: NDArray[np.int64], to: NDArray[np.int64],
    days_after: NDArray[np.int64], rng: np.random.Generator,
) -> Gain:
    """
    Return the gain against what the same hours would have been had nobody been moved.

    Parameters
    ----------
    after : ndarray of float64, shape (a, 3)
        The feeder's phases in hours after the moves. [W]
    moved : ndarray of float64, shape (m, a)
        Profiles of the consumers that were moved. [W]
    of, to : ndarray of int64, shape (m,)
        The phases they came from and went to. If the crew did something else than the order says, so must these.
    days_after : ndarray of int64, shape (a,)
    rng : numpy.random.Generator

    Returns
    -------
    gain : Gain
        Hours in which one of them was not heard are left out.
    """
    back = np.eye(PHASES)[of] - np.eye(PHASES)[to]
    would = unevenness(after + moved.T @ back)
    return _gain(unevenness(after), np.column_stack([would, would**2]), days_after, rng)


def _gain(
    uneven: NDArray[np.float64], expected: NDArray[np.float64], days: NDArray[np.int64], rng: np.random.Generator,
    drawn: NDArray[np.float64] | None = None,
) -> Gain:
    used = ~(np.isnan(uneven) | np.isnan(expected).any(axis=1))
    hours, left_out = int(np.count_nonzero(used)), int(np.count_nonzero(~used & ~np.isnan(uneven)))
    if hours < LEAST:
        return Gain(np.nan, np.nan, np.nan, np.nan, hours, left_out)
    of, would = uneven[used], expected[used, 0]
    often = _often(days[used], rng)                                                        # (DRAWS, hours)
    against = np.repeat(would[:, None], DRAWS, axis=1) if drawn is None else drawn[used]   # (hours, DRAWS)
    there = np.isfinite(against)
    measured = (often.T * there * of[:, None]).sum(axis=0)
    low, high = np.nanpercentile(1.0 - measured / (often.T * np.where(there, against, 0.0)).sum(axis=0), [5, 95])
    return Gain(
        float(1.0 - of.sum() / would.sum()), float(low), float(high),
        float(1.0 - (of**2).sum() / expected[used, 1].sum()), hours, left_out,
    )


def _often(days: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(DRAWS, hours) how often each hour is taken when whole days are drawn anew."""
    names, day = np.unique(days, return_inverse=True)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS).astype(np.float64)
    return np.asarray(counts[:, day])
