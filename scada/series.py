"""Series as people ask for them: down-sampled into steps, as a line to draw, or many values at one instant."""

import re
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H, HOUR_S, NS
from scada.tags import BAD

MOST_STEPS: Final = 1_000_000
_STEP: Final = re.compile(r"([1-9]\d{0,5})(s|min|h|d)")
_SECONDS: Final = {"s": 1, "min": 60, "h": HOUR_S, "d": DAY_H * HOUR_S}


class How(StrEnum):
    """What one value stands for the samples of a step."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    LAST = "last"
    COUNT = "count"                     # of usable samples; the only one that is 0 where there are none


@attrs.frozen(eq=False)
class Buckets:
    """A series in b steps; NaN with a bad quality where nothing usable is held."""

    edges: NDArray[np.int64]            # (b + 1,) ns since 1970; a step begins at its edge and ends before the next
    values: NDArray[np.float64]         # (b,) in the series' unit
    quality: NDArray[np.uint8]          # (b,) worst `Quality` of what counts; of what does not where nothing counts
    count: NDArray[np.int64]            # (b,) samples that count; of a tag with a dead-band those that were kept
    completeness: NDArray[np.float64]   # (b,) share of the expected samples, or of the time, that counts, 0-1; NaN if none


@attrs.frozen(eq=False)
class Line:
    """A series thinned for drawing: samples as they were, NaN where the line is broken; ends of what a dead-band held."""

    at: NDArray[np.int64]               # (n,) ns since 1970
    values: NDArray[np.float64]         # (n,)
    quality: NDArray[np.uint8]          # (n,) `Quality`
    samples: int                        # how many it was made of
    completeness: float                 # share of the expected samples, or of the time, 0-1; NaN if none can be expected


@attrs.frozen(eq=False)
class Instant:
    """Many values at one instant, in the order asked."""

    at: NDArray[np.int64]               # (n,) ns since 1970, when each was said; 0 = not known
    values: NDArray[np.float64]         # (n,) NaN where not known
    quality: NDArray[np.uint8]          # (n,) `Quality`; BAD_WAITING where nothing is held

    @property
    def completeness(self) -> float:
        """Share of the values that may be used; NaN where nothing was asked."""
        return float(np.mean(np.isfinite(self.values) & (self.quality < BAD))) if len(self.values) else float("nan")


def step_seconds(text: str) -> int:
    """The length of a step written `10s`, `15min`, `1h` or `1d`; a day as if it had 24 hours. [s]"""
    found = _STEP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no step; expected 10s, 15min, 1h, 1d and the like")
    return int(found[1]) * _SECONDS[found[2]]


def step_edges(text: str, first: int, last: int, zone: tzinfo, most: int = MOST_STEPS) -> NDArray[np.int64]:
    """
    Cut [first, last) into steps.

    Parameters
    ----------
    text : str
        `10s`, `15min`, `1h`, `1d`: a number and its unit. Days are site days of 23, 24 or 25 hours.
    first, last : int
        The range; what is left of a step at either end is a step of its own. [ns since 1970]
    zone : tzinfo
        The site's.
    most : int
        Steps allowed. [1]

    Returns
    -------
    edges : ndarray of int64, shape (b + 1,)
        Ascending; the first is `first`, the last is `last`. [ns since 1970]

    Raises
    ------
    ValueError
        For what is no step, an empty range, or more than `most` steps.
    """
    step = step_seconds(text) * NS
    if first >= last:
        raise ValueError("the range ends before it begins, or with it")
    if (last - first) // step >= most:
        raise ValueError(f"{text} cuts this range into more than {most} steps; expected longer steps or a shorter range")
    if text.endswith("d"):
        inner = _midnights(int(text[:-1]), first, last, zone)
    else:
        inner = np.arange((first // step + 1) * step, last, step, dtype=np.int64)
    return np.concatenate(([first], inner, [last]))


def first_steps(text: str, first: int, last: int, zone: tzinfo, most: int) -> NDArray[np.int64]:
    """
    Cut the beginning of [first, last) into at most `most` of its steps, however many it has in all.

    The last edge is where the rest begins: cut from there, it has the same steps as the whole. Parameters and errors as in
    `step_edges`.
    """
    reach = first + (most + 2) * step_seconds(text) * NS            # more than a change of the clocks takes
    return step_edges(text, first, min(last, reach), zone)[: most + 1]


def _midnights(days: int, first: int, last: int, zone: tzinfo) -> NDArray[np.int64]:
    """Every `days`-th site midnight inside (first, last), counted from the day of `first`. [ns since 1970]"""
    day = datetime.fromtimestamp(first // NS, zone).date()
    found: list[int] = []
    while True:
        day += timedelta(days=days)
        midnight = round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * NS
        if midnight >= last:
            return np.unique(np.array(found, dtype=np.int64))      # a zone has left a day out before
        found.append(midnight)
