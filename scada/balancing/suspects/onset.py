"""Since when: the day from which on a member explains the imbalance, and between which days it may have begun."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.linear import TINY
from scada.balancing.suspects.signatures import Pattern

TAIL: Final = 0.05                      # on either side of the interval: it holds 90 %


@attrs.frozen(eq=False)
class Onset:
    """Of each member. Days are indices; -1 where nobody was accused, and in the interval also where it was always there."""

    day: NDArray[np.int64]                  # (g, n) the likeliest; 0 where it was there on the first day already
    earliest: NDArray[np.int64]             # (g, n)
    latest: NDArray[np.int64]               # (g, n)

    def holds(self, days: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether one of some days (g, n, d) lies in the interval, (g, n)."""
        number = np.arange(days.shape[2])
        inside = (number >= self.earliest[..., None]) & (number <= self.latest[..., None])
        return np.asarray((days & inside).any(axis=2) & (self.latest >= 0))


def onset(found: Ranking) -> Onset:
    """
    Return the first day of each accused member's theft or fault, and its interval of 90 %.

    The day is the one that parts the member's `course` best into two levels, the second higher (least squares; the
    variance between the parts is largest). The interval comes from how much worse the other days part it: their weight
    is the residual sum of squares to the power of -(d - 1) / 2, as for a normal error of unknown size. A day that it
    began late in looks like the one before, so the interval begins a day sooner.

    Notes
    -----
    Right to a day or two where what is explained is larger than the other members' noise; a weak theft's beginning is a
    guess, and its interval says so. What was there on the first day already (`Pattern.STEADY`) has none.
    """
    accused = found.place >= 0
    course = found.course[accused]
    days = course.shape[1]
    middle = course.mean(axis=1, keepdims=True)
    head = np.cumsum(course, axis=1)[:, :-1]                       # of the days before each, from the second on
    number = np.arange(1, days)
    step = (days * middle - head) / (days - number) - head / number
    between = np.where(step > 0, step**2 * number * (days - number), -1.0)
    left = np.maximum(((course - middle) ** 2).sum(axis=1, keepdims=True) - between / days, TINY)
    weight = np.where(step > 0, (left.min(axis=1, keepdims=True) / left) ** ((days - 1) / 2), 0.0)
    under = np.cumsum(weight, axis=1) / np.maximum(weight.sum(axis=1, keepdims=True), TINY)
    best = between.argmax(axis=1) + 1
    earliest = np.minimum((under >= TAIL).argmax(axis=1) + 1, best) - 1
    latest = np.maximum((under >= 1.0 - TAIL).argmax(axis=1) + 1, best)
    steady = found.pattern[accused] == Pattern.STEADY

    def placed(values: NDArray[np.int64]) -> NDArray[np.int64]:
        all_ = np.full(found.place.shape, -1, dtype=np.int64)
        all_[accused] = values
        return all_

    return Onset(
        placed(np.where(steady, 0, best)), placed(np.where(steady, -1, earliest)), placed(np.where(steady, -1, latest))
    )
