"""The block store: enters what the journal holds into blocks, in transactions that may be repeated.

Written by one thread; entering the same records again changes nothing. Blocks lie in the month files, and the state
file, written last, says how far the journal is merged.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.historian import months, noted
from scada.historian.database import DamagedFile
from scada.historian.deliveries import Delivery, deliveries
from scada.historian.dense import SLOTS, WRAP, Dense, columns_of, enter, enter_registers, pulses_before, thinned
from scada.historian.journal import Position
from scada.historian.months import Month, Months
from scada.historian.readback import Readback
from scada.historian.records import BatchRecord, Record
from scada.historian.rows import BlockKey
from scada.historian.slots import SlotBook
from scada.historian.state import StateFile
from scada.historian.whole import WholeBlocks
from scada.intervals import MISSING, Mark

CACHED_BLOCKS: Final = 256


class BlockStore:
    """Merges journal records into the files; one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self.book = SlotBook()
        self.state = StateFile(directory)
        self.conflicts = self.damaged = 0
        self.set_aside = months.set_aside(directory)        # damaged month files, and what they are called now
        self._months = Months(directory)
        self._cache: OrderedDict[BlockKey, Dense] = OrderedDict()
        self._saved_registers: dict[BlockKey, NDArray[np.int64]] = {}
        self.readback = Readback()
        self._repeated = False
        self._whole: WholeBlocks | None = None

    def open(self) -> None:
        """Read slots, cursors and the merged position."""
        self.state.open(self.book)

    def close(self) -> None:
        if self._whole is not None:
            self._whole.close()
        self._months.close()
        self.state.close()

    def whole(self) -> WholeBlocks:
        """The way for whole blocks, between two merges."""
        if self._whole is None:
            self._whole = WholeBlocks(self._months, self.state, self.book, self._change_beside)
        return self._whole

    def merge(self, items: Sequence[tuple[Position, Record]], *, again: bool = False) -> list[Mark]:
        """
        Enter records, in order; durable when it returns. After an error nothing counts as merged: repeat it.

        `again` of records that a crash may have kept from counting as merged: all that they speak of is news.
        """
        fresh: set[Path] = set()
        self._repeated |= again
        while True:
            try:
                marks = self._attempt(items)
            except DamagedFile as damage:
                if damage.path in fresh:
                    raise                           # the disk spoils new files too
                fresh.add(damage.path)
                self.set_aside.append(self._months.set_aside(damage))
                self.readback.given_up(damage.path)
                continue
            self._repeated = False
            return coalesced(marks)

    def remove_month(self, path: Path) -> bool:
        """Delete a month file, between two merges; False where a reader is in the way."""
        for key in [key for key in self._cache if months.month_path(path.parent, key[1]) == path]:
            self._forget(key)
        gone = self._months.remove(path)
        if gone:
            self.readback.given_up(path)
        return gone

    # ------------------------------------------------------------------ private
    def _forget(self, key: BlockKey) -> None:
        """What is in memory of a block: somebody else has changed it."""
        self._cache.pop(key, None)
        self._saved_registers.pop(key, None)

    def _change_beside(self, keys: Sequence[BlockKey]) -> None:
        """Blocks change that no record of the journal brings; they are durable a moment later."""
        self.state.owe(keys)
        for key in keys:
            self._forget(key)

    def _attempt(self, items: Sequence[tuple[Position, Record]]) -> list[Mark]:
        counters = self.conflicts, self.damaged
        try:
            return self._merge(items)
        except BaseException:
            self._cache.clear()                     # it may be ahead of the disk
            self._saved_registers.clear()
            self.conflicts, self.damaged = counters
            self._repeated = True
            raise

    def _merge(self, items: Sequence[tuple[Position, Record]]) -> list[Mark]:
        marks: list[Mark] = []
        touched: dict[BlockKey, bool] = {}          # and whether it changed
        with self._months.transaction() as month:
            for delivery in deliveries([record for _, record in items if isinstance(record, BatchRecord)]):
                changed = self._enter(delivery, month, touched)
                if self._repeated:
                    changed[:] = True               # the attempt before may have changed it, and told nobody
                if changed.any():
                    marks.append(Mark(delivery.slots[changed], delivery.first, delivery.intervals, delivery.interval_s))
            for key in touched:
                self._write(key, month)
        self._trim()
        self.state.save(items, [key for key, changed in touched.items() if changed or self._repeated])
        return marks

    def _enter(self, delivery: Delivery, month: Month, touched: dict[BlockKey, bool]) -> NDArray[np.bool_]:
        """Enter a delivery, one block of the store after the other; returns which of its channels changed."""
        numbers = delivery.slots // SLOTS
        bounds = np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]))
        changed = np.zeros(len(numbers), np.bool_)
        for begin, end in itertools.pairwise(bounds.tolist()):
            lines = slice(begin, end)
            changed[lines] = self._enter_lines(delivery, lines, month, touched)
        return changed

    def _enter_lines(
        self, delivery: Delivery, lines: slice, month: Month, touched: dict[BlockKey, bool]
    ) -> NDArray[np.bool_]:
        """Enter the channels of a delivery that share a block of the store, day by day."""
        width = columns_of(delivery.interval_s)
        counts, registers, slots = delivery.counts[lines], delivery.register[lines], delivery.slots[lines]
        status = None if delivery.status is None else delivery.status[lines]
        pulses, gaps = pulses_before(counts) if delivery.first % width + counts.shape[1] > width else (None, None)
        rows, whence = slots % SLOTS, delivery.whence.part(lines)
        changed = np.zeros(len(slots), np.bool_)
        done = 0
        while done < counts.shape[1]:
            day, column = divmod(delivery.first + done, width)
            upto = min(done + width - column, counts.shape[1])
            key = (delivery.interval_s, day, int(slots[0]) // SLOTS)
            dense = self._load(key, month)
            if done and pulses is not None and gaps is not None:
                whole = (registers != MISSING) & (gaps[:, done] == 0)
                bases = np.where(whole, (registers + pulses[:, done]) % WRAP, MISSING)
            else:
                bases = registers
            part = None if status is None else status[:, done:upto]
            found, conflicts = enter(dense, rows, column, counts[:, done:upto], part, whence)
            changed |= found
            touched[key] = touched.get(key, False) or bool(found.any())
            conflicts += enter_registers(dense, rows, column, bases, whence)
            if conflicts:
                received = dict(zip(rows.tolist(), delivery.received[lines].tolist(), strict=True))
                self.conflicts += months.keep_conflicts(month(day), key, conflicts, received)
            done = upto
        return changed

    def _load(self, key: BlockKey, month: Month) -> Dense:
        block = self._cache.get(key)
        if block is not None:
            self._cache.move_to_end(key)
            return block
        block, damaged = months.load(month(key[1]), key)
        self.damaged += damaged
        self._cache[key] = block
        self._saved_registers[key] = block.registers.copy()
        return block

    def _write(self, key: BlockKey, month: Month) -> None:
        block = self._cache[key]
        file = month(key[1])
        block.registers = thinned(block.registers, block.counts)
        noted.save_arrivals(file.database, key, block.arrivals)
        if not block.touched and np.array_equal(block.registers, self._saved_registers[key]):
            return
        months.save(file, key, block)
        self.readback.wrote(file.path, key)
        self._saved_registers[key] = block.registers.copy()
        block.touched = False

    def _trim(self) -> None:
        while len(self._cache) > CACHED_BLOCKS:
            key, _ = self._cache.popitem(last=False)
            del self._saved_registers[key]
        self._months.trim()


def coalesced(marks: Sequence[Mark]) -> list[Mark]:
    """One mark for all channels of the same intervals: an hour of a whole site is one piece of news."""
    same: dict[tuple[int, int, int], list[NDArray[np.int64]]] = {}
    for mark in marks:
        same.setdefault((mark.first, mark.intervals, mark.interval_s), []).append(mark.slots)
    return [Mark(distinct(np.concatenate(slots)), *intervals) for intervals, slots in same.items()]


def keys_of(mark: Mark) -> Iterator[BlockKey]:
    """The blocks whose content a mark speaks of."""
    width = columns_of(mark.interval_s)
    for number in distinct(mark.slots // SLOTS).tolist():
        for day in range(mark.first // width, (mark.first + mark.intervals - 1) // width + 1):
            yield mark.interval_s, day, number
