"""The news of merges as the state file keeps it, until everybody who follows it has dealt with it.

A row a merge, written in the transaction that says how far the journal is merged: which blocks of the store changed, as
runs of block numbers. Whoever follows has a place, the number up to which what he made of it is durable; what all have
passed is deleted. A row says nothing that is later than its number, so rows may be joined under the largest of their
numbers. They are, where nobody follows for long, and at every opening: into pieces of a month, the newest days first.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.logger import Logger

from scada.historian.dense import SLOTS, columns_of
from scada.historian.packing import narrow, pack, unpack
from scada.historian.rows import BlockKey
from scada.historian.slots import SlotBook
from scada.intervals import Mark

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS news(number INTEGER PRIMARY KEY AUTOINCREMENT, days INTEGER NOT NULL, runs INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS follower(name TEXT PRIMARY KEY, place INTEGER NOT NULL);
"""
MOST_ROWS: Final = 1000                             # of merges since the opening; more are joined
MOST_RUNS: Final = 1 << 16                          # in a row; beyond it a day is one run, from its first block to its last
PIECE_DAYS: Final = 31
Runs = NDArray[np.int64]                            # (r, 4): interval_s, day since 1970, first block, block behind the last
_log = Logger()


@attrs.frozen(eq=False)
class Piece:
    """A row, and how many days stand in those behind it."""

    number: int
    runs: Runs
    left: int


class NewsBook:
    """Read and written by the thread that merges; `places` is set in any."""

    def __init__(self) -> None:
        self.last = 0                               # number of the newest row that is durable
        self.places: dict[str, int] = {}
        self._kept: dict[str, int] = {}             # `places` as the file has them
        self._whole = 0                             # rows up to this one are not joined: somebody reads them one by one
        self._rows = 0                              # behind that one

    def open(self, database: sqlite3.Connection) -> None:
        """Inside a transaction: read the places, and put what is left in order."""
        self._kept = dict(database.execute("SELECT name, place FROM follower"))
        self.places = dict(self._kept)
        _forget(database, self._kept)
        found = [decoded(*row) for row in database.execute("SELECT runs, body FROM news")]
        found += _owed_before(database)
        database.execute("DELETE FROM news")
        for piece in pieces(joined(found)):
            add(database, piece)
        (self.last,) = database.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'news'").fetchone()
        self._whole, self._rows = self.last, 0

    def write(self, state: sqlite3.Connection, keys: Iterable[BlockKey]) -> tuple[int, int, dict[str, int]]:
        """Inside a transaction: that blocks changed, and the places; hand the answer to `written` when it is durable."""
        number, rows, places = self.last, self._rows, dict(self.places)
        if len(runs := runs_of(keys)):
            number, rows = add(state, runs), rows + 1
        if places != self._kept:
            state.executemany("INSERT OR REPLACE INTO follower VALUES (?,?)", places.items())
            _forget(state, places)
            (rows,) = state.execute("SELECT count(*) FROM news WHERE number > ?", (self._whole,)).fetchone()
        if rows > MOST_ROWS:
            self._join(state, number)
            rows = 1
        return number, rows, places

    def written(self, answer: tuple[int, int, dict[str, int]]) -> None:
        self.last, self._rows, self._kept = answer

    @property
    def moved(self) -> bool:
        """Whether a place is not in the file yet."""
        return self.places != self._kept

    def hold(self) -> int:
        """Somebody reads the rows there are one by one from now on; returns the last of them."""
        self._whole, self._rows = self.last, 0
        return self.last

    def after(self, database: sqlite3.Connection, number: int, upto: int) -> Piece | None:
        """The next row."""
        row = database.execute(
            "SELECT number, runs, body FROM news WHERE number > ? AND number <= ? ORDER BY number LIMIT 1", (number, upto)
        ).fetchone()
        if row is None:
            return None
        (left,) = database.execute(
            "SELECT coalesce(sum(days), 0) FROM news WHERE number > ? AND number <= ?", (row[0], upto)
        ).fetchone()
        return Piece(row[0], decoded(*row[1:]), left)

    def _join(self, state: sqlite3.Connection, number: int) -> None:
        rows = state.execute("SELECT runs, body FROM news WHERE number > ?", (self._whole,)).fetchall()
        state.execute("DELETE FROM news WHERE number > ?", (self._whole,))
        state.execute("INSERT INTO news VALUES (?,?,?,?)", (number, *encoded(joined([decoded(*row) for row in rows]))))


def add(state: sqlite3.Connection, runs: Runs) -> int:
    """A row, inside a transaction; returns its number."""
    return state.execute("INSERT INTO news(days, runs, body) VALUES (?,?,?)", encoded(runs)).lastrowid or 0


def runs_of(keys: Iterable[BlockKey]) -> Runs:
    """Blocks as runs."""
    table = np.array(list(keys), dtype=np.int64).reshape(-1, 3)
    return joined([np.column_stack((table, table[:, 2] + 1))]) if len(table) else table.reshape(0, 4)


def joined(parts: Sequence[Runs]) -> Runs:
    """All that stands in some, by interval length, day and block, each block in one run; too many runs become wider."""
    runs = np.concatenate([np.empty((0, 4), np.int64), *parts])
    if not len(runs):
        return runs
    runs = runs[np.lexsort((runs[:, 2], runs[:, 1], runs[:, 0]))]
    new_day = np.concatenate(([True], (runs[1:, :2] != runs[:-1, :2]).any(axis=1)))
    far = np.cumsum(new_day) << 32                          # a day of its own for the running maximum
    reach = np.maximum.accumulate(runs[:, 3] + far) - far
    begins = np.flatnonzero(new_day | np.concatenate(([True], runs[1:, 2] > reach[:-1])))
    if len(begins) > MOST_RUNS:
        begins = np.flatnonzero(new_day)
    ends = np.concatenate((begins[1:], [len(runs)])) - 1
    return np.column_stack((runs[begins, :3], reach[ends]))


def pieces(runs: Runs) -> Iterator[Runs]:
    """So many days at a time, the newest first."""
    days, of_run = np.unique(runs[:, [1, 0]], axis=0, return_inverse=True)
    piece = (len(days) - 1 - of_run.reshape(-1)) // PIECE_DAYS
    for number in range(int(piece.max(initial=-1)) + 1):
        yield runs[piece == number]


def encoded(runs: Runs) -> tuple[int, int, bytes]:
    """(days, number of runs, bytes)."""
    days = 1 + int((runs[1:, :2] != runs[:-1, :2]).any(axis=1).sum()) if len(runs) else 0
    return days, len(runs), pack(narrow(np.diff(runs, axis=0, prepend=0).T.reshape(-1)))


def decoded(count: int, body: bytes) -> Runs:
    """None for bytes that are not what was written; that is in the log."""
    try:
        return np.cumsum(unpack(body, 4 * count).astype(np.int64).reshape(4, count).T, axis=0)
    except ValueError as error:
        _log.error("which hours a merge changed is not known any more, they are not balanced anew: {why}", why=str(error))
        return np.empty((0, 4), np.int64)


def marks_of(runs: Runs, book: SlotBook) -> tuple[Mark, ...]:
    """Marks of whole blocks, of the channels that are known; days that changed alike are one mark."""
    blocks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for interval_s, day, first, end in runs.tolist():
        blocks.setdefault((interval_s, day), []).append((first, end))
    alike: dict[tuple[int, tuple[tuple[int, int], ...]], list[int]] = {}
    for (interval_s, day), some in blocks.items():
        alike.setdefault((interval_s, tuple(some)), []).append(day)
    marks = []
    for (interval_s, spans), days in alike.items():
        slots = np.concatenate([np.arange(first * SLOTS, end * SLOTS) for first, end in spans])
        slots, width, of = slots[book.known(slots)], columns_of(interval_s), np.array(sorted(days))
        rows = np.split(of, np.flatnonzero(np.diff(of) > 1) + 1) if len(slots) else []
        marks += [Mark(slots, int(row[0]) * width, len(row) * width, interval_s) for row in rows]
    return tuple(marks)


# ---------------------------------------------------------------------- private
def _forget(database: sqlite3.Connection, places: dict[str, int]) -> None:
    """What everybody who follows has dealt with; where nobody ever followed, all waits for the first."""
    if places:
        database.execute("DELETE FROM news WHERE number <= ?", (min(places.values()),))


def _owed_before(database: sqlite3.Connection) -> list[Runs]:
    """What an earlier version kept in a table of single blocks."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'owed'").fetchone():
        return []
    keys = database.execute("SELECT interval_s, day, block FROM owed").fetchall()
    database.execute("DROP TABLE owed")
    return [runs_of(keys)]
