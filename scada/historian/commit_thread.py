"""The commit thread: takes everything that waits, writes it to the journal as one group, syncs once, then acknowledges.

What does not fit into the bounds is refused with `StorageError`; nothing is dropped silently.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from scada.errors import StorageBusy, StorageError
from scada.historian.journal import Journal
from scada.historian.merge_thread import MergeThread
from scada.historian.records import BatchRecord, GapRecord, Record, encode
from scada.historian.slots import SlotBook
from scada.intervals import IntervalBatch, Quarantined

WAITING_BLOCKS: Final = 16_384                      # as they were delivered, not yet in the journal
WAITING_BYTES: Final = 64 << 20
UNMERGED_BYTES: Final = 256 << 20                   # in the journal and in memory, not yet in blocks
GROUP_BLOCKS: Final = 128                           # written with one sync, acknowledged in one turn of the loop
Item = IntervalBatch | Quarantined | GapRecord
_log = Logger()


@attrs.define(eq=False)
class _Waiting:
    item: Item
    size: int
    blocks: int
    done: "Deferred[Any]"


class CommitThread:
    """`durable` is told of every record in the reactor's thread, just before it is acknowledged."""

    def __init__(
        self, journal: Journal, book: SlotBook, merging: MergeThread, reactor: Any, durable: Callable[[Record], None]
    ) -> None:
        self._journal, self._book, self._merging, self._reactor, self._durable = journal, book, merging, reactor, durable
        self.condition = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = self._blocks = 0
        self._closing = False
        self._thread: threading.Thread | None = None
        self.refused = 0
        self.trouble = ""                           # why the last group was not written, "" = it was

    def __len__(self) -> int:
        """Records not yet in the journal."""
        return self._blocks

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="historian-journal", daemon=True)
        self._thread.start()

    def put(self, item: Item, size: int, blocks: int = 1) -> "Deferred[Any]":
        """Fires when the item, of a `size` in memory [B], is durable: with the slots of its channels if it has any."""
        with self.condition:
            if self._thread is None or self._closing:
                return self._refuse(StorageError("the historian is not running"))
            if self._blocks + blocks > WAITING_BLOCKS or self._bytes + size > WAITING_BYTES:
                return self._refuse(StorageBusy("the journal does not keep up; the block is refused and may be sent again"))
            if self._merging.bytes > UNMERGED_BYTES:
                return self._refuse(StorageBusy("merging does not keep up; the block is refused and may be sent again"))
            waiting = _Waiting(item, size, blocks, Deferred())
            self._waiting.append(waiting)
            self._bytes += size
            self._blocks += blocks
            self.condition.notify_all()
        return waiting.done

    def close(self) -> None:
        """Write what is left."""
        with self.condition:
            self._closing = True
            self.condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _refuse(self, why: StorageError) -> "Deferred[Any]":
        self.refused += 1
        return fail(why)

    def _run(self) -> None:
        while True:
            with self.condition:
                while not self._waiting and not self._closing:
                    self.condition.wait()
                if not self._waiting:
                    return
                group = self._next_group()
            try:
                records = self._with_slots([one.item for one in group])
                places = self._journal.append([encode(record) for record in records])
            except StorageError as error:
                self._reactor.callFromThread(self._fail, group, error)
                continue
            except Exception as error:              # the thread must outlive a bug, and the field must not be acknowledged
                _log.failure("journal thread")
                self._reactor.callFromThread(self._fail, group, StorageError(f"the journal failed: {error!r}"))
                continue
            self._merging.put(zip(places, records, (one.size for one in group), strict=True))
            self._reactor.callFromThread(self._acknowledge, group, records)

    def _next_group(self) -> list[_Waiting]:
        """The first that wait, at least one; under the lock."""
        group: list[_Waiting] = []
        blocks = 0
        while self._waiting and (not group or blocks + self._waiting[0].blocks <= GROUP_BLOCKS):
            group.append(self._waiting.popleft())
            blocks += group[-1].blocks
        self._bytes -= sum(one.size for one in group)
        self._blocks -= blocks
        return group

    def _with_slots(self, items: Sequence[Item]) -> list[Record]:
        """Batches get the slots of their channels; for all of them at once, for a look-up costs more than its content."""
        batches = [item for item in items if isinstance(item, IntervalBatch)]
        if not batches:
            return [item for item in items if not isinstance(item, IntervalBatch)]
        slots = iter(self._book.allot_many([(one.links, one.eui, one.channel) for one in batches]))
        return [BatchRecord(item, next(slots)) if isinstance(item, IntervalBatch) else item for item in items]

    def _acknowledge(self, group: list[_Waiting], records: list[Record]) -> None:
        self.trouble = ""
        for waiting, record in zip(group, records, strict=True):
            self._durable(record)
            waiting.done.callback(record.slots if isinstance(record, BatchRecord) else None)

    def _fail(self, group: list[_Waiting], error: StorageError) -> None:
        if str(error) != self.trouble:
            _log.error("{error}", error=str(error))
        self.trouble = str(error)
        self.refused += sum(waiting.blocks for waiting in group)
        for waiting in group:
            waiting.done.errback(error)
