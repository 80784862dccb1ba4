"""How many records one merge takes: as many as one transaction should hold in memory."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from scada.historian.dense import SLOTS, columns_of
from scada.historian.journal import Position
from scada.historian.records import BatchRecord, Record

MERGE_BLOCKS: Final = 512                           # as they were delivered, merged in one transaction,
MORE_PER_DAY: Final = 8                             # or so many for each block of 256 slots and a day that is written anew
MERGE_CELLS: Final = 4 << 20                        # intervals at most: 38 MB
MERGE_DAYS: Final = 1024                            # blocks of 256 slots and a day that one transaction touches: 150 MB


def mergeable(records: Iterable[tuple[Position, Record]]) -> Iterator[tuple[Position, Record]]:
    """
    The first of some records, at least one: as many as one transaction should hold in memory.

    Where each brings a little of the whole city, more are taken together: writing a block anew costs as much for one
    channel as for all of them.
    """
    days: set[int] = set()
    blocks = cells = 0
    for place, record in records:
        yield place, record                         # whatever is taken is given: the rest of `records` comes next time
        days |= _days(record)
        blocks, cells = blocks + blocks_in(record), cells + _cells(record)
        enough = blocks >= max(MERGE_BLOCKS, MORE_PER_DAY * len(days))
        if enough or cells >= MERGE_CELLS or len(days) >= MERGE_DAYS:
            return


def blocks_in(record: Record) -> int:
    """How many blocks or other things a record holds, as they were delivered."""
    return len(record.batch.sizes) if isinstance(record, BatchRecord) else 1


def _cells(record: Record) -> int:
    return record.batch.counts.size if isinstance(record, BatchRecord) else 0


def _days(record: Record) -> set[int]:
    """The blocks of 256 slots and a day that a record touches, each as a number of its own."""
    if not isinstance(record, BatchRecord) or not len(record.slots):
        return set()
    batch, width = record.batch, columns_of(record.batch.interval_s)
    first, last = batch.first // width, (batch.first + batch.counts.shape[1] - 1) // width
    of_block = record.slots // SLOTS << 40
    of_row = None if len(first) == 1 else np.repeat(np.arange(len(first)), batch.sizes)
    found: set[int] = set()
    for back in range(int((last - first).max()) + 1):
        days = (first + back) << 12 | batch.interval_s
        if of_row is None:
            found.update((of_block | days).tolist())            # a set of some twenty numbers is quicker than sorting them
        else:
            found.update((of_block | days[of_row])[(first + back <= last)[of_row]].tolist())
    return found
