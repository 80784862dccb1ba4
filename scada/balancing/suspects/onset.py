"""Since when: the day from which on a member explains the imbalance."""

import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.signatures import Pattern


def onset(found: Ranking) -> NDArray[np.int64]:
    """
    Return the first day of each accused member's theft or fault.

    The day that parts its `course` best into two levels, the second higher (least squares; the variance between the
    parts is largest).

    Returns
    -------
    day : ndarray of int64, shape (g, n)
        Index of a day; 0 where it was there on the first day already (`Pattern.STEADY`); -1 where nobody was accused.

    Notes ----- Right to a day or two where what is explained is larger than the other members' noise; a weak theft's
    beginning is a guess.
    """
    days = found.course.shape[2]
    total = found.course.sum(axis=2, keepdims=True)
    head = np.cumsum(found.course, axis=2)[..., :-1]               # of the days before each, from the second on
    number = np.arange(1, days)
    step = (total - head) / (days - number) - head / number
    between = np.where(step > 0, step**2 * number * (days - number), -1.0)
    day = between.argmax(axis=2) + 1
    day = np.where(found.pattern == Pattern.STEADY, 0, day)
    return np.where(found.place >= 0, day, -1)
