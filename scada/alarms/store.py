"""Alarms on disk: what is not normal, the journal of changes, and which device events were seen. Blocking."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from scada.events import DeviceEvent
from scada.ports import Alarm, AlarmState, Priority
from scada.sqlite_file import SqliteFile

FIELDS: Final = tuple(field.name for field in attrs.fields(Alarm))
COLUMNS: Final = ", ".join(f'"{name}"' for name in FIELDS)  # quoted: "limit" is a word of SQL
MARKS: Final = ", ".join("?" * len(FIELDS))
VERSION: Final = 3                      # of the tables; raised with every change of `Alarm`
MOST_JOURNAL: Final = 500_000           # changes kept; the oldest go
MOST_EVENTS: Final = 500_000            # events remembered against repetition; the oldest go
PRUNE_EVERY: Final = 1_000              # writes between two prunings

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS alarm ({COLUMNS}, PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, {COLUMNS});
CREATE UNIQUE INDEX IF NOT EXISTS journal_changed ON journal (changed);
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, device, sequence, code, channel, raised, at,
    UNIQUE (device, sequence, code, channel, raised, at)
);
"""


class AlarmStore:
    """Making one opens the file, and raises `StartError`; a write is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._writes = 0
        self._file = SqliteFile(path, "alarms", "the journal of alarms", SCHEMA, VERSION, upgrades={1: _suppressible})
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def load(self) -> tuple[tuple[Alarm, ...], int]:
        """The alarms that are not normal, and the instant of the last change. [ns]"""
        with self._file.read() as database:
            rows = database.execute(f"SELECT {COLUMNS} FROM alarm").fetchall()
            last = database.execute("SELECT max(changed) FROM journal").fetchone()[0]
        return tuple(_alarm(row) for row in rows), last or 0

    def write(self, changes: Sequence[Alarm], events: Sequence[DeviceEvent] = ()) -> None:
        """Store changes and seen events in one transaction; raises `StorageError`, and then nothing was stored."""
        with self._file.transaction() as database:
            for alarm in changes:
                row = _row(alarm)
                database.execute(f"INSERT OR REPLACE INTO journal ({COLUMNS}) VALUES ({MARKS})", row)
                if alarm.state is AlarmState.NORMAL:
                    database.execute("DELETE FROM alarm WHERE id = ?", (alarm.id,))
                else:
                    database.execute(f"INSERT OR REPLACE INTO alarm VALUES ({MARKS})", row)
            database.executemany(
                "INSERT OR IGNORE INTO event (device, sequence, code, channel, raised, at) VALUES (?, ?, ?, ?, ?, ?)",
                map(_key, events),
            )
            self._prune(database)

    def unseen(self, events: Iterable[DeviceEvent]) -> list[bool]:
        """Which events were not stored before; of two equal ones in the list the first counts."""
        new: list[bool] = []
        here: set[tuple[str, int, int, int, int, int]] = set()
        with self._file.read() as database:
            for event in events:
                key = _key(event)
                stored = database.execute(
                    "SELECT 1 FROM event WHERE device = ? AND sequence = ? AND code = ? AND channel = ? AND raised = ? "
                    "AND at = ?", key,
                ).fetchone()
                new.append(stored is None and key not in here)
                here.add(key)
        return new

    def history(self, before: int | None, size: int) -> tuple[Alarm, ...]:
        """Changes before an instant [ns], newest first."""
        with self._file.read() as database:
            rows = database.execute(
                f"SELECT {COLUMNS} FROM journal WHERE changed < ? ORDER BY changed DESC LIMIT ?",
                (2**63 - 1 if before is None else before, size),
            ).fetchall()
        return tuple(_alarm(row) for row in rows)

    def after(self, changed: int, size: int) -> tuple[Alarm, ...]:
        """Changes after an instant [ns], oldest first; their instants follow the order in which they were stored."""
        with self._file.read() as database:
            rows = database.execute(
                f"SELECT {COLUMNS} FROM journal WHERE changed > ? ORDER BY changed LIMIT ?", (changed, size)
            ).fetchall()
        return tuple(_alarm(row) for row in rows)

    def _prune(self, database: sqlite3.Connection) -> None:
        if self._writes % PRUNE_EVERY == 0:
            for table, most in (("journal", MOST_JOURNAL), ("event", MOST_EVENTS)):
                oldest = f"(SELECT max(number) FROM {table}) - ?"
                database.execute(f"DELETE FROM {table} WHERE number <= {oldest}", (most,))
        self._writes += 1


def _suppressible(database: sqlite3.Connection) -> None:
    """Before version 2 alarms could not be suppressed."""
    for table in ("alarm", "journal"):
        database.execute(f"ALTER TABLE {table} ADD COLUMN suppressed_by DEFAULT ''")


def _key(event: DeviceEvent) -> tuple[str, int, int, int, int, int]:
    """What makes two deliveries the same event; the instant, because a wiped concentrator counts from 1 again."""
    channel = -1 if event.channel is None else event.channel
    return event.device, event.sequence, event.code, channel, int(event.raised), event.at


def _row(alarm: Alarm) -> tuple[object, ...]:
    return tuple(str(value) if isinstance(value, AlarmState | Priority) else value for value in attrs.astuple(alarm))


def _alarm(row: Sequence[object]) -> Alarm:
    values = dict(zip(FIELDS, row, strict=True))
    values["state"], values["priority"] = AlarmState(str(values["state"])), Priority(str(values["priority"]))
    for name in ("value", "limit"):                        # SQLite keeps NaN as NULL
        values[name] = float("nan") if values[name] is None else values[name]
    return Alarm(**values)  # type: ignore[arg-type]
