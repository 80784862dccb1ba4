"""Rows of an export find their places in the store: slots, blocks of 256 channels by a day, and whole days of them. Pure.

An export's rows lie channel by channel and day by day, so that what is asked of each channel is asked once a day, and the
rest is arithmetic on columns. It holds for rows in any order; then only the speed goes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.arrivals import Source, received_ms
from scada.historian.dense import SLOTS, columns_of
from scada.historian.slots import SlotBook
from scada.historian.whole_rows import WholeDay
from scada.intervals import MISSING

CELLS: Final = 1 << 20                  # of whole days that are in memory at once, if a block has not more
Rows = Mapping[str, NDArray[Any]]       # columns by name, n rows


def chosen(rows: Rows, which: slice | NDArray[Any]) -> Rows:
    """Some of the rows."""
    return {name: column[which] for name, column in rows.items()}


def joined(one: Rows, other: Rows) -> Rows:
    return {name: np.concatenate((column, other[name])) for name, column in one.items()}


def by_length(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Rows of one interval length each; the lengths ascend."""
    lengths = rows["interval_s"]
    if len(lengths) and (lengths == lengths[0]).all():
        yield int(lengths[0]), rows
        return
    for length in np.unique(lengths).tolist():
        yield length, chosen(rows, lengths == length)


@attrs.frozen(eq=False)
class Placed:
    """Rows of one interval length and where they belong: k blocks of a day, by day and number, and r runs of rows."""

    interval_s: int
    rows: Rows
    column: NDArray[np.int64]           # (n,) interval of the day
    begins: NDArray[np.int64]           # (r,) row with which a run begins: rows of one channel and day
    slots: NDArray[np.int64]            # (r,)
    block: NDArray[np.int64]            # (r,) index of its block of a day
    days: NDArray[np.int64]             # (k,) since 1970, UTC
    numbers: NDArray[np.int64]          # (k,) slot // 256

    @classmethod
    def of(cls, interval_s: int, rows: Rows, book: SlotBook) -> "Placed":
        """New channels are given slots."""
        width = columns_of(interval_s)
        index = rows["start"] // (1000 * interval_s)
        day = index // width
        new = np.ones(len(day), np.bool_)
        new[1:] = day[1:] != day[:-1]
        for name in ("eui", "channel", "link"):
            new[1:] |= rows[name][1:] != rows[name][:-1]
        begins = np.flatnonzero(new)
        (slots,) = book.allot_many([(rows["link"][begins], rows["eui"][begins], rows["channel"][begins])])
        keys, block = np.unique(day[begins] << 32 | slots // SLOTS, return_inverse=True)
        return cls(
            interval_s, rows, index - day * width, begins, slots, block.reshape(-1), keys >> 32, keys & (1 << 32) - 1
        )

    def spread(self, of_run: NDArray[Any]) -> NDArray[Any]:
        """What is said of each run, said of each row."""
        return np.repeat(of_run, np.diff(self.begins, append=len(self.column)))

    def masked(self, blocks: NDArray[np.bool_]) -> tuple[NDArray[np.int64], slice | NDArray[np.int64]]:
        """The runs, and the rows, of some of the blocks, (k,) a mask."""
        runs = blocks[self.block]
        if runs.all():
            return np.arange(len(runs)), slice(None)
        return np.flatnonzero(runs), np.flatnonzero(self.spread(runs))

    def names(self, blocks: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Rows]:
        """The channels of some blocks, (k,) a mask: slots, and a row of each."""
        runs = np.flatnonzero(blocks[self.block])
        slots, first = np.unique(self.slots[runs], return_index=True)
        return slots, {name: self.rows[name][self.begins[runs[first]]] for name in ("link", "eui", "channel")}

    def whole_days(self, blocks: NDArray[np.bool_], received: int) -> Iterator[WholeDay]:
        """Some of the blocks, (k,) a mask, as they are made of these rows alone; received at that time [ns]."""
        which = np.flatnonzero(blocks)
        at_once = max(CELLS // (SLOTS * columns_of(self.interval_s)), 1)
        for start in range(0, len(which), at_once):
            yield from self._whole_days(which[start:start + at_once], received)

    def _whole_days(self, which: NDArray[np.int64], received: int) -> Iterator[WholeDay]:
        k, width = len(which), columns_of(self.interval_s)
        place = np.full(len(self.days), -1)
        place[which] = np.arange(k)
        runs, rows = self.masked(place >= 0)
        line = place[self.block] * SLOTS + self.slots % SLOTS
        cell = self.spread(line)[rows] * width + self.column[rows]
        register, bits = self.rows["register"][rows], self.rows["status"][rows]
        counts = np.full((k, SLOTS, width), MISSING, np.int64)
        counts.reshape(-1)[cell] = self.rows["pulses"][rows]
        known = np.flatnonzero(register != MISSING)
        amid = bool((cell[known] % width).any())
        registers = np.full((k, SLOTS, width) if amid else (k, SLOTS), MISSING, np.int64)
        registers.reshape(-1)[cell[known] if amid else cell[known] // width] = register[known]
        status = np.zeros((k, SLOTS, width), np.uint8) if bits.any() else None
        if status is not None:
            status.reshape(-1)[cell] = bits
        links, of_link = np.unique(self.rows["link"][self.begins[runs]], return_inverse=True)
        source_of = np.zeros((k, SLOTS), np.int64)
        source_of.reshape(-1)[line[runs]] = of_link.reshape(-1)
        sources = np.zeros((len(links), len(Source._fields)), np.int64)
        sources[:, 0], sources[:, 1] = received_ms(received), links
        days = self.days[which]
        bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), k]
        for some in map(slice, bounds, bounds[1:]):
            yield WholeDay(
                int(days[some][0]), self.numbers[which[some]], counts[some], registers[some], self.interval_s,
                None if status is None else status[some], sources, source_of[some],
            )

    def last(self) -> tuple[NDArray[np.bool_], Rows]:
        """The block of a day that the last row belongs to, (k,) a mask, and its rows: more of it may follow."""
        mask = np.arange(len(self.days)) == self.block[-1]
        return mask, chosen(self.rows, self.masked(mask)[1])
