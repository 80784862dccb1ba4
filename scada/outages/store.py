"""Outages on disk: what is open, what was, and which signs devices gave that have not ended. Blocking."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from scada.events import DeviceEvent
from scada.outage import Outage, Scope
from scada.sqlite_file import SqliteFile

VERSION: Final = 1                      # of the tables; raised with every change of `Outage`
MOST_KEPT: Final = 100_000              # outages that are over; the oldest go
PRUNE_EVERY: Final = 500                # writes between two prunings
LISTS: Final = ("members", "evidence", "also")

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS open (id TEXT PRIMARY KEY, outage TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (number INTEGER PRIMARY KEY, until INTEGER NOT NULL, outage TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_until ON history (until);
CREATE TABLE IF NOT EXISTS sign (
    device TEXT NOT NULL, code INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (device, code)
) WITHOUT ROWID;
"""


class OutageStore:
    """Making one opens the file, and raises `StartError`; a write is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._writes = 0
        self._file = SqliteFile(path, "outages", "the journal of outages", SCHEMA, VERSION)
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def load(self) -> tuple[tuple[Outage, ...], dict[tuple[str, int], int]]:
        """What is open, and the signs that hold: since when [ns] by device and event code."""
        with self._file.read() as database:
            opened = database.execute("SELECT outage FROM open").fetchall()
            signs = database.execute("SELECT device, code, at FROM sign").fetchall()
        return tuple(_outage(text) for (text,) in opened), {(device, code): at for device, code, at in signs}

    def write(self, changed: Sequence[Outage], closed: Sequence[Outage]) -> None:
        """Store changes in one transaction; raises `StorageError`, and then nothing was stored."""
        with self._file.transaction() as database:
            for one in changed:
                database.execute("INSERT OR REPLACE INTO open VALUES (?, ?)", (one.id, _text(one)))
            for one in closed:
                database.execute("DELETE FROM open WHERE id = ?", (one.id,))
                database.execute("INSERT INTO history (until, outage) VALUES (?, ?)", (one.until, _text(one)))
            if self._writes % PRUNE_EVERY == 0:
                database.execute("DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?", (MOST_KEPT,))
            self._writes += 1

    def take(self, events: Sequence[DeviceEvent]) -> None:
        """Keep the signs that begin, drop those that end."""
        with self._file.transaction() as database:
            for event in events:
                database.execute("DELETE FROM sign WHERE device = ? AND code = ?", (event.device, event.code))
                if event.raised:
                    database.execute("INSERT INTO sign VALUES (?, ?, ?)", (event.device, event.code, event.at))

    def forget(self, signs: Sequence[tuple[str, int]]) -> None:
        """Drop signs, by device and event code, that nobody will end."""
        with self._file.transaction() as database:
            database.executemany("DELETE FROM sign WHERE device = ? AND code = ?", signs)

    def history(self, before: int | None, size: int) -> tuple[Outage, ...]:
        """Those that ended before an instant [ns], newest first."""
        with self._file.read() as database:
            rows = database.execute(
                "SELECT outage FROM history WHERE until < ? ORDER BY until DESC, number DESC LIMIT ?",
                (2**63 - 1 if before is None else before, size),
            ).fetchall()
        return tuple(_outage(text) for (text,) in rows)


def _text(outage: Outage) -> str:
    return json.dumps(attrs.asdict(outage), ensure_ascii=False)


def _outage(text: str) -> Outage:
    values: dict[str, Any] = json.loads(text)
    values["scope"] = Scope(values["scope"])
    for name in LISTS:
        values[name] = tuple(values[name])
    return Outage(**values)
