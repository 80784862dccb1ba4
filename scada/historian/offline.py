"""A historian that is not running: its folder alone, and blocks put into its journal, which its next start merges.

Only with that start somebody listens: balances and replicas hear then of late hours as they hear of those that a crash
left in the journal. Whoever merges earlier, to read what he wrote, leaves the news of it owed (`news` in the state file).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from scada.errors import StartError, StorageError
from scada.historian.blocks import BlockStore
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.journal import Journal
from scada.historian.reader import BlockReader
from scada.historian.records import BatchRecord, decode, encode
from scada.historian.refusals import FROM_BACKUP, sentence, sqlite_sentence
from scada.historian.store import EmbeddedIntervals
from scada.historian.whole import WholeBlocks
from scada.intervals import IntervalBatch, IntervalBlock
from scada.lock import lock_directory


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """A folder that no server may have meanwhile: else `StartError`; what the disk refuses inside is a `StorageError`."""
    try:
        with closing(lock_directory(directory)):
            yield
    except BlockingIOError:
        raise StartError("historian", f"another process writes {directory}", "stop the server first") from None
    except OSError as error:
        raise StorageError(sentence("the store", directory, error)) from error
    except sqlite3.Error as error:
        raise StorageError(sqlite_sentence("the store", directory, error)) from error


class ClosedHistory:
    """A historian's folder while no server writes it. `pending` is what its journal holds and its blocks do not."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: IO[str] | None = None
        self._pool = ReadPool()
        self._journal = Journal(directory / "journal")
        self.pending: list[IntervalBlock] = []

    def __enter__(self) -> "ClosedHistory":
        """Raises `StartError` where a server has the folder, or where it cannot be used."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock = lock_directory(self._directory)
            self._blocks = BlockStore(self._directory)
            self._blocks.open()
            self._journal.open(self._blocks.state.merged)
            self._read_journal()
        except BlockingIOError:
            raise StartError("historian", f"another process writes {self._directory}") from None
        except DamagedFile as error:
            self.__exit__()
            raise StartError("historian", str(error), FROM_BACKUP) from error
        except OSError as error:
            self.__exit__()
            raise StartError("historian", sentence("the store", self._directory, error)) from error
        except sqlite3.Error as error:
            self.__exit__()
            raise StartError("historian", sqlite_sentence("the store", self._directory, error)) from error
        self.reader = BlockReader(self._directory, self._pool, self._blocks.book)
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
        if hasattr(self, "_blocks"):
            self._blocks.close()
        self._pool.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, blocks: Sequence[IntervalBlock]) -> None:
        """Durable when it returns; raises `StorageError`."""
        if not blocks:
            return
        batches = [IntervalBatch.of(one) for one in blocks]
        slots = self._blocks.book.allot_many([(one.links, one.eui, one.channel) for one in batches])
        self._journal.append([encode(BatchRecord(one, two)) for one, two in zip(batches, slots, strict=True)])
        self.pending += blocks

    def whole(self) -> WholeBlocks:
        """The way into the month files for whole blocks of another system's history."""
        return self._blocks.whole()

    def _read_journal(self) -> None:
        for _, body in self._journal.read(self._blocks.state.merged):
            try:
                record = decode(body)
            except ValueError as error:
                raise StorageError(f"the journal in {self._directory} has a damaged record: {error}") from None
            if isinstance(record, BatchRecord):
                self._blocks.book.adopt_batch(record.batch, record.slots)
                self.pending += record.batch.blocks()


def merge_what_waits(directory: Path) -> None:
    """Enter what the journal holds into the blocks, so that it can be read; the news of it stays owed."""
    store = EmbeddedIntervals(directory, None, keep_merged=True)
    store.open()
    store.close()
