"""The state file: how far the journal is merged; slots, cursors, quarantine and the news of merges as they were then."""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.historian import news
from scada.historian.cursor import CursorBook
from scada.historian.database import naming, open_writer, transaction
from scada.historian.journal import Position
from scada.historian.records import BatchRecord, GapRecord, Record, provenances_of
from scada.historian.rows import BlockKey
from scada.historian.slots import SlotBook
from scada.intervals import Quarantined

STATE_FILE: Final = "state.sqlite"
QUARANTINE_BYTES: Final = 16 << 20                  # of bodies kept per concentrator; beyond it reason, number and CRC only
SLOTS_AT_A_TIME: Final = 4096                       # made into objects: the interpreter is held as long as that takes
CACHE_KIB: Final = 8 * 1024                         # of its pages: names of new channels go anywhere in their index
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS merged(one INTEGER PRIMARY KEY CHECK (one = 1), segment INTEGER NOT NULL,
    place INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS slot(number INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL UNIQUE,
    eui INTEGER NOT NULL, channel INTEGER NOT NULL, link INTEGER NOT NULL, UNIQUE(eui, channel));
CREATE TABLE IF NOT EXISTS cursor(link INTEGER NOT NULL, archive INTEGER NOT NULL, reached INTEGER NOT NULL,
    ahead TEXT NOT NULL, PRIMARY KEY(link, archive));
CREATE TABLE IF NOT EXISTS quarantine(link INTEGER NOT NULL, archive INTEGER NOT NULL, record INTEGER NOT NULL,
    crc INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL, received INTEGER NOT NULL,
    PRIMARY KEY(link, archive, record, crc));
""" + news.SCHEMA


class StateFile:
    """Written last of all: a crash before it repeats the merge, which changes nothing."""

    database: sqlite3.Connection

    def __init__(self, directory: Path) -> None:
        self._path = directory / STATE_FILE
        self.merged = Position()
        self.cursors = CursorBook()
        self.news = news.NewsBook()
        self.quarantined = self.quarantined_without_body = self.lost_records = 0
        self._quarantine: dict[int, int] = {}               # link -> bytes of bodies kept
        self._saved_slots = np.zeros(0, np.bool_)           # by slot: whether the file has it
        self._is_open = False

    def open(self, book: SlotBook) -> None:
        """Read everything; the slots go into `book`. Raises `DamagedFile`: it alone says which channel a slot is."""
        with naming(self._path):
            self._read(book)

    def _read(self, book: SlotBook) -> None:
        state = self.database = open_writer(self._path, _SCHEMA)
        state.execute(f"PRAGMA cache_size={-CACHE_KIB}")
        self._is_open = True
        row = state.execute("SELECT segment, place FROM merged").fetchone()
        self.merged = Position(*row) if row else Position()
        load_slots(state, book, 0)
        used = np.array([row[0] for row in state.execute("SELECT slot FROM slot")], dtype=np.int64)
        self._saved_slots = np.zeros(int(used.max(initial=-1)) + 1, np.bool_)
        self._saved_slots[used] = True
        self._load_cursors()
        self._count_quarantine()
        with transaction(state):
            self.news.open(state)

    def close(self) -> None:
        if self._is_open:
            self.database.close()
        self._is_open = False

    def save(self, items: Sequence[tuple[Position, Record]], changed: Iterable[BlockKey] = ()) -> None:
        """These records are merged, and so blocks changed. After an error none of it is, and all here is as it was."""
        known = np.zeros(max([len(self._saved_slots), *(_top(record) for _, record in items)]), np.bool_)
        known[:len(self._saved_slots)] = self._saved_slots
        lost = self.lost_records
        try:
            with transaction(self.database) as state:
                moved = {archive for _, record in items for archive in self._advance(record)}
                _save_slots(state, [record for _, record in items if isinstance(record, BatchRecord)], known)
                for _, record in items:
                    if isinstance(record, Quarantined):
                        self._save_quarantined(state, record)
                state.executemany("INSERT OR REPLACE INTO cursor VALUES (?,?,?,?)", [
                    (link, _signed(archive), cursor.reached, json.dumps(sorted(cursor.ahead)))
                    for (link, archive) in moved if (cursor := self.cursors.of(link, archive))
                ])
                if items:
                    end = items[-1][0]
                    state.execute("INSERT OR REPLACE INTO merged VALUES (1, ?, ?)", (end.segment, end.offset))
                written = self.news.write(state, changed)
        except BaseException:
            self._load_cursors()
            self._count_quarantine()
            self.lost_records = lost
            raise
        self._saved_slots = known
        self.news.written(written)
        if items:
            self.merged = items[-1][0]

    def owe(self, keys: Iterable[BlockKey]) -> None:
        """Blocks change that no record brings; durable when it returns, so call it before they do."""
        with transaction(self.database) as state:
            written = self.news.write(state, keys)
        self.news.written(written)

    def keep_places(self) -> None:
        """Write how far everybody has followed the news, where that is not done yet."""
        if self.news.moved:
            self.owe(())

    def named(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the file says of which channels slots are."""
        inside = slots < len(self._saved_slots)
        return inside & self._saved_slots[np.where(inside, slots, 0)] if len(self._saved_slots) else inside

    def enter_slots(
        self, slots: NDArray[np.int64], links: NDArray[np.int64], eui: NDArray[np.uint64], channel: NDArray[np.uint8]
    ) -> None:
        """Slots of channels that no record brings, durably; those that are known stay as they are."""
        new = np.flatnonzero(~self.named(slots))
        if not len(new):
            return
        with transaction(self.database) as state:
            _insert_slots(state, slots[new], links[new], eui[new], channel[new])
        known = np.zeros(max(len(self._saved_slots), int(slots.max(initial=-1)) + 1), np.bool_)
        known[:len(self._saved_slots)] = self._saved_slots
        known[slots] = True
        self._saved_slots = known

    def _advance(self, record: Record) -> set[tuple[int, int]]:
        """The archives whose cursors may have moved."""
        for source in provenances_of(record):
            if isinstance(record, GapRecord):
                self.lost_records += self.cursors.pass_to(source.link_id, source.archive_id, source.record)
            else:
                self.cursors.add(source.link_id, source.archive_id, source.record)
        return {(source.link_id, source.archive_id) for source in provenances_of(record)}

    def _save_quarantined(self, state: sqlite3.Connection, record: Quarantined) -> None:
        """Once, however often it comes; a concentrator that sends nothing else must not fill the disk."""
        source, held = record.provenance, self._quarantine.get(record.provenance.link_id, 0)
        body = record.body if held + len(record.body) <= QUARANTINE_BYTES else b""
        if state.execute("INSERT OR IGNORE INTO quarantine VALUES (?,?,?,?,?,?,?)", (
            source.link_id, _signed(source.archive_id), source.record, zlib.crc32(record.body), record.reason, body,
            record.received,
        )).rowcount:
            self.quarantined += 1
            self.quarantined_without_body += len(body) < len(record.body)
            self._quarantine[source.link_id] = held + len(body)

    def _count_quarantine(self) -> None:
        """What is in the file; the CRC of an empty body is 0, so one that was left out is told apart."""
        rows = self.database.execute(
            "SELECT link, count(*), sum(length(body)), sum(length(body) = 0 AND crc != 0) FROM quarantine GROUP BY link"
        ).fetchall()
        self._quarantine = {link: size for link, _, size, _ in rows}
        self.quarantined, self.quarantined_without_body = sum(row[1] for row in rows), sum(row[3] for row in rows)

    def _load_cursors(self) -> None:
        self.cursors = CursorBook()
        for link, archive, reached, ahead in self.database.execute("SELECT link, archive, reached, ahead FROM cursor"):
            cursor = self.cursors.of(link, _unsigned(archive))
            cursor.reached, cursor.ahead = reached, set(json.loads(ahead))


def owe(directory: Path, keys: Iterable[BlockKey]) -> None:
    """`StateFile.owe` for a folder that is ours alone; the file may be new."""
    if len(runs := news.runs_of(keys)):
        with closing(open_writer(directory / STATE_FILE, _SCHEMA)) as database, transaction(database) as state:
            news.add(state, runs)


def load_slots(state: sqlite3.Connection, book: SlotBook, after: int) -> int:
    """Enter the slots numbered above `after` into a book; returns the last number."""
    query = "SELECT number, slot, eui, channel, link FROM slot WHERE number > ? ORDER BY number"
    rows = state.execute(query, (after,)).fetchall()
    if not rows:
        return after
    table = np.array(rows, dtype=np.int64)
    for link in distinct(table[:, 4]).tolist():
        mine = table[table[:, 4] == link]
        book.adopt(link, mine[:, 2].astype(np.int64).view(np.uint64), mine[:, 3].astype(np.uint8), mine[:, 1])
    return int(table[-1, 0])


def _save_slots(state: sqlite3.Connection, records: Sequence[BatchRecord], known: NDArray[np.bool_]) -> None:
    """The slots of records that are not `known` to the file; they are from now on."""
    if not records:
        return
    slots = np.concatenate([record.slots for record in records])
    fresh = np.flatnonzero(~known[slots])
    if not len(fresh):
        return
    _, first = np.unique(slots[fresh], return_index=True)
    lines, batches = fresh[first], [record.batch for record in records]
    links = np.concatenate([batch.links for batch in batches])
    eui, channel = np.concatenate([one.eui for one in batches]), np.concatenate([one.channel for one in batches])
    _insert_slots(state, slots[lines], links[lines], eui[lines], channel[lines])
    known[slots[fresh]] = True


def _insert_slots(
    state: sqlite3.Connection, slots: NDArray[np.int64], links: NDArray[np.int64], eui: NDArray[np.uint64],
    channel: NDArray[np.uint8],
) -> None:
    columns = slots, eui.view(np.int64), channel, links
    for begin in range(0, len(slots), SLOTS_AT_A_TIME):
        part = slice(begin, begin + SLOTS_AT_A_TIME)
        state.executemany(
            "INSERT OR IGNORE INTO slot(slot, eui, channel, link) VALUES (?,?,?,?)",
            zip(*(column[part].tolist() for column in columns), strict=True),
        )


def _top(record: Record) -> int:
    return int(record.slots.max(initial=-1)) + 1 if isinstance(record, BatchRecord) else 0


def _signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite's signed one."""
    return number - 2**64 if number >= 2**63 else number


def _unsigned(number: int) -> int:
    return number % 2**64
