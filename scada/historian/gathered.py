"""Hours of many channels, gathered from blocks into one matrix: a block at a time, no loop over channels or hours. Pure."""

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.historian.dense import SLOTS
from scada.historian.finer import bits_in_hours, in_hours
from scada.historian.rows import BlockKey
from scada.intervals import HOURLY, MISSING


@attrs.frozen(eq=False)
class Gathered:
    """(n, hours) of n channels, in the order asked."""

    first_hour: int
    counts: NDArray[np.int64]           # MISSING where nothing was found
    status: NDArray[np.uint8]
    lines: dict[int, NDArray[np.int64]]  # of each block: lines of the matrix
    rows: dict[int, NDArray[np.int64]]  # and rows of the block, in the same order

    @classmethod
    def empty(cls, slots: NDArray[np.int64], first_hour: int, hours: int) -> "Gathered":
        """Nothing yet; a slot below 0 is a channel nobody knows."""
        order = np.argsort(slots, kind="stable")
        ordered = slots[order]
        known = int(np.searchsorted(ordered, 0))
        order, ordered = order[known:], ordered[known:]
        numbers, begin = np.unique(ordered // SLOTS, return_index=True)
        parts = np.split(np.arange(len(order)), begin[1:]) if len(numbers) else []
        return cls(
            first_hour, np.full((len(slots), hours), MISSING, np.int64), np.zeros((len(slots), hours), np.uint8),
            {number: order[part] for number, part in zip(numbers.tolist(), parts, strict=True)},
            {number: ordered[part] % SLOTS for number, part in zip(numbers.tolist(), parts, strict=True)},
        )

    @property
    def numbers(self) -> list[int]:
        """Of blocks, ascending."""
        return list(self.lines)

    def take(self, key: BlockKey, counts: NDArray[Any], status: NDArray[np.uint8] | None) -> None:
        """Enter a block, (256, intervals) of a day; hours that are known already stay, status bits are joined."""
        interval_s, day, number = key
        start = max(day * DAY_H, self.first_hour)
        stop = min((day + 1) * DAY_H, self.first_hour + self.counts.shape[1])
        inside = slice(start - day * DAY_H, stop - day * DAY_H)
        place = slice(start - self.first_hour, stop - self.first_hour)
        lines, rows = self.lines[number], self.rows[number]
        pulses = in_hours(counts[rows], interval_s)[:, inside]
        if interval_s != HOURLY:                        # the longer ones came first
            held = self.counts[lines, place]
            pulses = np.where(held == MISSING, pulses, held)
        self.counts[lines, place] = pulses
        if status is not None:
            self.status[lines, place] |= bits_in_hours(status[rows], interval_s)[:, inside]
