"""The durable queue in front of a destination: nothing leaves it before the destination has confirmed.

Two lanes: what is live goes before the backlog. Each body has its check sum; what can never be sent goes to the dead
letters with its reason. Bounded in bytes and in age: the oldest goes first, counted. For interval data no lines wait, only
what was sent: (interval length, day, block) and version; for live values older than the destination, how far it has them.
A damaged file is set aside and a fresh one takes its place: that costs the destination the live values that waited, while
blocks are sent again.
"""

import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import zstandard
from twisted.logger import Logger

from scada.historian import letter_rows
from scada.historian.database import DamagedFile, aside_of, naming, open_writer, put_aside, reading_once, transaction
from scada.historian.letter_rows import DEAD_MOST, Dead, lines_in
from scada.historian.rows import BlockKey
from scada.historian.sent import Versions, versions_of

LIVE: Final = 0
BACKLOG: Final = 1
AGAIN: Final = 0                        # when a body was made that a person has sent again: its age drops it no more
BODIES_AT_ONCE: Final = 500             # in memory, of who checks them
ROTTEN: Final = "the bytes do not match their check sum"
PAST: Final = "past"                    # fact: how far the destination has the live values from before it
BEGIN: Final = "begin"
RESULTS: Final = "results"              # fact: number of the last change of results that the destination has
FORGOTTEN: Final = "forgotten"          # fact: how often blocks that were sent were to be sent again
EVENTS: Final = "events"                # fact: number of the last event that the destination has
SERVER: Final = "server"                # fact: what the destination says that it is
_SCHEMA: Final = letter_rows.SCHEMA + """
CREATE TABLE IF NOT EXISTS queue(number INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, made INTEGER NOT NULL,
    lines INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS queue_lane ON queue(lane, number);
CREATE TABLE IF NOT EXISTS sent(interval_s INTEGER NOT NULL, day INTEGER NOT NULL, block INTEGER NOT NULL,
    version INTEGER NOT NULL, PRIMARY KEY(interval_s, day, block)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_BEGIN: Final = f"INSERT OR IGNORE INTO fact VALUES ('{PAST}', '{BEGIN}');"      # a destination that is new lacks the past
_OLDEST: Final = "SELECT number, lines FROM queue ORDER BY number LIMIT 1"
_OLDEST_MADE: Final = f"SELECT number, lines, made FROM queue WHERE made <> {AGAIN} ORDER BY number LIMIT 1"
_VERSION: Final = "SELECT version FROM sent WHERE interval_s = ? AND day = ? AND block = ?"
_SENT: Final = (
    "SELECT interval_s, day, block, version FROM sent WHERE interval_s = ? AND day BETWEEN ? AND ? ORDER BY day, block"
)
_log = Logger()


@attrs.frozen
class Item:
    """A body that waits."""

    number: int
    lines: int
    body: bytes                         # line protocol, not compressed


class Spool:
    """One destination's queue; any thread, one at a time."""

    def __init__(self, path: Path, max_bytes: int, max_age: int = 0) -> None:
        """`max_age` in ns of site time; 0: as old as may be."""
        self.path, self._max, self._max_age = path, max_bytes, max_age
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._seen = 0                              # what others had changed when it was counted last
        self.bytes = self.lines = self.bodies = 0
        self.dropped = self.rotten = 0              # lines; bodies
        self.dead = self.dead_lines = 0             # letters, and the lines in them
        self.oldest = 0                             # ns, when the oldest body was made; 0 = there is none that ages
        self.aside: list[Path] = []                 # damaged ones that were here before

    def open(self) -> None:
        """Open the file, or a fresh one where it is damaged."""
        self.aside = aside_of(self.path)
        try:
            self._begin()
        except DamagedFile as damage:
            self._begin_anew(damage)

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def look(self) -> bool:
        """Take up what another process changed (`letters`); whether it did."""
        if self._database is None:
            return False
        with self._held():
            if self._others() == self._seen:
                return False
            self._seen = self._others()
            self._count()
            self._count_dead()
            return True

    def put(self, body: bytes, lines: int, made: int) -> None:
        """Durable when it returns; makes room by letting the oldest go."""
        packed = zstandard.ZstdCompressor(level=1).compress(body)
        with self._change() as database:
            database.execute(
                "INSERT INTO queue(lane, made, lines, crc, body) VALUES (?,?,?,?,?)",
                (LIVE, made, lines, zlib.crc32(packed), packed),
            )
            self._tally(1, lines, len(packed))
            while self.bytes > self._max and self._drop(database, _OLDEST):
                pass
            self._look_for_oldest(database)
            while self._too_old(made) and self._drop(database, _OLDEST_MADE):
                self._look_for_oldest(database)

    def take(self, lane: int) -> Item | None:
        """The oldest body of a lane; it stays until `done`. A rotten one is set aside and the next is taken."""
        while True:
            with self._held() as database:
                row = database.execute(
                    "SELECT number, lines, crc, body FROM queue WHERE lane = ? ORDER BY number LIMIT 1", (lane,)
                ).fetchone()
            if row is None:
                return None
            number, lines, crc, packed = row
            if zlib.crc32(packed) == crc:
                return Item(number, lines, zstandard.ZstdDecompressor().decompress(packed))
            self.rotten += 1
            self.done(number, dead=[(packed.hex()[:2000], ROTTEN)], at=0)

    def done(self, number: int, dead: Dead = (), at: int = 0) -> None:
        """The destination has confirmed, or never will: forget the body, keep its dead lines with their reasons."""
        with self._change() as database:
            self._remove(database, number)
            self._bury(database, dead, at)
            self._look_for_oldest(database)

    def bury(self, dead: Dead, at: int) -> None:
        """Keep lines that never will be stored, with their reasons."""
        with self._change() as database:
            self._bury(database, dead, at)

    def fall_behind(self) -> None:
        """What waits is backlog from now on, whatever the clock says of when it was made."""
        with self._held() as database:
            database.execute("UPDATE queue SET lane = ? WHERE lane = ?", (BACKLOG, LIVE))

    def version(self, key: BlockKey) -> int:
        """That the destination has of a block; 0 if none."""
        with self._held() as database:
            row = database.execute(_VERSION, key).fetchone()
        return int(row[0]) if row else 0

    def versions(self, interval_s: int, first_day: int, last_day: int) -> Versions:
        """Those of all blocks of some days, both included."""
        with self._held() as database:
            return versions_of(database.execute(_SENT, (interval_s, first_day, last_day)))

    def forgotten(self) -> str:
        """Something that changes when blocks that were sent shall be sent again."""
        return f"{len(self.aside)} {self.fact(FORGOTTEN)}"

    def mark_sent(self, key: BlockKey, version: int) -> None:
        with self._held() as database:
            database.execute("INSERT OR REPLACE INTO sent VALUES (?,?,?,?)", (*key, version))

    def fact(self, name: str) -> str:
        """What was remembered last; "" if nothing."""
        with self._held() as database:
            row = database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def remember(self, name: str, value: str) -> None:
        with self._held() as database:
            database.execute("INSERT OR REPLACE INTO fact VALUES (?,?)", (name, value))

    def dead_letters(self) -> list[tuple[str, str]]:
        """(line, reason), oldest first."""
        with self._held() as database:
            return database.execute("SELECT body, reason FROM dead ORDER BY number").fetchall()

    # ------------------------------------------------------------------ private
    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.OperationalError("the spool is closed")
        return self._database

    def _begin(self) -> None:
        """Open the file, or make it: with it begins the destination, which then lacks all that was before."""
        with naming(self.path), reading_once(self.path) as there:
            known = there is not None and there.execute("SELECT 1 FROM sqlite_master WHERE name = 'sent'").fetchone()
        with naming(self.path):
            self._database = open_writer(self.path, _SCHEMA if known else _SCHEMA + _BEGIN)
            self._seen = self._others()
            self._count()
            self._count_dead()

    def _begin_anew(self, damage: DamagedFile) -> None:
        if self._database is not None:
            self._database.close()
        aside = put_aside(self.path)
        _log.error("{damage}; it is kept as {aside}, a fresh spool goes on", damage=str(damage), aside=aside.name)
        self.aside.append(aside)
        self._begin()
        self._seen = -1                             # `look` shall tell the sender that nothing counts as sent any more

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """The file, for one thread; found damaged on the way it is replaced, and `DamagedFile` raised."""
        with self._lock:
            try:
                with naming(self.path):
                    yield self._open()
            except DamagedFile as damage:
                self._begin_anew(damage)
                raise

    def _others(self) -> int:
        """A number that changes when another process has written to the file."""
        version: int = self._open().execute("PRAGMA data_version").fetchone()[0]
        return version

    def _bury(self, database: sqlite3.Connection, dead: Dead, at: int) -> None:
        letter_rows.bury(database, dead, at)
        self.dead, self.dead_lines = self.dead + len(dead), self.dead_lines + lines_in(dead)
        if self.dead > DEAD_MOST:
            letters, lines = letter_rows.forget_oldest(database)
            self.dead, self.dead_lines, self.dropped = self.dead - letters, self.dead_lines - lines, self.dropped + lines

    def _too_old(self, now: int) -> bool:
        return bool(self._max_age and self.oldest and now - self.oldest > self._max_age)

    def _drop(self, database: sqlite3.Connection, which: str) -> bool:
        row = database.execute(which).fetchone()
        if row is None:
            return False
        self._remove(database, row[0])
        self.dropped += row[1]
        return True

    def _remove(self, database: sqlite3.Connection, number: int) -> None:
        row = database.execute("SELECT lines, length(body) FROM queue WHERE number = ?", (number,)).fetchone()
        if row is not None:
            database.execute("DELETE FROM queue WHERE number = ?", (number,))
            self._tally(-1, -row[0], -row[1])

    def _tally(self, bodies: int, lines: int, size: int) -> None:
        self.bodies, self.lines, self.bytes = self.bodies + bodies, self.lines + lines, self.bytes + size

    def _look_for_oldest(self, database: sqlite3.Connection) -> None:
        row = database.execute(_OLDEST_MADE).fetchone()
        self.oldest = row[2] if row else 0

    def _count(self) -> None:
        """What is in the file; after a failed transaction too, when the running figures are ahead of it."""
        row = self._open().execute("SELECT count(*), coalesce(sum(lines), 0), coalesce(sum(length(body)), 0) FROM queue")
        self.bodies, self.lines, self.bytes = row.fetchone()
        self._look_for_oldest(self._open())

    def _count_dead(self) -> None:
        self.dead, self.dead_lines = letter_rows.count(self._open())

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._held() as database:
            before = self.dead, self.dead_lines, self.dropped
            try:
                with transaction(database):
                    yield database
            except sqlite3.Error:
                self.dead, self.dead_lines, self.dropped = before
                self._count()
                raise


def facts_in(path: Path) -> dict[str, str]:
    """What is remembered of a destination, in a spool that another process has open; one without a spool is new."""
    with reading_once(path) as database:
        return dict(database.execute("SELECT name, value FROM fact").fetchall()) if database else {PAST: BEGIN}


def versions_in(path: Path, interval_s: int, first_day: int, last_day: int) -> Versions:
    """`Spool.versions` of a spool that another process has open; nothing where there is none."""
    with reading_once(path) as database:
        return versions_of(database.execute(_SENT, (interval_s, first_day, last_day)) if database else ())


def bodies_in(path: Path) -> Iterator[tuple[int, bool]]:
    """Numbers of the bodies that wait, and whether each is what was written; of a spool that another process has open."""
    after = 0
    while True:
        with reading_once(path) as database:
            rows = database.execute(
                "SELECT number, crc, body FROM queue WHERE number > ? ORDER BY number LIMIT ?", (after, BODIES_AT_ONCE)
            ).fetchall() if database else []
        if not rows:
            return
        yield from ((number, zlib.crc32(body) == crc) for number, crc, body in rows)
        after = rows[-1][0]
