"""Intervals of 15 and 30 minutes, read as hours: sums of what is whole. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.intervals import HOURLY, MISSING

LENGTHS: Final = (HOURLY, 1800, 900)    # of intervals [s], the most usual first


def in_hours(
    counts: NDArray[np.integer[Any]], status: NDArray[np.uint8] | None, rows: NDArray[np.int64], interval_s: int
) -> tuple[NDArray[np.integer[Any]], NDArray[np.uint8] | None]:
    """(n, 24) pulses and status of a block's rows; an hour of shorter intervals counts when all of them are held."""
    counts, status = counts[rows], None if status is None else status[rows]
    if interval_s == HOURLY:
        return counts, status
    per_hour = HOURLY // interval_s
    parts = counts.reshape(len(rows), DAY_H, per_hour)
    whole = (parts != MISSING).all(axis=2)
    sums: NDArray[np.int64] = np.where(whole, parts.sum(axis=2, dtype=np.int64), MISSING)
    if status is None:
        return sums, None
    bits: NDArray[np.uint8] = np.bitwise_or.reduce(status.reshape(len(rows), DAY_H, per_hour), axis=2)
    return sums, bits
