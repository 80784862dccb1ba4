"""Intervals of 15 and 30 minutes, read as hours: sums of what is whole. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.intervals import HOURLY, MISSING

LENGTHS: Final = (HOURLY, 1800, 900)    # of intervals [s], the most usual first


def in_hours(counts: NDArray[np.signedinteger[Any]], interval_s: int) -> NDArray[np.signedinteger[Any]]:
    """(n, 24) pulses of (n, 24 or more); an hour of shorter intervals counts when all of them are held."""
    if interval_s == HOURLY:
        return counts
    parts = counts.reshape(len(counts), DAY_H, HOURLY // interval_s)
    return np.where((parts != MISSING).all(axis=2), parts.sum(axis=2, dtype=np.int64), MISSING)


def bits_in_hours(status: NDArray[np.uint8], interval_s: int) -> NDArray[np.uint8]:
    """(n, 24) status bits of (n, 24 or more), joined."""
    if interval_s == HOURLY:
        return status
    parts = status.reshape(len(status), DAY_H, HOURLY // interval_s)
    joined: NDArray[np.uint8] = np.bitwise_or.reduce(parts, axis=2)
    return joined
