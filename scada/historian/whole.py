"""Whole blocks, 256 channels by a day, put straight into the month files: for history that comes from elsewhere.

What the field sends goes through the journal, because it is acknowledged frame by frame. Years of another system come
from a source that still has them: they need no journal, and what a crash leaves undone is entered again, which changes
nothing. Whatever is held already stays, by the rules of every other delivery. Nobody notes when it came: whatever instant
is asked for, it was known then.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian import months, noted
from scada.historian.dense import SLOTS, columns_of, enter, enter_registers, thinned
from scada.historian.months import MonthFile, Months
from scada.historian.packing import narrow, pack
from scada.historian.rows import BlockKey, crc_of
from scada.historian.slots import SlotBook
from scada.historian.state import StateFile
from scada.intervals import HOURLY, MISSING

HELD: Final = "SELECT block FROM block WHERE interval_s=? AND day=?"


@attrs.frozen(eq=False)
class WholeDay:
    """One day of b blocks, 256 channels each."""

    day: int                            # since 1970, UTC
    numbers: NDArray[np.int64]          # (b,) blocks, each once: slot // 256
    counts: NDArray[np.int64]           # (b, 256, intervals of a day) pulses, MISSING where there are none
    registers: NDArray[np.int64]        # (b, 256) pulses at the day's start, modulo 2**32; MISSING where unknown
    interval_s: int = HOURLY

    def __attrs_post_init__(self) -> None:
        b, width = len(self.numbers), columns_of(self.interval_s)
        if self.counts.shape != (b, SLOTS, width) or self.registers.shape != (b, SLOTS):
            raise ValueError(f"a day of {b} blocks: counts {self.counts.shape}, registers {self.registers.shape}; expected "
                             f"({b}, {SLOTS}, {width}) and ({b}, {SLOTS})")


@attrs.frozen
class Entered:
    """What came of it, in blocks."""

    fresh: int
    merged: int                         # something of their day was held
    conflicts: int                      # readings that contradict what is held; they are kept beside it


class WholeBlocks:
    """Writes them; one thread, of a process that has the folder alone."""

    def __init__(self, files: Months, state: StateFile, book: SlotBook) -> None:
        self._files, self._state, self._book = files, state, book
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="historian-whole")

    def slots(
        self, links: NDArray[np.int64], eui: NDArray[np.uint64], channel: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """The slots of channels, durably; new ones where they have none."""
        (slots,) = self._book.allot_many([(links, eui, channel)])
        self._state.enter_slots(slots, links, eui, channel)
        return slots

    def enter(self, days: Sequence[WholeDay], received: int) -> Entered:
        """
        Durable when it returns: one transaction for all of them, received at that time [ns].

        Blocks of a day may be shared out among several; no block may stand in two.
        """
        fresh = merged = conflicts = 0
        with self._files.transaction() as month:
            jobs = []
            for one in days:
                file = month(one.day)
                held = {number for (number,) in file.database.execute(HELD, (one.interval_s, one.day))}
                file.database.execute("INSERT OR IGNORE INTO kind VALUES (?)", (one.interval_s,))
                known = np.isin(one.numbers, np.fromiter(held, np.int64, len(held)))
                for place in np.flatnonzero(known).tolist():
                    key = (one.interval_s, one.day, int(one.numbers[place]))
                    conflicts += _merge(file, key, one.counts[place], one.registers[place], received)
                    merged += 1
                jobs.append((file, self._thread.submit(_rows, one, file.newer + 1, np.flatnonzero(~known))))
            for file, job in jobs:                          # one is written while the next is compressed
                fresh += months.add(file, job.result())
            self._state.owe((one.interval_s, one.day, int(number)) for one in days for number in one.numbers)
        self._files.trim()
        return Entered(fresh, merged, conflicts)

    def close(self) -> None:
        self._thread.shutdown()


def _rows(whole: WholeDay, version: int, places: NDArray[np.int64]) -> list[tuple[Any, ...]]:
    """The rows of blocks nobody has yet; none of one that would hold nothing."""
    width = whole.counts.shape[2]
    all_came = pack(narrow(np.full(width, version)))
    rows: list[tuple[Any, ...]] = []
    for place in places.tolist():
        counts, first = whole.counts[place], whole.registers[place]
        came = counts.max(axis=0) != MISSING
        known = bool((first != MISSING).any())
        if not known and not came.any():
            continue
        columns = all_came if came.all() else pack(narrow(np.where(came, version, 0)))
        pulses, registers = pack(narrow(counts)), _registers(first, width) if known else None
        crc = crc_of(columns, pulses, None, registers)
        rows.append((
            whole.interval_s, whole.day, int(whole.numbers[place]), version, crc, columns, pulses, None, registers
        ))
    return rows


def _registers(first: NDArray[np.int64], width: int) -> bytes:
    """Of the day's start alone."""
    small = narrow(first)
    registers = np.full((SLOTS, width), MISSING, small.dtype)
    registers[:, 0] = small
    return pack(registers)


def _merge(
    file: MonthFile, key: BlockKey, counts: NDArray[np.int64], registers: NDArray[np.int64], received: int
) -> int:
    """The same as if it had been delivered; how many readings contradict, of those not known to."""
    dense, _ = months.load(file, key)
    rows = np.arange(SLOTS)
    _, conflicts = enter(dense, rows, 0, counts, None)
    before = dense.registers.copy()
    conflicts += enter_registers(dense, rows, 0, registers)
    dense.registers = thinned(dense.registers, dense.counts)
    noted.save_arrivals(file.database, key, dense.arrivals)
    if dense.touched or not np.array_equal(dense.registers, before):
        months.save(file, key, dense)
    return months.keep_conflicts(file, key, conflicts, dict.fromkeys(range(SLOTS), received))

