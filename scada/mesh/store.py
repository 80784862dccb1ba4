"""The history of the trees on disk: one row for each change of a module's place, one for its traffic. Blocking."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scada.clock import NS
from scada.errors import StorageError
from scada.mesh.history import DAY_NS, GONE, Traffic
from scada.network import Place

VERSION: Final = 1                      # of the tables
KEPT_NS: Final = 730 * DAY_NS           # a place that was left longer ago is forgotten
PRUNE_EVERY: Final = 1_000              # writes between two prunings
MOST_MOMENTS: Final = 500
OFFSET: Final = 1 << 63                 # an EUI has 64 bits, SQLite's numbers have a sign

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS concentrator (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS place (
    concentrator INTEGER NOT NULL, eui INTEGER NOT NULL, at INTEGER NOT NULL,
    idx INTEGER NOT NULL, parent INTEGER NOT NULL, level INTEGER NOT NULL,
    PRIMARY KEY (concentrator, eui, at)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS place_of_module ON place (eui, at);
CREATE TABLE IF NOT EXISTS traffic (
    eui INTEGER PRIMARY KEY, days INTEGER NOT NULL, packets INTEGER NOT NULL, today INTEGER NOT NULL,
    packets_today INTEGER NOT NULL
);
PRAGMA user_version = {VERSION};
"""
LAST: Final = "SELECT eui, idx, parent, level, max(at) FROM place WHERE concentrator = ? AND at <= ? GROUP BY eui"


class MeshStore:
    """One SQLite file; times in it are seconds, for that is what reports have."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._writes = 0
        with _as_storage_error():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise StorageError(f"{path} was written by another version (tables {found}, expected {VERSION})")
            self._database.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def tree(self, concentrator: str, at: int | None = None) -> dict[int, Place]:
        """The last known place of every module at an instant [ns] (None: now), by EUI; those that had left too."""
        with self._lock, _as_storage_error():
            rows = self._database.execute(
                LAST, (self._number(concentrator), (1 << 62) if at is None else at // NS)
            ).fetchall()
        places = (Place(eui + OFFSET, idx, parent, level, since * NS) for eui, idx, parent, level, since in rows)
        return {place.eui: place for place in places}

    def moments(self, concentrator: str) -> tuple[int, ...]:
        """The instants at which the tree changed, newest first. [ns]"""
        with self._lock, _as_storage_error():
            rows = self._database.execute(
                "SELECT DISTINCT at FROM place WHERE concentrator = ? ORDER BY at DESC LIMIT ?",
                (self._number(concentrator), MOST_MOMENTS),
            ).fetchall()
        return tuple(at * NS for (at,) in rows)

    def of_module(self, eui: int, size: int) -> tuple[tuple[str, Place], ...]:
        """Where a module stood, newest first, with the concentrator."""
        with self._lock, _as_storage_error():
            rows = self._database.execute(
                "SELECT name, idx, parent, level, at FROM place JOIN concentrator ON number = concentrator "
                "WHERE eui = ? ORDER BY at DESC LIMIT ?", (eui - OFFSET, size),
            ).fetchall()
        return tuple((name, Place(eui, idx, parent, level, at * NS)) for name, idx, parent, level, at in rows)

    def changes(self, concentrator: str, since: int) -> dict[int, int]:
        """How often each module has changed its place since an instant [ns], its first one not counted; by EUI."""
        with self._lock, _as_storage_error():
            rows = self._database.execute(
                "SELECT eui, count(*) FROM place AS later WHERE concentrator = ? AND at >= ? AND parent != ? AND EXISTS "
                "(SELECT 1 FROM place AS earlier WHERE earlier.concentrator = later.concentrator "
                "AND earlier.eui = later.eui AND earlier.at < later.at) GROUP BY eui",
                (self._number(concentrator), since // NS, GONE),
            ).fetchall()
        return {eui + OFFSET: count for eui, count in rows}

    def traffic(self, euis: Iterable[int]) -> dict[int, Traffic]:
        """What modules have relayed so far, by EUI."""
        found = {}
        with self._lock, _as_storage_error():
            for eui in euis:
                row = self._database.execute(
                    "SELECT days, packets, today, packets_today FROM traffic WHERE eui = ?", (eui - OFFSET,)
                ).fetchone()
                if row is not None:
                    found[eui] = Traffic(eui, *row)
        return found

    def write(self, concentrator: str, places: Sequence[Place], traffic: Sequence[Traffic]) -> None:
        """Store changes in one transaction; raises `StorageError`, and then nothing was stored."""
        with self._lock, _as_storage_error():
            number = self._number(concentrator)
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(
                    "INSERT OR REPLACE INTO place (concentrator, eui, at, idx, parent, level) VALUES (?, ?, ?, ?, ?, ?)",
                    [(number, one.eui - OFFSET, one.since // NS, one.index, one.parent, one.level) for one in places],
                )
                self._database.executemany(
                    "INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?, ?)",
                    [(one.eui - OFFSET, one.days, one.packets, one.today, one.packets_today) for one in traffic],
                )
                self._prune(max((one.since for one in places), default=0))
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _number(self, concentrator: str) -> int:
        row = self._database.execute("SELECT number FROM concentrator WHERE name = ?", (concentrator,)).fetchone()
        if row is None:
            row = (self._database.execute("INSERT INTO concentrator (name) VALUES (?)", (concentrator,)).lastrowid,)
        return int(row[0] or 0)

    def _prune(self, now: int) -> None:
        """Forget what is old, but never the place that a module still had when the time that is kept began."""
        if now and self._writes % PRUNE_EVERY == 0:
            self._database.execute(
                "DELETE FROM place WHERE at < ? AND EXISTS (SELECT 1 FROM place AS later WHERE "
                "later.concentrator = place.concentrator AND later.eui = place.eui AND later.at > place.at "
                "AND later.at <= ?)",
                ((now - KEPT_NS) // NS, (now - KEPT_NS) // NS),
            )
        self._writes += 1


@contextmanager
def _as_storage_error() -> Iterator[None]:
    """SQLite's complaints in words an operator can use."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"the history of the radio network could not be read or stored: {error}") from error
