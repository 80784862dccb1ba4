"""The merge thread: what is durable in the journal goes into blocks, however often the disk refuses."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from scada.historian.batches import MERGE_BLOCKS, blocks_in, mergeable
from scada.historian.blocks import BlockStore
from scada.historian.journal import Journal, Position
from scada.historian.records import Record
from scada.historian.refusals import sentence, sqlite_sentence
from scada.intervals import Mark

MERGE_DELAY_S: Final = 0.1                          # real time a small merge waits for company
NICE: Final = 5                                     # the field waits for the loop and the journal, nobody for a merge
MOST_LOOKED_AT: Final = 1 << 16                     # records, of those that wait
RETRY_S: Final = 1.0                                # real time until a failed merge is tried again
_log = Logger()


def forgotten(journal: Journal, blocks: BlockStore) -> str:
    """Delete the segments of which everything is merged, after reading it back; why not, "" = they are gone."""
    merged = blocks.state.merged
    try:
        if not journal.forgettable(merged):
            return ""
        if trouble := blocks.readback.check():
            return f"{trouble}; the journal keeps its segments, `scada historian repair` mends it"
        journal.forget(merged)
    except OSError as error:
        return f"{sentence('the journal', journal.directory, error)} (merged segments cannot be deleted)"
    return ""


class MergeThread:
    """`merged` is called in the thread, with what has become readable."""

    def __init__(
        self, directory: Path, blocks: BlockStore, journal: Journal, merged: Callable[[list[Mark]], None],
        delay: float = MERGE_DELAY_S,
    ) -> None:
        self._directory, self._blocks, self._journal, self._merged, self._delay = directory, blocks, journal, merged, delay
        self._condition = threading.Condition()
        self._waiting: deque[tuple[Position, Record, int]] = deque()
        self._between: deque[Callable[[], None]] = deque()
        self._closing = False
        self._thread: threading.Thread | None = None
        self.bytes = 0                              # in the journal and in memory, not yet in blocks
        self._unmerged = 0                          # blocks as they were delivered
        self.records = 0                            # merged since start
        self.trouble = ""                           # why the last merge failed, "" = it did not

    def __len__(self) -> int:
        """Blocks as they were delivered, not yet in blocks of the store."""
        return self._unmerged

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="historian-merge", daemon=True)
        self._thread.start()

    def put(self, items: Iterable[tuple[Position, Record, int]]) -> None:
        """Records in the order of the journal, each with its size in memory. [B]"""
        with self._condition:
            for item in items:
                self._waiting.append(item)
                self.bytes += item[2]
                self._unmerged += blocks_in(item[1])
            self._condition.notify_all()

    def between(self, function: Callable[[], None]) -> None:
        """Have something done in the thread when no merge is under way, also while the disk refuses them."""
        with self._condition:
            self._between.append(function)
            self._condition.notify_all()

    def close(self) -> None:
        """Merge what is left, unless the disk refuses: then the journal has it for the next start."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            self._do_between()
            with self._condition:
                while not self._waiting and not self._closing and not self._between:
                    self._condition.wait()
                if self._between:
                    continue
                if not self._waiting:
                    return
                if not self._worth_merging():
                    self._condition.wait_for(self._worth_merging, self._delay)
                waiting = list(islice(self._waiting, MOST_LOOKED_AT))
            batch = list(mergeable((place, record) for place, record, _ in waiting))     # while others may put more
            try:
                marks = self._blocks.merge(batch)
            except Exception as error:              # a full disk, or a bug: the journal still has it all; try again
                if self._failed(error):
                    return
                continue
            self._merged(marks)                     # they are readable, whatever becomes of the journal's old segments
            with self._condition:                   # after that: whoever sees nothing waiting has been told of everything
                for _, record in batch:
                    self.bytes -= self._waiting.popleft()[2]
                    self._unmerged -= blocks_in(record)
                    self.records += blocks_in(record)
            self.trouble = self._forgotten()

    def _do_between(self) -> None:
        while self._between:
            self._between.popleft()()

    def _forgotten(self) -> str:
        """Delete what is merged from the journal; why that failed, "" = it did not. The next merge tries again."""
        text = forgotten(self._journal, self._blocks)
        if text and text != self.trouble:
            _log.error("{trouble}", trouble=text)
        return text

    def _worth_merging(self) -> bool:
        return self._closing or self._unmerged >= MERGE_BLOCKS

    def _failed(self, error: Exception) -> bool:
        """Remember why, wait a little; True when it is time to give up because the server stops."""
        if isinstance(error, sqlite3.Error):
            text = sqlite_sentence("the block store", self._directory, error)
        elif isinstance(error, OSError):
            text = sentence("the block store", self._directory, error)
        else:
            _log.failure("merge thread")
            text = f"merging failed: {error!r}"
        if text != self.trouble:
            _log.error("{trouble}; what is acknowledged is safe in the journal", trouble=text)
        self.trouble = text
        with self._condition:
            self._condition.wait_for(lambda: self._closing, RETRY_S)
            return self._closing
