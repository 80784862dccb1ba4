"""Rows of an export as batches, like those that concentrators deliver: for blocks of which something is held. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.dense import columns_of
from scada.historian.import_rows import Placed, Rows
from scada.intervals import MISSING, IntervalBatch, Provenance

NAMES: Final = ("link", "eui", "channel")


def named(slots: NDArray[np.int64], names: Rows, received: int) -> IntervalBatch:
    """Channels without an interval: who has which slot, and when that was."""
    none = np.empty((len(slots), 0), np.int64)
    return _batch(names, 0, none, np.full(len(slots), MISSING), none.astype(np.uint8), received)


def batches_of(
    placed: Placed, blocks: NDArray[np.bool_], received: int
) -> tuple[list[IntervalBatch], list[IntervalBatch]]:
    """
    (registers amid a day, whole days) of the rows of some blocks, (k,) a mask.

    Registers amid a day come first and the latest first, each with its interval: so none is taken for one that contradicts
    an earlier one of the same export, where a register was reset.
    """
    mids: list[IntervalBatch] = []
    days: list[IntervalBatch] = []
    for day in np.unique(placed.days[blocks]).tolist():
        of_day = _Day(placed, day, blocks & (placed.days == day), received)
        mids += of_day.registers()
        days.append(of_day.batch(0, of_day.width, np.arange(len(of_day.lines))))
    return mids, days


class _Day:
    """Rows of one day, a line for each channel, by link."""

    def __init__(self, placed: Placed, day: int, blocks: NDArray[np.bool_], received: int) -> None:
        self.width = columns_of(placed.interval_s)
        self._placed, self._first, self._received = placed, day * self.width, received
        runs, rows = placed.masked(blocks)
        _, first, line = np.unique(placed.slots[runs], return_index=True, return_inverse=True)
        order = np.argsort(placed.rows["link"][placed.begins[runs[first]]], kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.lines = placed.begins[runs[first[order]]]          # a row of each
        of_run = np.zeros(len(placed.begins), np.int64)
        of_run[runs] = rank[line.reshape(-1)]
        cell = placed.spread(of_run)[rows], placed.column[rows]
        shape = len(order), self.width
        self._counts, self._register = np.full(shape, MISSING, np.int64), np.full(shape, MISSING, np.int64)
        self._status = np.zeros(shape, np.uint8)
        for table, name in ((self._counts, "pulses"), (self._register, "register"), (self._status, "status")):
            table[cell] = placed.rows[name][rows]

    def registers(self) -> list[IntervalBatch]:
        columns = np.flatnonzero((self._register != MISSING).any(axis=0))
        return [
            self.batch(column, 1, np.flatnonzero(self._register[:, column] != MISSING))
            for column in columns[::-1].tolist() if column
        ]

    def batch(self, column: int, width: int, lines: NDArray[np.int64]) -> IntervalBatch:
        names = {name: self._placed.rows[name][self.lines[lines]] for name in NAMES}
        some = slice(column, column + width)
        return _batch(
            names, self._first + column, self._counts[lines, some], self._register[lines, column],
            self._status[lines, some], self._received, self._placed.interval_s,
        )


def _batch(
    names: Rows, first: int, counts: NDArray[np.int64], register: NDArray[np.int64], status: NDArray[np.uint8],
    received: int, *interval_s: Any,
) -> IntervalBatch:
    """Lines in the order of their links; no archive moves by them."""
    links, sizes = np.unique(names["link"], return_counts=True)
    return IntervalBatch(
        sizes, np.full(len(links), first), [Provenance(link, 0, 0) for link in links.tolist()], names["eui"],
        names["channel"], counts, register, status, received, *interval_s,
    )
