"""How many records one merge takes: as many as one transaction should hold in memory."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from scada.historian.dense import DAY_S, SLOTS
from scada.historian.journal import Position
from scada.historian.records import BatchRecord, Record

MERGE_BLOCKS: Final = 512                           # as they were delivered, merged in one transaction
MERGE_DAYS: Final = 1024                            # blocks of 256 slots and a day that one transaction touches: 150 MB


def mergeable(records: Iterable[tuple[Position, Record]]) -> Iterator[tuple[Position, Record]]:
    """The first of some records, at least one: as many as one transaction should hold in memory."""
    days = blocks = 0
    for place, record in records:
        yield place, record
        days, blocks = days + _days(record), blocks + blocks_in(record)
        if blocks >= MERGE_BLOCKS or days >= MERGE_DAYS:
            return


def blocks_in(record: Record) -> int:
    """How many blocks or other things a record holds, as they were delivered."""
    return len(record.batch.sizes) if isinstance(record, BatchRecord) else 1


def _days(record: Record) -> int:
    """How many blocks of 256 slots and a day a record touches, about: what begins at different hours counts by itself."""
    if not isinstance(record, BatchRecord) or not len(record.slots):
        return 0
    batch, h = record.batch, record.batch.counts.shape[1]
    hours, of_block = np.unique(batch.first, return_inverse=True)
    pairs = np.unique((record.slots // SLOTS) * len(hours) + np.repeat(of_block.reshape(-1), batch.sizes))
    days = (hours + h - 1) * batch.interval_s // DAY_S - hours * batch.interval_s // DAY_S + 1
    return int(days[pairs % len(hours)].sum())
