"""How many records one merge takes: as many as one transaction should hold in memory."""

from collections.abc import Iterable, Iterator
from typing import Final

from scada.historian.dense import DAY_S, SLOTS
from scada.historian.journal import Position
from scada.historian.records import BlockRecord, Record

MERGE_RECORDS: Final = 2048                         # merged in one transaction
MERGE_DAYS: Final = 1024                            # blocks of 256 slots and a day that one transaction touches: 150 MB


def mergeable(records: Iterable[tuple[Position, Record]]) -> Iterator[tuple[Position, Record]]:
    """The first of some records, at least one: as many as one transaction should hold in memory."""
    days = 0
    for number, (place, record) in enumerate(records, start=1):
        yield place, record
        days += _days(record)
        if number >= MERGE_RECORDS or days >= MERGE_DAYS:
            return


def _days(record: Record) -> int:
    """How many blocks of 256 slots and a day a record touches, about."""
    if not isinstance(record, BlockRecord) or not len(record.slots):
        return 0
    block = record.block
    blocks: int = min(len(block.eui), int(record.slots.max()) // SLOTS - int(record.slots.min()) // SLOTS + 1)
    last = block.first + int(block.counts.shape[1]) - 1
    return blocks * (last * block.interval_s // DAY_S - block.first * block.interval_s // DAY_S + 1)
