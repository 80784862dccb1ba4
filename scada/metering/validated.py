"""Validated hours: laid over the raw ones for whoever asks for them, and worked out by simple methods. Pure."""

import itertools
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.estimates import Estimate, Method
from scada.ports import Consumption
from scada.tags import BAD, Quality

WEEK_H: Final = 7 * 24
WEEKS: Final = 8                        # looked back over by `typical`
LEAST_WEEKS: Final = 2                  # of them that must be held
LONGEST_LINE_H: Final = 6               # a longer gap is no straight line


def laid_over(raw: Consumption, estimates: Sequence[Estimate]) -> Consumption:
    """
    Return hours with validated ones in their places; what was delivered is not changed.

    Parameters
    ----------
    raw : Consumption
        As delivered.
    estimates : sequence of Estimate
        Those that stand, of any points and hours.

    Notes
    -----
    A person's figure stands over what was delivered, too. What was worked out stands for an hour that is missing or not to
    be used, and gives way when that is delivered after all.
    """
    if not estimates:
        return raw
    wanted = {one.point for one in estimates}
    rows: dict[str, list[int]] = {}                         # who asks for many groups asks for a point of several of them
    for number, point in enumerate(raw.points):
        if point in wanted:
            rows.setdefault(point, []).append(number)
    values, quality = raw.values.copy(), raw.quality.copy()
    usable = np.isfinite(raw.values) & (raw.quality < BAD)
    for one in estimates:
        column = one.hour - raw.first_hour
        if not 0 <= column < values.shape[1]:
            continue
        by_hand = one.method is Method.VALUE
        for row in rows.get(one.point, ()):
            if by_hand or not usable[row, column]:
                values[row, column] = one.value
                quality[row, column] = Quality.SUBSTITUTED if by_hand else Quality.UNCERTAIN_ESTIMATED
    return attrs.evolve(raw, values=values, quality=quality)


def interpolated(values: NDArray[np.float64], quality: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(h,) values for gaps of at most `LONGEST_LINE_H` hours on the line between their neighbours; NaN elsewhere."""
    usable = np.isfinite(values) & (quality < BAD)
    found = np.full(len(values), np.nan)
    at = np.flatnonzero(usable)
    for before, after in itertools.pairwise(at.tolist()):
        if 1 < after - before <= LONGEST_LINE_H + 1:
            inside = np.arange(before + 1, after)
            found[inside] = np.interp(inside, (before, after), (values[before], values[after]))
    return found


def typical(past: NDArray[np.float64], quality: NDArray[np.uint8], hours: int) -> NDArray[np.float64]:
    """(hours,) medians of the same hours of the `WEEKS` weeks before; NaN where fewer than `LEAST_WEEKS` are held.

    `past` are the `WEEKS` weeks before the first of the hours, and as many of those as are asked for.
    """
    usable = np.where(np.isfinite(past) & (quality < BAD), past, np.nan)
    weeks = np.stack([usable[week * WEEK_H:week * WEEK_H + hours] for week in range(WEEKS)])
    enough = np.isfinite(weeks).sum(axis=0) >= LEAST_WEEKS
    found = np.full(hours, np.nan)
    found[enough] = np.nanmedian(weeks[:, enough], axis=0)
    return found


def spread(total: float, shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """`total` shared out in the proportions of `shape`, evenly where that says nothing."""
    if not len(shape):
        return shape
    weights = np.where(np.isfinite(shape), shape, np.nan)
    if not np.isfinite(weights).all() or weights.sum() <= 0:
        weights = np.ones(len(shape))
    return np.asarray(total * weights / weights.sum(), dtype=np.float64)
