"""The desk's memory on disk: a command is written here before anything of it is sent, and read back after a restart.

SQLite with synchronous=FULL; called in worker threads only, one call at a time. One selection can become one command
for ever: the database says so too (a unique column), not only the desk.
"""

import math
import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import attrs

from scada.commands import Action, CommandState, Effect, EffectState, LoadClass, Member, MemberState, Origin
from scada.dr_dispatch.blobs import packed, part_of, press, roll_from, share_from
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.members import Members, Progress, Share, members_of
from scada.dr_dispatch.outages import terms
from scada.dr_dispatch.roll import Roll
from scada.sqlite_file import SqliteFile

VERSION: Final = 3
PRUNED_AT_ONCE: Final = 50              # commands deleted in one transaction: others wait for the disk too
ROLLS_KEPT: Final = 8                   # rolls whose parts are known to be written
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS command (
    id BLOB PRIMARY KEY, selection TEXT NOT NULL UNIQUE, action INTEGER NOT NULL, "group" TEXT NOT NULL,
    number INTEGER NOT NULL, epoch INTEGER NOT NULL, load_class INTEGER NOT NULL, area TEXT NOT NULL,
    actor TEXT NOT NULL, origin TEXT NOT NULL, off_for_s INTEGER NOT NULL, not_after INTEGER NOT NULL,
    made INTEGER NOT NULL, jitter_s INTEGER NOT NULL, repeat INTEGER NOT NULL, monitor_only INTEGER NOT NULL,
    reason TEXT NOT NULL, state TEXT NOT NULL, restores BLOB NOT NULL, level_w INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS command_made ON command (made);
CREATE TABLE IF NOT EXISTS roll (name BLOB PRIMARY KEY, members BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS share (
    command BLOB NOT NULL REFERENCES command (id), place INTEGER NOT NULL, roll BLOB NOT NULL REFERENCES roll (name),
    boot INTEGER NOT NULL, down INTEGER NOT NULL, progress BLOB NOT NULL, PRIMARY KEY (command, place)
);
CREATE TABLE IF NOT EXISTS effect (
    command BLOB NOT NULL REFERENCES command (id), transformer TEXT NOT NULL, state TEXT NOT NULL, shed_w REAL,
    uncertainty_w REAL, expected_w REAL, before_w REAL, after_w REAL, at INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (command, transformer)
) WITHOUT ROWID;
"""
COMMAND_COLUMNS: Final = tuple(field.name for field in attrs.fields(Command) if field.name not in ("members", "effects"))
MEMBER_COLUMNS: Final = tuple(field.name for field in attrs.fields(Member))
PROGRESS_COLUMNS: Final = tuple(field.name for field in attrs.fields(Progress) if field.name != "member")
EFFECT_COLUMNS: Final = tuple(field.name for field in attrs.fields(Effect))


class Journal:
    """All methods block."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(
            path, "dispatch", "the command journal", SCHEMA, VERSION, upgrades={1: _gather, 2: _gather}, foreign_keys=True
        )
        self._saved: dict[bytes, tuple[Share, ...]] = {}    # of live commands, as they are on disk
        self._rolls: OrderedDict[int, tuple[object, list[bytes]]] = OrderedDict()  # names of parts that are on disk

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def prepare(self, roll: Roll) -> None:
        """Write who the members of a command to come are: it is the greater part of it, and does not change."""
        with self._file.transaction() as database:
            names = self._names_of(database, roll)
        self._know(roll, names)

    def save(self, command: Command) -> None:
        """Write a command as it is now; durable when this returns. Raises `StorageError`."""
        row = _row(command, COMMAND_COLUMNS)
        with self._file.transaction() as database:
            database.execute(
                f"INSERT INTO command ({_names(COMMAND_COLUMNS)}) VALUES ({_marks(len(row))})"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state",
                row,
            )
            names = self._save_members(database, command)
            database.executemany(
                f"INSERT OR REPLACE INTO effect (command, {_names(EFFECT_COLUMNS)})"
                f" VALUES ({_marks(1 + len(EFFECT_COLUMNS))})",
                [(command.id, *_row(one, EFFECT_COLUMNS)) for one in command.effects],  # SQLite keeps NaN as NULL
            )
        self._know(command.members.roll, names)
        if command.live:
            self._saved[command.id] = command.members.shares
        else:
            self._saved.pop(command.id, None)

    def _save_members(self, database: sqlite3.Connection, command: Command) -> list[bytes]:
        """Those concentrators of it that have changed since; each member stands in one blob."""
        members, pressed = command.members, press()
        names = self._names_of(database, members.roll)
        saved = self._saved.get(command.id, (None,) * len(members.shares))
        blobs: dict[int, bytes] = {}
        rows = []
        for place, (share, was) in enumerate(zip(members.shares, saved, strict=True)):
            if share is not was:
                if id(share) not in blobs:
                    blobs[id(share)] = packed(share, pressed)
                down = place in members.roll.down
                rows.append((command.id, place, names[place], members.boots[place], down, blobs[id(share)]))
        database.executemany(
            "INSERT INTO share (command, place, roll, boot, down, progress) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (command, place) DO UPDATE SET progress = excluded.progress",
            rows,
        )
        return names

    def _names_of(self, database: sqlite3.Connection, roll: Roll) -> list[bytes]:
        """Of the parts of a roll, by concentrator; written where they are not there yet."""
        if id(roll.eui) in self._rolls:
            return self._rolls[id(roll.eui)][1]
        pressed = press()
        parts = [part_of(roll, place, pressed) for place in range(len(roll.links))]
        database.executemany(
            "INSERT OR IGNORE INTO roll (name, members) VALUES (?, ?)", [(one.name, one.blob) for one in parts]
        )
        return [one.name for one in parts]

    def _know(self, roll: Roll, names: list[bytes]) -> None:
        self._rolls[id(roll.eui)] = roll.eui, names         # held, so that no other has its id
        if len(self._rolls) > ROLLS_KEPT:
            self._rolls.popitem(last=False)

    def prune(self, before: int) -> int:
        """Delete a few commands that are over and were made before a time [ns]; how many went.

        What is live stays, and so does a shed whose restore is live: its members are still followed.
        """
        over = (CommandState.CLOSED, CommandState.FAILED)
        with self._file.transaction() as database:
            old = database.execute(
                "SELECT id FROM command WHERE made < ? AND state IN (?, ?) AND id NOT IN"
                " (SELECT restores FROM command WHERE state NOT IN (?, ?)) ORDER BY made LIMIT ?",
                (before, *over, *over, PRUNED_AT_ONCE),
            ).fetchall()
            for table in ("effect", "share"):
                database.executemany(f"DELETE FROM {table} WHERE command = ?", old)
            database.executemany("DELETE FROM command WHERE id = ?", old)
            if 0 < len(old) < PRUNED_AT_ONCE:               # the last of them
                database.execute("DELETE FROM roll WHERE name NOT IN (SELECT roll FROM share)")
                self._rolls.clear()
        return len(old)

    def load(self, since: int, at_least: int) -> tuple[Command, ...]:
        """Commands made since `since` [ns], the newest `at_least` in any case, and all that are not over; oldest first."""
        over = (CommandState.CLOSED, CommandState.FAILED)
        with self._file.read() as database:
            rows = database.execute(
                f"SELECT {_names(COMMAND_COLUMNS)} FROM command WHERE made >= ? OR state NOT IN (?, ?)"
                " OR id IN (SELECT id FROM command ORDER BY made DESC LIMIT ?) ORDER BY made",
                (since, *over, at_least),
            ).fetchall()
            rolls: dict[tuple[bytes, ...], Roll] = {}
            return tuple(self._command(database, row, rolls) for row in rows)

    def of_selection(self, selection: str) -> Command | None:
        """The command a selection has become, however long ago."""
        with self._file.read() as database:
            row = database.execute(
                f"SELECT {_names(COMMAND_COLUMNS)} FROM command WHERE selection = ?", (selection,)
            ).fetchone()
            return None if row is None else self._command(database, row, {})

    def _command(
        self, database: sqlite3.Connection, row: tuple[Any, ...], rolls: dict[tuple[bytes, ...], Roll]
    ) -> Command:
        values: dict[str, Any] = dict(zip(COMMAND_COLUMNS, row, strict=True))
        rows = database.execute(
            "SELECT share.boot, share.down, share.progress, roll.name, roll.members FROM share"
            " JOIN roll ON roll.name = share.roll WHERE share.command = ? ORDER BY share.place", (values["id"],)
        ).fetchall()
        names = tuple(row[3] for row in rows)
        roll = rolls.get(names)
        if roll is None:
            roll = rolls[names] = roll_from([row[4] for row in rows])
            self._know(roll, list(names))
        roll = roll.seen(frozenset(place for place, row in enumerate(rows) if row[1]))
        alike: dict[bytes, Share] = {}
        for row in rows:
            if row[2] not in alike:
                alike[row[2]] = share_from(row[2])
        members = Members(roll, tuple(alike[row[2]] for row in rows), tuple(row[0] for row in rows))
        command = Command(
            **values
            | {
                "action": Action(values["action"]),
                "load_class": LoadClass(values["load_class"]),
                "origin": Origin(values["origin"]),
                "state": CommandState(values["state"]),
                "monitor_only": bool(values["monitor_only"]),
                "members": members,
                "effects": _effects(database, values["id"]),
            }
        )
        if command.live:
            members.times(terms(command))                   # here, in a thread, and not when the loop asks first
            self._saved[command.id] = members.shares
        return command


def _effects(database: sqlite3.Connection, identity: bytes) -> tuple[Effect, ...]:
    found = []
    for row in database.execute(
        f"SELECT {_names(EFFECT_COLUMNS)} FROM effect WHERE command = ? ORDER BY transformer", (identity,)
    ):
        known = (math.nan if value is None else value for value in row)
        values: dict[str, Any] = dict(zip(EFFECT_COLUMNS, known, strict=True))
        found.append(Effect(**values | {"state": EffectState(values["state"])}))
    return tuple(found)


def _gather(database: sqlite3.Connection) -> None:
    """What an earlier version wrote as a row for each member, as blobs; it knew no limits either."""
    database.execute("ALTER TABLE command ADD COLUMN level_w INTEGER NOT NULL DEFAULT 0")
    there = {row[1] for row in database.execute("PRAGMA table_info(member)")}       # the first version knew no tries
    columns = (*MEMBER_COLUMNS, *(name for name in PROGRESS_COLUMNS if name in there))
    for (identity,) in database.execute("SELECT id FROM command").fetchall():
        found = database.execute(
            f"SELECT {_names(columns)} FROM member WHERE command = ? ORDER BY place", (identity,)
        ).fetchall()
        members = members_of(_progress(dict(zip(columns, row, strict=True))) for row in found)
        pressed = press()
        for place, share in enumerate(members.shares):
            part = part_of(members.roll, place, pressed)
            database.execute("INSERT OR IGNORE INTO roll (name, members) VALUES (?, ?)", (part.name, part.blob))
            database.execute(
                "INSERT INTO share (command, place, roll, boot, down, progress) VALUES (?, ?, ?, ?, 0, ?)",
                (identity, place, part.name, members.boots[place], packed(share, pressed)),
            )
    database.execute("DROP TABLE member")


def _progress(row: dict[str, Any]) -> Progress:
    """A member as an earlier version had it; EUIs were text there."""
    member = {name: row[name] for name in MEMBER_COLUMNS}
    member |= {"eui": int(member["eui"], 16), "load_class": LoadClass(member["load_class"])}
    progress = {name: value for name, value in row.items() if name not in MEMBER_COLUMNS}
    progress |= {"state": MemberState(progress["state"]), "manual": bool(progress["manual"])}
    return Progress(member=Member(**member), **progress)


def _row(value: object, columns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(value, column) for column in columns)


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
