"""Rows of intervals enter: blocks of a day that nobody holds as a whole, all else through the journal as if delivered.

What enters as a whole is not in the journal; but the journal says before that something comes beside it: it leaves a number
out, so that no instant behind it is restored without it, and it notes when, and the names of the channels.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.errors import DataRejected, StorageError
from scada.historian.admission import unusable, unusable_intervals
from scada.historian.batches import mergeable
from scada.historian.database import DamagedFile
from scada.historian.import_batches import batches_of, named
from scada.historian.import_rows import Placed, Rows, by_length, chosen, joined
from scada.historian.merge_thread import forgotten
from scada.historian.records import BatchRecord, encode
from scada.historian.refusals import sqlite_sentence
from scada.historian.store import EmbeddedIntervals
from scada.intervals import IntervalBatch

WAITING: Final = 1 << 18                            # rows that may wait for the rest of their block


def enter_intervals(directory: Path, groups: Iterator[Rows], received: int) -> int:
    """Returns how many values contradict what is held, and were not known yet."""
    with _opened(directory) as store:
        before = store.blocks.conflicts
        entering, waiting = Entering(store, received), None
        for group in groups:
            waiting = entering.enter(group if waiting is None else joined(waiting, group), more=True)
        if waiting is not None:
            entering.enter(waiting, more=False)
        return store.blocks.conflicts - before


class Entering:
    """The rows of one import, some at a time."""

    def __init__(self, store: EmbeddedIntervals, received: int) -> None:
        self._store, self._received = store, received
        self._told = False                          # the journal, that something comes beside it

    def enter(self, rows: Rows, more: bool) -> Rows | None:
        """Durable when it returns, but for the rows it gives back: with `more`, those whose block may not be whole yet."""
        waiting = None
        for interval_s, same in by_length(rows):
            _check(interval_s, same)
            placed = Placed.of(interval_s, same, self._store.blocks.book)
            blocks = np.ones(len(placed.days), np.bool_)
            if more and interval_s == rows["interval_s"][-1]:
                last, of_last = placed.last()
                if len(of_last["start"]) <= WAITING:
                    blocks, waiting = ~last, of_last
            self._enter(placed, blocks)
        return waiting

    def _enter(self, placed: Placed, blocks: NDArray[np.bool_]) -> None:
        try:
            fresh = self._enter_fresh(placed, blocks)
        except DamagedFile:                         # what came in of them is merged again, where such a file is set aside
            fresh = np.zeros_like(blocks)
        for batches in batches_of(placed, blocks & ~fresh, self._received):
            enter_batches(self._store, batches)

    def _enter_fresh(self, placed: Placed, blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Those of some blocks, (k,) a mask, of which nothing is held; returns which they were."""
        whole, fresh = self._store.blocks.whole(), blocks.copy()
        for day in np.unique(placed.days[blocks]).tolist():
            of_day = placed.days == day
            fresh[of_day] &= ~whole.held(placed.interval_s, day, placed.numbers[of_day])
        if fresh.any():
            self._tell(*placed.names(fresh))
            whole.enter(placed.whole_days(fresh, self._received), self._received)
        return fresh

    def _tell(self, slots: NDArray[np.int64], names: Rows) -> None:
        """The journal, and through it the state file, before blocks hold something of slots that nobody could name."""
        new = np.flatnonzero(~self._store.blocks.state.named(slots))
        if not self._told:
            self._store.journal.leave_out()
        elif not len(new):
            return
        order = new[np.argsort(names["link"][new], kind="stable")]
        enter_batches(self._store, [named(slots[order], chosen(names, order), self._received)])
        self._told = True


@contextmanager
def _opened(directory: Path) -> Iterator[EmbeddedIntervals]:
    store = EmbeddedIntervals(directory, None, keep_merged=True)    # its threads are not started: here, one does it all
    try:
        store.open()
        yield store
    except sqlite3.Error as error:
        raise StorageError(sqlite_sentence("the store", directory, error)) from error
    finally:
        store.close()


def _check(interval_s: int, rows: Rows) -> None:
    """Raises `DataRejected` for what no block can hold."""
    first = rows["start"] // (1000 * max(interval_s, 1))
    if reason := unusable_intervals(interval_s, first, rows["pulses"][:, None], rows["register"]):
        raise DataRejected("the export", reason)


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
