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


class ByBlock:
    """Where channels lie: their lines in the order asked, block by block; a channel without a slot lies nowhere."""

    def __init__(self, slots: NDArray[np.int64]) -> None:
        self._slots = slots
        self._order = np.argsort(slots, kind="stable")
        sorted_blocks = slots[self._order] // SLOTS
        found, starts = np.unique(sorted_blocks, return_index=True)
        ends = [*starts.tolist(), len(slots)][1:]
        spans = zip(found.tolist(), starts.tolist(), ends, strict=True)
        self._spans = {number: slice(start, end) for number, start, end in spans if number >= 0}

    @property
    def numbers(self) -> list[int]:
        return [*self._spans]

    def of(self, number: int) -> "tuple[slice | NDArray[np.int64], NDArray[np.int64]]":
        """(lines in the order asked, rows in the block)."""
        lines = self._order[self._spans[number]]
        rows = self._slots[lines] % SLOTS
        if (np.diff(lines) == 1).all():                     # neighbours as asked: a slice is several times faster
            return slice(int(lines[0]), int(lines[-1]) + 1), rows
        return lines, rows


@attrs.frozen(eq=False)
class Gathered:
    """(n, hours) of n channels, in the order asked."""

    first_hour: int
    counts: NDArray[np.int64]           # MISSING where nothing was found
    status: NDArray[np.uint8]
    places: ByBlock

    @classmethod
    def empty(cls, slots: NDArray[np.int64], first_hour: int, hours: int) -> "Gathered":
        """Nothing yet; a slot below 0 is a channel nobody knows."""
        shape = len(slots), hours
        return cls(first_hour, np.full(shape, MISSING, np.int64), np.zeros(shape, np.uint8), ByBlock(slots))

    @property
    def numbers(self) -> list[int]:
        """Of blocks, ascending."""
        return self.places.numbers

    def take(self, key: BlockKey, counts: NDArray[Any], status: NDArray[np.uint8] | None) -> None:
        """Enter a block, (256, intervals) of a day; hours that are known already stay, status bits are joined."""
        interval_s, day, number = key
        start = max(day * DAY_H, self.first_hour)
        stop = min((day + 1) * DAY_H, self.first_hour + self.counts.shape[1])
        inside = slice(start - day * DAY_H, stop - day * DAY_H)
        place = slice(start - self.first_hour, stop - self.first_hour)
        lines, rows = self.places.of(number)
        pulses = in_hours(counts[rows], interval_s)[:, inside]
        if interval_s != HOURLY:                        # the longer ones came first
            held = self.counts[lines, place]
            pulses = np.where(held == MISSING, pulses, held)
        self.counts[lines, place] = pulses
        if status is not None:
            self.status[lines, place] |= bits_in_hours(status[rows], interval_s)[:, inside]
