"""The interval store: blocks become durable in the journal, are acknowledged, then merged and announced.

Two threads do it, `commit_thread` and `merge_thread`; here is what they share, and the ports for everybody else.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from scada.clock import DAY_H
from scada.errors import DataRejected, StartError, StorageError
from scada.historian.admission import unusable, unusable_source
from scada.historian.batches import mergeable
from scada.historian.blocks import BlockStore
from scada.historian.commit_thread import CommitThread
from scada.historian.cursor import CursorBook
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.following import StoreFollowing
from scada.historian.journal import SEGMENT_BYTES, Journal, Position
from scada.historian.merge_thread import MERGE_DELAY_S, MergeThread, forgotten
from scada.historian.months import first_day
from scada.historian.reader import BlockReader
from scada.historian.records import BatchRecord, GapRecord, Record, UnknownKind, decode, provenances_of
from scada.historian.refusals import FROM_BACKUP, sentence, sqlite_sentence
from scada.intervals import (
    IntervalBatch,
    IntervalBlock,
    IntervalChange,
    IntervalSeries,
    Mark,
    News,
    Provenance,
    Quarantined,
)
from scada.lock import lock_directory
from scada.ports import Health, Unsubscribe

LINE_BYTES: Final = 8 + 1 + 8 + 8                   # of a block in memory, per channel: EUI, number, register, slot
CELL_BYTES: Final = 8 + 1                           # per interval: pulses, status
T = TypeVar("T")
_log = Logger()


class EmbeddedIntervals:
    """Implements `ports.IntervalStore` and `ports.IntervalHistory` over one folder, which it alone writes."""

    def __init__(
        self, directory: Path, reactor: Any, *, fsync: Callable[[int], None] = os.fdatasync,
        merge_delay: float = MERGE_DELAY_S, segment_bytes: int = SEGMENT_BYTES, keep_merged: bool = False,
    ) -> None:
        self.directory = directory
        self.blocks = BlockStore(directory)
        self.journal = Journal(directory / "journal", fsync=fsync, segment_bytes=segment_bytes, keep=keep_merged)
        self.pool = ReadPool()
        self.reader = BlockReader(directory, self.pool, self.blocks.book)
        self._reactor = reactor
        self._cursors = CursorBook()
        self._listeners: list[Callable[[Mark], None]] = []
        self._lock: IO[str] | None = None
        self._followers: list[Callable[[News], None]] = []
        self._journal_damage = 0
        self.records = self.readings = 0
        self.merging = MergeThread(
            directory, self.blocks, self.journal, self._merged, merge_delay
        )
        self.committing = CommitThread(self.journal, self.blocks.book, self.merging, reactor, self._durable)

    # ------------------------------------------------------------------ life
    def open(self) -> None:
        """Lock the folder, mend the journal, merge what a crash left behind. Blocking; raises `StartError`."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = lock_directory(self.directory)
            self.blocks.open()
            damage = self.journal.open(self.blocks.state.merged)
            for one in damage:
                _log.warn("journal: {damage}", damage=str(one))
            self._journal_damage = len(damage)
            self._replay()
        except BlockingIOError:
            remedy = "stop it, or give this server a folder of its own"
            raise StartError("historian", f"another process writes {self.directory}", remedy) from None
        except OSError as error:
            raise StartError("historian", sentence("the store", self.directory, error)) from error
        except DamagedFile as error:
            raise StartError("historian", str(error), FROM_BACKUP) from error
        except StorageError as error:
            raise StartError("historian", str(error)) from error
        except sqlite3.Error as error:
            raise StartError("historian", sqlite_sentence("the store", self.directory, error)) from error
        self._cursors = self.blocks.state.cursors.copy()

    def start(self) -> None:
        """Begin to take blocks (reactor thread)."""
        self.merging.start()
        self.committing.start()

    def close(self) -> None:
        """Write and merge what is waiting, then give the files back. Blocking, not in the reactor's thread."""
        self.committing.close()
        self.merging.close()
        self.journal.close()
        self._keep_places()
        self.blocks.close()
        self.pool.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def between_merges(self, function: Callable[[], T]) -> "Deferred[T]":
        """Do something in the thread that writes the blocks, while it writes none."""
        done: Deferred[T] = Deferred()

        def run() -> None:
            try:
                found = function()
            except Exception as error:              # whoever waits must hear of it, whatever it is
                self._reactor.callFromThread(done.errback, error)
            else:
                self._reactor.callFromThread(done.callback, found)

        self.merging.between(run)
        return done

    # --------------------------------------------------------- IntervalStore
    def commit(self, block: IntervalBlock) -> "Deferred[Mark]":
        shape = block.first, block.counts.shape[1], block.interval_s
        return self.commit_batch(IntervalBatch.of(block)).addCallback(lambda slots: Mark(slots, *shape))

    def commit_batch(self, batch: IntervalBatch) -> "Deferred[NDArray[np.int64]]":
        reason = unusable(batch)
        if reason:
            links = sorted({f"{one.link_id:08x}" for one in batch.provenance})
            return fail(DataRejected(f"concentrator {', '.join(links)}", reason))
        blocks = len(batch.sizes)
        return self.committing.put(
            batch, 64 * blocks + LINE_BYTES * len(batch.eui) + CELL_BYTES * batch.counts.size, blocks
        )

    def quarantine(self, block: Quarantined) -> "Deferred[None]":
        return self._bad_source(block.provenance) or self.committing.put(block, 64 + len(block.body))

    def pass_gap(self, provenance: Provenance, received: int) -> "Deferred[None]":
        """The concentrator holds nothing below `provenance.record` any more: durably let the cursor pass, and count it."""
        return self._bad_source(provenance) or self.committing.put(GapRecord(provenance, received), 64)

    def cursor(self, link_id: int, archive_id: int) -> int:
        return self._cursors.reached(link_id, archive_id)

    def subscribe(self, listener: Callable[[Mark], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def follow(self, name: str, listener: Callable[[News], None]) -> StoreFollowing:
        self._followers.append(listener)
        return StoreFollowing(
            name, self.directory, self.blocks, self.between_merges, self._wake, lambda: self._followers.remove(listener)
        )

    def since(self) -> int | None:
        day = first_day(self.directory)
        return None if day is None else day * DAY_H

    # -------------------------------------------------------- IntervalReader
    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        return self.reader.slots(eui, channel)

    def slot_bound(self) -> int:
        return self.reader.slot_bound()

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        return self.reader.channels(slots)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        return self.reader.read(slots, first_hour, hours)

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        return self.reader.register(slots, hour)

    def as_of(self, instant: int) -> BlockReader:
        return self.reader.as_of(instant)

    def read_intervals(
        self, slots: NDArray[np.int64], first: int, intervals: int, interval_s: int
    ) -> IntervalSeries:
        return self.reader.read_intervals(slots, first, intervals, interval_s)

    def changes(self, slot: int, first_hour: int, hours: int) -> tuple[IntervalChange, ...]:
        return self.reader.changes(slot, first_hour, hours)

    def health(self) -> Health:
        blocks = self.blocks
        damaged = blocks.damaged + self.reader.damaged + self._journal_damage
        files = blocks.set_aside + sorted(self.reader.damaged_files)
        trouble = self.committing.trouble or self.merging.trouble
        if not trouble and self._journal_damage:
            trouble = f"{self._journal_damage} damaged places in the journal; kept in {self.journal.directory}/damaged"
        elif not trouble and files:
            names = ", ".join(path.name for path in files)
            trouble = f"damaged month files in {self.directory}, their hours are shown as missing: {names}"
        elif not trouble and damaged:
            trouble = f"{damaged} blocks do not match their check sum and are shown as missing"
        return Health("historian", not trouble, trouble or "storing", {
            "records": self.records, "readings": self.readings, "refused": self.committing.refused,
            "waiting": len(self.committing), "unmerged": len(self.merging), "unmerged_bytes": self.merging.bytes,
            "channels": len(blocks.book), "conflicts": blocks.conflicts, "quarantined": blocks.state.quarantined,
            "damaged": damaged, "damaged_files": len(files),
            "quarantined_without_body": blocks.state.quarantined_without_body,
            "lost_records": blocks.state.lost_records,
        })

    # ------------------------------------------------------------------ private
    def _bad_source(self, source: Provenance) -> "Deferred[Any] | None":
        """What no file can hold must not reach the journal: it would stop the merging of everybody's records."""
        reason = unusable_source(source)
        return fail(DataRejected(f"concentrator {source.link_id:08x}", reason)) if reason else None

    def _durable(self, record: Record) -> None:
        """A record is in the journal; it will be acknowledged next."""
        for source in provenances_of(record):
            self.records += 1
            if isinstance(record, GapRecord):
                self._cursors.pass_to(source.link_id, source.archive_id, source.record)
            else:
                self._cursors.add(source.link_id, source.archive_id, source.record)
        if isinstance(record, BatchRecord):
            self.readings += record.batch.counts.size

    def _merged(self, marks: list[Mark]) -> None:
        """In the thread that merges."""
        if marks:
            self._reactor.callFromThread(self._announce, News(self.blocks.state.news.last, tuple(marks)))

    def _announce(self, news: News) -> None:
        for mark in news.marks:
            for listener in tuple(self._listeners):
                self._tell(listener, mark)
        for follower in tuple(self._followers):
            self._tell(follower, news)

    def _tell(self, listener: Callable[[T], None], news: T) -> None:
        try:
            listener(news)
        except Exception:                           # one listener's bug must not keep the news from the others
            _log.failure("listener of marks")

    def _replay(self) -> None:
        """Merge what the journal has and the blocks have not."""
        records = self._journalled()
        while batch := list(mergeable(records)):
            self.blocks.merge(batch, again=True)
        if trouble := forgotten(self.journal, self.blocks):
            _log.error("{trouble}", trouble=trouble)

    def _wake(self) -> None:
        """A follower has moved on: the next merge writes it; where none waits, nobody is kept by a sync."""
        if not len(self.merging):
            self.merging.between(self._keep_places)

    def _keep_places(self) -> None:
        with suppress(sqlite3.Error):               # a full disk: what it follows is told once more
            self.blocks.state.keep_places()

    def _journalled(self) -> Iterator[tuple[Position, Record]]:
        for place, body in self.journal.read(self.blocks.state.merged):
            try:
                record = decode(body)
            except UnknownKind as error:
                remedy = "start the newer version that wrote it, and stop it again: then everything is merged"
                raise StartError("historian", f"the journal in {self.directory} has {error}", remedy) from None
            except ValueError as error:
                self._journal_damage += 1
                _log.warn("journal: {error}", error=str(error))
                continue
            if isinstance(record, BatchRecord):
                batch = record.batch
                slots = self.blocks.book.adopt_batch(batch, record.slots)
                record = BatchRecord(batch, slots)
            yield place, record
