"""Outages on disk: what is open, what was, and which signs devices gave that have not ended. Blocking."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from scada.errors import StorageError
from scada.events import DeviceEvent
from scada.outage import Outage, Scope

VERSION: Final = 1                      # of the tables; raised with every change of `Outage`
MOST_KEPT: Final = 100_000              # outages that are over; the oldest go
PRUNE_EVERY: Final = 500                # writes between two prunings
LISTS: Final = ("members", "evidence", "also")

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS open (id TEXT PRIMARY KEY, outage TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (number INTEGER PRIMARY KEY, until INTEGER NOT NULL, outage TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_until ON history (until);
CREATE TABLE IF NOT EXISTS sign (
    device TEXT NOT NULL, code INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (device, code)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


class OutageStore:
    """One SQLite file; a write is on the disk when it returns."""

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

    def load(self) -> tuple[tuple[Outage, ...], dict[tuple[str, int], int]]:
        """What is open, and the signs that hold: since when [ns] by device and event code."""
        with self._lock, _as_storage_error():
            opened = self._database.execute("SELECT outage FROM open").fetchall()
            signs = self._database.execute("SELECT device, code, at FROM sign").fetchall()
        return tuple(_outage(text) for (text,) in opened), {(device, code): at for device, code, at in signs}

    def write(self, changed: Sequence[Outage], closed: Sequence[Outage]) -> None:
        """Store changes in one transaction; raises `StorageError`, and then nothing was stored."""
        with self._lock, _as_storage_error(), self._transaction():
            for one in changed:
                self._database.execute("INSERT OR REPLACE INTO open VALUES (?, ?)", (one.id, _text(one)))
            for one in closed:
                self._database.execute("DELETE FROM open WHERE id = ?", (one.id,))
                self._database.execute("INSERT INTO history (until, outage) VALUES (?, ?)", (one.until, _text(one)))
            if self._writes % PRUNE_EVERY == 0:
                self._database.execute(
                    "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?", (MOST_KEPT,)
                )
            self._writes += 1

    def take(self, events: Sequence[DeviceEvent]) -> None:
        """Keep the signs that begin, drop those that end."""
        with self._lock, _as_storage_error(), self._transaction():
            for event in events:
                self._database.execute("DELETE FROM sign WHERE device = ? AND code = ?", (event.device, event.code))
                if event.raised:
                    self._database.execute("INSERT INTO sign VALUES (?, ?, ?)", (event.device, event.code, event.at))

    def history(self, before: int | None, size: int) -> tuple[Outage, ...]:
        """Those that ended before an instant [ns], newest first."""
        with self._lock, _as_storage_error():
            rows = self._database.execute(
                "SELECT outage FROM history WHERE until < ? ORDER BY until DESC, number DESC LIMIT ?",
                (2**63 - 1 if before is None else before, size),
            ).fetchall()
        return tuple(_outage(text) for (text,) in rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise


@contextmanager
def _as_storage_error() -> Iterator[None]:
    """SQLite's complaints in words an operator can use."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"outages could not be read or stored: {error}") from error


def _text(outage: Outage) -> str:
    return json.dumps(attrs.asdict(outage), ensure_ascii=False)


def _outage(text: str) -> Outage:
    values: dict[str, Any] = json.loads(text)
    values["scope"] = Scope(values["scope"])
    for name in LISTS:
        values[name] = tuple(values[name])
    return Outage(**values)
