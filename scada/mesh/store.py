"""The history of the trees on disk: one row for each change of a module's place, one for its traffic. Blocking."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from scada.clock import NS
from scada.mesh.history import DAY_NS, GONE, Traffic
from scada.network import Place
from scada.sqlite_file import SqliteFile

VERSION: Final = 1                      # of the tables
KEPT_NS: Final = 730 * DAY_NS           # a place that was left longer ago is forgotten
PRUNE_EVERY: Final = 1_000              # writes between two prunings
MOST_MOMENTS: Final = 500
OFFSET: Final = 1 << 63                 # an EUI has 64 bits, SQLite's numbers have a sign

SCHEMA: Final = """
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
"""
NUMBER: Final = "SELECT number FROM concentrator WHERE name = ?"
LAST: Final = f"SELECT eui, idx, parent, level, max(at) FROM place WHERE concentrator = ({NUMBER}) AND at <= ? GROUP BY eui"
PARENT: Final = (                       # the last one before an instant; of whom nothing is known before it, the first
    "SELECT parent, at, (SELECT min(at) FROM place AS later WHERE later.concentrator = place.concentrator "
    "AND later.eui = place.eui AND later.at > place.at) "
    f"FROM place WHERE concentrator = ({NUMBER}) AND eui = ? AND parent != {GONE} ORDER BY at > ?, abs(at - ?) LIMIT 1"
)
HOLDERS: Final = (
    f"SELECT idx, min(at) AS since, eui FROM place WHERE concentrator = ({NUMBER}) AND parent != {GONE} "
    "GROUP BY idx, eui ORDER BY since"
)


class MeshStore:
    """Making one opens the file, and raises `StartError`; times in it are seconds, for that is what reports have."""

    def __init__(self, path: Path) -> None:
        self._writes = 0
        self._file = SqliteFile(path, "network", "the history of the radio network", SCHEMA, VERSION)
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def tree(self, concentrator: str, at: int | None = None) -> dict[int, Place]:
        """The last known place of every module at an instant [ns] (None: now), by EUI; those that had left too."""
        with self._file.read() as database:
            rows = database.execute(LAST, (concentrator, (1 << 62) if at is None else at // NS)).fetchall()
        places = (Place(eui + OFFSET, idx, parent, level, since * NS) for eui, idx, parent, level, since in rows)
        return {place.eui: place for place in places}

    def through(self, concentrator: str, moments: Mapping[int, int]) -> dict[int, int]:
        """Whom each module (by EUI) sent through when it was last in the tree before an instant of its own [ns].

        The EUI of whoever had the parent's index then, 0 for the concentrator; without those of whom nothing is known.
        """
        holders: dict[int, list[tuple[int, int]]] = defaultdict(list)      # by index: since [s], EUI; in order of time
        found = {}
        with self._file.read() as database:
            for idx, since, eui in database.execute(HOLDERS, (concentrator,)):
                holders[idx].append((since, eui + OFFSET))
            for eui, moment in moments.items():
                at = moment // NS
                row = database.execute(PARENT, (concentrator, eui - OFFSET, at, at)).fetchone()
                if row is None:
                    continue
                parent, since, left = row
                last = max(since, at if left is None else min(at, left - 1))        # that it stood there, up to the instant
                if parent == 0:
                    found[eui] = 0
                elif held := holders.get(parent):
                    found[eui] = next((one for began, one in reversed(held) if began <= last), held[0][1])
        return found

    def moments(self, concentrator: str) -> tuple[int, ...]:
        """The instants at which the tree changed, newest first. [ns]"""
        with self._file.read() as database:
            rows = database.execute(
                f"SELECT DISTINCT at FROM place WHERE concentrator = ({NUMBER}) ORDER BY at DESC LIMIT ?",
                (concentrator, MOST_MOMENTS),
            ).fetchall()
        return tuple(at * NS for (at,) in rows)

    def of_module(self, eui: int, size: int) -> tuple[tuple[str, Place], ...]:
        """Where a module stood, newest first, with the concentrator."""
        with self._file.read() as database:
            rows = database.execute(
                "SELECT name, idx, parent, level, at FROM place JOIN concentrator ON number = concentrator "
                "WHERE eui = ? ORDER BY at DESC LIMIT ?", (eui - OFFSET, size),
            ).fetchall()
        return tuple((name, Place(eui, idx, parent, level, at * NS)) for name, idx, parent, level, at in rows)

    def changes(self, concentrator: str, since: int) -> dict[int, int]:
        """How often each module has changed its place since an instant [ns], its first one not counted; by EUI."""
        with self._file.read() as database:
            rows = database.execute(
                f"SELECT eui, count(*) FROM place AS later WHERE concentrator = ({NUMBER}) AND at >= ? AND parent != ? "
                "AND EXISTS (SELECT 1 FROM place AS earlier WHERE earlier.concentrator = later.concentrator "
                "AND earlier.eui = later.eui AND earlier.at < later.at) GROUP BY eui",
                (concentrator, since // NS, GONE),
            ).fetchall()
        return {eui + OFFSET: count for eui, count in rows}

    def traffic(self, euis: Iterable[int]) -> dict[int, Traffic]:
        """What modules have relayed so far, by EUI."""
        found = {}
        with self._file.read() as database:
            for eui in euis:
                row = database.execute(
                    "SELECT days, packets, today, packets_today FROM traffic WHERE eui = ?", (eui - OFFSET,)
                ).fetchone()
                if row is not None:
                    found[eui] = Traffic(eui, *row)
        return found

    def write(self, concentrator: str, places: Sequence[Place], traffic: Sequence[Traffic]) -> None:
        """Store changes in one transaction; raises `StorageError`, and then nothing was stored."""
        with self._file.transaction() as database:
            number = _number(database, concentrator)
            database.executemany(
                "INSERT OR REPLACE INTO place (concentrator, eui, at, idx, parent, level) VALUES (?, ?, ?, ?, ?, ?)",
                [(number, one.eui - OFFSET, one.since // NS, one.index, one.parent, one.level) for one in places],
            )
            database.executemany(
                "INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?, ?)",
                [(one.eui - OFFSET, one.days, one.packets, one.today, one.packets_today) for one in traffic],
            )
            self._prune(database, max((one.since for one in places), default=0))

    def _prune(self, database: sqlite3.Connection, now: int) -> None:
        """Forget what is old, but never the place that a module still had when the time that is kept began."""
        if now and self._writes % PRUNE_EVERY == 0:
            database.execute(
                "DELETE FROM place WHERE at < ? AND EXISTS (SELECT 1 FROM place AS later WHERE "
                "later.concentrator = place.concentrator AND later.eui = place.eui AND later.at > place.at "
                "AND later.at <= ?)",
                ((now - KEPT_NS) // NS, (now - KEPT_NS) // NS),
            )
        self._writes += 1


def _number(database: sqlite3.Connection, concentrator: str) -> int:
    row = database.execute(NUMBER, (concentrator,)).fetchone()
    if row is None:
        row = (database.execute("INSERT INTO concentrator (name) VALUES (?)", (concentrator,)).lastrowid,)
    return int(row[0] or 0)
