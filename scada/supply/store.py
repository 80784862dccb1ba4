"""The memory of supplies on disk: written before anything is sent, and read back after a restart.

SQLite with synchronous=FULL; called in worker threads only, one call at a time. A switch and what it makes of its supply
are one transaction with the line of history that says so.
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from scada.commands import Origin
from scada.sqlite_file import SqliteFile
from scada.supplies import (
    Effect,
    Holding,
    HoldReason,
    Local,
    Step,
    SupplyNews,
    SupplyState,
    Switch,
    SwitchAction,
    SwitchState,
)
from scada.supply.record import Record

VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS supply (
    point TEXT PRIMARY KEY, state TEXT NOT NULL, since INTEGER NOT NULL, by_hand INTEGER NOT NULL, holders TEXT NOT NULL,
    in_module TEXT NOT NULL, switch TEXT REFERENCES switch (id), effect TEXT NOT NULL, effect_pulses INTEGER NOT NULL,
    eui TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS switch (
    id TEXT PRIMARY KEY, point TEXT NOT NULL, "action" TEXT NOT NULL, requested_by TEXT NOT NULL, origin TEXT NOT NULL,
    requested INTEGER NOT NULL, expires INTEGER NOT NULL, holding TEXT NOT NULL, note TEXT NOT NULL, state TEXT NOT NULL,
    confirmed_by TEXT NOT NULL, not_after INTEGER NOT NULL, was TEXT NOT NULL, steps TEXT NOT NULL, reason TEXT NOT NULL,
    accepted INTEGER NOT NULL, executed INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS news (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, point TEXT NOT NULL, what TEXT NOT NULL,
    actor TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS news_point ON news (point, number);
CREATE TABLE IF NOT EXISTS local (scope TEXT PRIMARY KEY, by TEXT NOT NULL, at INTEGER NOT NULL, note TEXT NOT NULL)
WITHOUT ROWID;
"""
SUPPLY: Final = ("point", "state", "since", "by_hand", "holders", "in_module", "switch", "effect", "effect_pulses", "eui")
SWITCH: Final = (
    "id", "action", "requested_by", "origin", "requested", "expires", "holding", "note", "state", "confirmed_by",
    "not_after", "was", "steps", "reason", "accepted", "executed", "changed",
)


@attrs.frozen
class News:
    """A line of history that has no number yet."""

    what: str
    actor: str = ""
    detail: str = ""


class Store:
    """All methods block."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, "supply", "the memory of supplies", SCHEMA, VERSION)

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def load(self) -> tuple[dict[str, Record], dict[str, Local]]:
        """Every supply that anything ever happened to, and where the say is on site."""
        with self._file.read() as database:
            switches = {
                row[0]: _switch(dict(zip(SWITCH, row, strict=True))) for row in database.execute(
                    f"SELECT {_names(SWITCH)} FROM switch WHERE id IN (SELECT switch FROM supply)"
                )
            }
            rows = database.execute(f"SELECT {_names(SUPPLY)} FROM supply").fetchall()
            records = {row[0]: _record(dict(zip(SUPPLY, row, strict=True)), switches) for row in rows}
            locals_ = {row[0]: Local(*row) for row in database.execute("SELECT scope, by, at, note FROM local")}
        return records, locals_

    def save(self, record: Record, at: int, news: Sequence[News]) -> None:
        """Write a supply, its switch and what happened; durable when this returns. Raises `StorageError`."""
        with self._file.transaction() as database:
            if record.switch is not None:
                _replace(database, "switch", (*SWITCH, "point"), (*_switch_row(record.switch), record.point))
            _replace(database, "supply", SUPPLY, _supply_row(record))
            database.executemany(
                "INSERT INTO news (at, point, what, actor, detail) VALUES (?, ?, ?, ?, ?)",
                [(at, record.point, one.what, one.actor, one.detail) for one in news],
            )

    def set_local(self, scope: str, local: Local | None) -> None:
        """Write, or delete, that the say is on site. Raises `StorageError`."""
        with self._file.transaction() as database:
            database.execute("DELETE FROM local WHERE scope = ?", (scope,))
            if local is not None:
                database.execute("INSERT INTO local VALUES (?, ?, ?, ?)", attrs.astuple(local))

    def history(self, point: str, before: int | None, size: int) -> tuple[SupplyNews, ...]:
        """Newest first, numbered below `before`."""
        with self._file.read() as database:
            rows = database.execute(
                "SELECT number, at, point, what, actor, detail FROM news WHERE point = ? AND number < ?"
                " ORDER BY number DESC LIMIT ?",
                (point, before if before is not None else 2**62, size),
            ).fetchall()
        return tuple(SupplyNews(*row) for row in rows)


def _replace(database: sqlite3.Connection, table: str, columns: Sequence[str], row: Sequence[Any]) -> None:
    marks = ", ".join("?" * len(columns))
    database.execute(f"INSERT OR REPLACE INTO {table} ({_names(columns)}) VALUES ({marks})", tuple(row))


def _supply_row(record: Record) -> tuple[Any, ...]:
    values = {
        "holders": _json([attrs.astuple(one) for one in record.holders]), "in_module": _json(sorted(record.in_module)),
        "switch": record.switch.id if record.switch else None, "by_hand": int(record.by_hand),
        "eui": f"{record.eui:016x}",
    }
    return tuple(values[column] if column in values else getattr(record, column) for column in SUPPLY)


def _switch_row(switch: Switch) -> tuple[Any, ...]:
    values = {
        "holding": _json(attrs.astuple(switch.holding)) if switch.holding else "",
        "steps": _json([(one.command_id.hex(), one.holder, one.done) for one in switch.steps]),
    }
    return tuple(values[column] if column in values else getattr(switch, column) for column in SWITCH)


def _record(values: dict[str, Any], switches: dict[str, Switch]) -> Record:
    return Record(**values | {
        "state": SupplyState(values["state"]), "by_hand": bool(values["by_hand"]),
        "holders": tuple(_holding(one) for one in json.loads(values["holders"])),
        "in_module": frozenset(json.loads(values["in_module"])), "switch": switches.get(values["switch"]),
        "effect": Effect(values["effect"]), "eui": int(values["eui"], 16),
    })


def _switch(values: dict[str, Any]) -> Switch:
    return Switch(**values | {
        "action": SwitchAction(values["action"]), "origin": Origin(values["origin"]), "state": SwitchState(values["state"]),
        "was": SupplyState(values["was"]),
        "holding": _holding(json.loads(values["holding"])) if values["holding"] else None,
        "steps": tuple(Step(bytes.fromhex(one), holder, done) for one, holder, done in json.loads(values["steps"])),
    })


def _holding(row: Sequence[Any]) -> Holding:
    identity, reason, *rest = row
    return Holding(identity, HoldReason(reason), *rest)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
