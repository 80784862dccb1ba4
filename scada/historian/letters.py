"""The dead letters of one destination, and sending again: for the command line, beside a running server or without one.

A letter is what a destination will never take as it was sent: one line, or a body of which it named none. Sent again, it
goes the way of everything else, and may become a dead letter once more. Blocking.
"""

import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import attrs
import zstandard

from scada.errors import StorageError
from scada.historian.database import transaction
from scada.historian.spool import AGAIN, BEGIN, EVENTS, FORGOTTEN, LIVE, PAST, RESULTS, ROTTEN

BUSY_S: Final = 10.0
SECONDS_DIGITS: Final = 11              # a time of more digits is in ms: seconds have so many in the year 5138
T = TypeVar("T")


@attrs.frozen
class Letter:
    """One of them."""

    number: int
    at: int                             # ns, site time, when it was set aside; 0: not known
    reason: str
    body: str                           # line protocol, one line or many

    @property
    def lines(self) -> int:
        return len(self.body.splitlines())


class Letters:
    """Those of one spool; the server notices what was changed here within some seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Letter]:
        """All of them, oldest first; raises `StorageError`."""
        return self._do(lambda database: [
            Letter(*row) for row in database.execute("SELECT number, at, reason, body FROM dead ORDER BY number")
        ])

    def retry(self, numbers: Sequence[int] | None = None) -> tuple[int, int]:
        """Queue letters again, all if none are named: how many were queued, and how many can never be; `StorageError`."""
        def again(database: sqlite3.Connection) -> tuple[int, int]:
            queued = left = 0
            for letter in self._chosen(database, numbers):
                if letter.reason == ROTTEN:             # what stands there is no line: it is kept as evidence
                    left += 1
                    continue
                packed = zstandard.ZstdCompressor(level=1).compress(in_ms(letter.body).encode())
                database.execute(
                    "INSERT INTO queue(lane, made, lines, crc, body) VALUES (?,?,?,?,?)",
                    (LIVE, AGAIN, letter.lines, zlib.crc32(packed), packed),
                )
                database.execute("DELETE FROM dead WHERE number = ?", (letter.number,))
                queued += 1
            return queued, left

        return self._do(again, write=True)

    def drop(self, numbers: Sequence[int] | None = None) -> int:
        """Forget letters, all if none are named; how many there were. Raises `StorageError`."""
        def forget(database: sqlite3.Connection) -> int:
            chosen = self._chosen(database, numbers)
            database.executemany("DELETE FROM dead WHERE number = ?", [(letter.number,) for letter in chosen])
            return len(chosen)

        return self._do(forget, write=True)

    def replay(self, first_day: int, last_day: int) -> int:
        """
        Have the intervals of some days [days since 1970, both included] sent as if they never had been.

        Returns the number of blocks; raises `StorageError`. The destination takes the same point twice as once.
        """
        def forget(database: sqlite3.Connection) -> int:
            count = database.execute("DELETE FROM sent WHERE day BETWEEN ? AND ?", (first_day, last_day)).rowcount
            _tell(database)
            return count

        return self._do(forget, write=True)

    def refill(self) -> None:
        """Have everything of the store sent, as to a destination that is new; raises `StorageError`."""
        def forget(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM sent")
            _tell(database)
            anew = [(PAST, BEGIN), (RESULTS, "0"), (EVENTS, "0")]
            database.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", anew)

        self._do(forget, write=True)

    # ------------------------------------------------------------------ private
    def _chosen(self, database: sqlite3.Connection, numbers: Sequence[int] | None) -> list[Letter]:
        rows = database.execute("SELECT number, at, reason, body FROM dead ORDER BY number").fetchall()
        letters = [Letter(*row) for row in rows]
        if numbers is None:
            return letters
        known = {letter.number for letter in letters}
        if missing := sorted(set(numbers) - known):
            raise StorageError(f"{self.path} has no dead letter {', '.join(map(str, missing))}; nothing was changed")
        return [letter for letter in letters if letter.number in numbers]

    def _do(self, what: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        if not self.path.exists():
            raise StorageError(f"{self.path} does not exist: this destination was never used here")
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)) as database:
                if not write:
                    return what(database)
                database.execute("PRAGMA synchronous=FULL")
                with transaction(database):
                    return what(database)
        except sqlite3.Error as error:
            raise StorageError(f"the spool {self.path} cannot be used: {error}") from None


def _tell(database: sqlite3.Connection) -> None:
    """A server that runs looks for what it has to send again, once."""
    database.execute("CREATE TABLE IF NOT EXISTS fact(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    database.execute(
        "INSERT INTO fact VALUES (?, '1') ON CONFLICT(name) DO UPDATE SET value = CAST(value AS INTEGER) + 1", (FORGOTTEN,)
    )


def in_ms(body: str) -> str:
    """Lines whose times are in s or ms, with all of them in ms: what waits in the queue is sent with one precision."""
    return "".join(f"{_line_in_ms(line)}\n" for line in body.splitlines())


def _line_in_ms(line: str) -> str:
    _, _, time = line.rpartition(" ")
    return f"{line}000" if time.isdigit() and len(time) <= SECONDS_DIGITS else line
