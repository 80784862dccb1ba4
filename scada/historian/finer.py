"""Intervals of 15 and 30 minutes, read as hours: sums of what is whole, registers at full hours. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.dense import SLOTS, Dense, columns_of, register_at
from scada.intervals import HOURLY, MISSING


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


def hourly_of(blocks: Sequence[tuple[int, Dense]]) -> Dense | None:
    """The blocks of one day, (interval_s, block) of each interval length, as one in hours; None where there is none.

    A register inside an hour is taken at the next full one, where the pulses between are held.
    """
    if not blocks:
        return None
    if len(blocks) == 1 and blocks[0][0] == HOURLY:
        return blocks[0][1]
    rows, day = np.arange(SLOTS), Dense.empty(columns_of(HOURLY))
    for interval_s, block in sorted(blocks, key=lambda one: -one[0]):
        counts, status = in_hours(block, rows, interval_s)
        day.counts = np.where(day.counts == MISSING, counts, day.counts)
        day.status |= status
        per_hour = HOURLY // interval_s
        for hour in range(DAY_H):
            registers = register_at(block, rows, hour * per_hour)[0] if interval_s != HOURLY else block.registers[:, hour]
            held = day.registers[:, hour]
            day.registers[:, hour] = np.where(held == MISSING, registers, held)
    return day
