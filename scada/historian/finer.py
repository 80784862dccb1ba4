"""Intervals of 15 and 30 minutes, read as hours: sums of what is whole. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.dense import Dense
from scada.intervals import HOURLY, MISSING

LENGTHS: Final = (HOURLY, 1800, 900)    # of intervals [s], the most usual first


def in_hours(block: Dense, rows: NDArray[np.int64], interval_s: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(n, 24) pulses and status of rows; an hour of shorter intervals counts when all of them are held."""
    counts, status = block.counts[rows], block.status[rows]
    if interval_s == HOURLY:
        return counts, status
    per_hour = HOURLY // interval_s
    parts = counts.reshape(len(rows), DAY_H, per_hour)
    whole = (parts != MISSING).all(axis=2)
    bits: NDArray[np.uint8] = np.bitwise_or.reduce(status.reshape(len(rows), DAY_H, per_hour), axis=2)
    return np.where(whole, parts.sum(axis=2), MISSING), bits
