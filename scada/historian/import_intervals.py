"""Rows of intervals become batches again, and enter through journal and blocks as delivered ones do."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scada.errors import DataRejected, StorageError
from scada.historian.admission import unusable
from scada.historian.batches import mergeable
from scada.historian.dense import columns_of
from scada.historian.merge_thread import forgotten
from scada.historian.records import BatchRecord, encode
from scada.historian.refusals import sqlite_sentence
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING, IntervalBatch, Provenance

Rows = Mapping[str, NDArray[Any]]                   # columns by name


def enter_intervals(directory: Path, groups: Iterator[Rows], received: int) -> int:
    """Returns how many values contradict what is held, and were not known yet."""
    with _opened(directory) as store:
        before = store.blocks.conflicts
        for group in groups:
            mids, days = batches_of(group, received)
            enter_batches(store, mids)
            enter_batches(store, days)
        return store.blocks.conflicts - before


@contextmanager
def _opened(directory: Path) -> Iterator[EmbeddedIntervals]:
    store = EmbeddedIntervals(directory, None)      # its threads are not started: here, one does it all
    try:
        store.open()
        yield store
    except sqlite3.Error as error:
        raise StorageError(sqlite_sentence("the store", directory, error)) from error
    finally:
        store.close()


def enter_batches(store: EmbeddedIntervals, batches: Sequence[IntervalBatch]) -> None:
    """Into the journal, synced, then into the blocks: what commit and merge thread do."""
    if not batches:
        return
    if reason := next(filter(None, map(unusable, batches)), ""):
        raise DataRejected("the export", reason)
    book, journal, blocks = store.blocks.book, store.journal, store.blocks
    slots = book.allot_many([(one.links, one.eui, one.channel) for one in batches])
    records = [BatchRecord(one, two) for one, two in zip(batches, slots, strict=True)]
    places = journal.append([encode(record) for record in records])
    waiting = iter(zip(places, records, strict=True))
    while some := list(mergeable(waiting)):
        blocks.merge(some)
    if trouble := forgotten(journal, blocks):
        raise StorageError(trouble)


def batches_of(group: Rows, received: int) -> tuple[list[IntervalBatch], list[IntervalBatch]]:
    """
    (registers amid a day, whole days) of the rows of a group.

    Registers amid a day come first and the latest first, each with its interval: so none is taken for one that contradicts
    an earlier one of the same export, where a register was reset.
    """
    mids: list[IntervalBatch] = []
    days: list[IntervalBatch] = []
    for interval_s in np.unique(group["interval_s"]).tolist():
        same = {name: column[group["interval_s"] == interval_s] for name, column in group.items()}
        index, width = same["start"] // (1000 * interval_s), columns_of(interval_s)
        for day in np.unique(index // width).tolist():
            of_day = index // width == day
            rows = {name: column[of_day] for name, column in same.items()}
            table = _Day(rows, index[of_day] - day * width, day * width, width, interval_s, received)
            mids += table.registers()
            days.append(table.batch(0, width, np.arange(len(table.eui))))
    return mids, days


class _Day:
    """Rows of one day, a line for each channel."""

    def __init__(
        self, rows: Rows, column: NDArray[np.int64], first: int, width: int, interval_s: int, received: int
    ) -> None:
        self._first, self._interval_s, self._received = first, interval_s, received
        order = np.lexsort((rows["channel"], rows["eui"], rows["link"]))
        link, eui, channel = rows["link"][order], rows["eui"][order], rows["channel"][order]
        new = np.concatenate(([True], (np.diff(link) != 0) | (eui[1:] != eui[:-1]) | (channel[1:] != channel[:-1])))
        line, column = np.cumsum(new) - 1, column[order]
        self.link, self.eui, self._channel = link[new], eui[new], channel[new]
        shape = int(new.sum()), width
        self._counts, self._register = np.full(shape, MISSING, np.int64), np.full(shape, MISSING, np.int64)
        self._status = np.zeros(shape, np.uint8)
        self._counts[line, column] = rows["pulses"][order]
        self._register[line, column] = rows["register"][order]
        self._status[line, column] = rows["status"][order]

    def registers(self) -> list[IntervalBatch]:
        columns = np.flatnonzero((self._register != MISSING).any(axis=0))
        return [
            self.batch(column, 1, np.flatnonzero(self._register[:, column] != MISSING))
            for column in columns[::-1].tolist() if column
        ]

    def batch(self, column: int, width: int, lines: NDArray[np.int64]) -> IntervalBatch:
        links, sizes = np.unique(self.link[lines], return_counts=True)
        return IntervalBatch(
            sizes, np.full(len(links), self._first + column), [Provenance(link, 0, 0) for link in links.tolist()],
            self.eui[lines], self._channel[lines], self._counts[lines, column:column + width],
            self._register[lines, column], self._status[lines, column:column + width], self._received, self._interval_s,
        )
