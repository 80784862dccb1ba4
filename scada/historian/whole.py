"""Whole blocks, 256 channels by a day, put straight into the month files: for history that comes from elsewhere.

What the field sends goes through the journal, because it is acknowledged frame by frame. Years of another system come
from a source that still has them: they need no journal, and what a crash leaves undone is entered again, which changes
nothing. Whatever is held already stays, by the rules of every other delivery. Where nobody notes when it came, it was known
at whatever instant is asked for.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian import months, noted
from scada.historian.database import naming
from scada.historian.dense import SLOTS, enter, enter_registers, thinned
from scada.historian.months import MonthFile, Months
from scada.historian.rows import BlockKey
from scada.historian.slots import SlotBook
from scada.historian.state import StateFile
from scada.historian.whole_rows import AT_ONCE, Made, WholeDay, made_of

HELD: Final = "SELECT block FROM block WHERE interval_s=? AND day=? AND block BETWEEN ? AND ?"
AHEAD: Final = 12                       # times AT_ONCE blocks are compressed before they are written, at most
TOGETHER: Final = 32                    # times as many are a transaction
CACHE_KIB: Final = 16 * 1024            # of a month's pages: with SQLite's two MB a transaction of ours spills into its log


@attrs.frozen
class Entered:
    """What came of it, in blocks."""

    fresh: int
    merged: int                         # something of their day was held
    conflicts: int                      # readings that contradict what is held; they are kept beside it


class WholeBlocks:
    """Writes them; one thread, of a process that has the folder alone. `change` hears of blocks before they are durable."""

    def __init__(
        self, files: Months, state: StateFile, book: SlotBook, change: Callable[[Sequence[BlockKey]], None]
    ) -> None:
        self._files, self._state, self._book, self._change = files, state, book, change
        # Two that compress: while one of them waits for the interpreter, the other is in the library that needs none.
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="historian-whole")

    def slots(
        self, links: NDArray[np.int64], eui: NDArray[np.uint64], channel: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """The slots of channels, durably; new ones where they have none."""
        (slots,) = self._book.allot_many([(links, eui, channel)])
        self._state.enter_slots(slots, links, eui, channel)
        return slots

    def held(self, interval_s: int, day: int, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of which blocks something is held."""
        span = interval_s, day, int(numbers.min(initial=0)), int(numbers.max(initial=0))
        file = self._files.file(day)
        with naming(file.path):
            held = [number for (number,) in file.database.execute(HELD, span)]
        return np.isin(numbers, np.array(held, np.int64))

    def enter(self, days: Iterable[WholeDay], received: int) -> Entered:
        """
        Durable when it returns, received at that time [ns]; some hundred blocks a transaction.

        Blocks of a day may be shared out among several; no block may stand in two. They are taken as they are written,
        so that they need not be in memory all at once.
        """
        fresh = merged = conflicts = 0
        ahead = self._made(days)
        for first in ahead:
            with self._files.transaction() as month:
                keys: list[BlockKey] = []
                for part, job in itertools.chain((first,), itertools.islice(ahead, TOGETHER - 1)):
                    file = month(part.day)
                    file.database.execute(f"PRAGMA cache_size={-CACHE_KIB}")
                    file.database.execute("INSERT OR IGNORE INTO kind VALUES (?)", (part.interval_s,))
                    keys += [(part.interval_s, part.day, number) for number in part.numbers.tolist()]
                    if job is not None:
                        fresh += _write(file, job.result())
                    else:
                        conflicts += sum(_merge(file, part, place, received) for place in range(len(part.numbers)))
                        merged += len(part.numbers)
                self._change(keys)
            self._files.trim()
        return Entered(fresh, merged, conflicts)

    def _made(self, days: Iterable[WholeDay]) -> Iterator[tuple[WholeDay, "Future[Made] | None"]]:
        """Parts of them, new ones as they are compressed: the next ones are, while these are written and synced."""
        ahead: deque[tuple[WholeDay, Future[Made] | None]] = deque()
        for one in days:
            known = self.held(one.interval_s, one.day, one.numbers)
            version = self._files.file(one.day).newer + 1
            ahead.extend((one.part(places), None) for places in _parts(known))
            for places in _parts(~known):
                part = one.part(places)
                ahead.append((part, self._pool.submit(made_of, part, version)))
            while len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead

    def close(self) -> None:
        self._pool.shutdown()


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    places = np.flatnonzero(mask)
    return [places[start:start + AT_ONCE] for start in range(0, len(places), AT_ONCE)]


def _write(file: MonthFile, made: Made) -> int:
    """How many blocks."""
    for row in made.rows:
        if (arrivals := made.arrivals.get(row[2])) is not None:
            noted.save_arrivals(file.database, row[:3], arrivals)
    return months.add(file, made.rows)


def _merge(file: MonthFile, one: WholeDay, place: int, received: int) -> int:
    """The same as if it had been delivered; how many readings contradict, of those not known to."""
    key = one.interval_s, one.day, int(one.numbers[place])
    dense, _ = months.load(file, key)
    rows = np.arange(SLOTS)
    _, conflicts = enter(dense, rows, 0, one.counts[place], None)
    before = dense.registers.copy()
    conflicts += enter_registers(dense, rows, 0, one.registers[place])
    dense.registers = thinned(dense.registers, dense.counts)
    noted.save_arrivals(file.database, key, dense.arrivals)
    if dense.touched or not np.array_equal(dense.registers, before):
        months.save(file, key, dense)
    return months.keep_conflicts(file, key, conflicts, dict.fromkeys(range(SLOTS), received))
