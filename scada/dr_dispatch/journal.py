"""The desk's memory on disk: a command is written here before anything of it is sent, and read back after a restart.

SQLite with synchronous=FULL; called in worker threads only, one call at a time. One selection can become one command
for ever: the database says so too (a unique column), not only the desk.
"""

import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from scada.commands import Action, CommandState, Effect, EffectState, LoadClass, Member, MemberState, Origin
from scada.dr_dispatch.command import Command, Progress
from scada.errors import StartError, StorageError

VERSION: Final = 2
PRUNED_AT_ONCE: Final = 50              # commands deleted in one transaction: others wait for the disk too
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS command (
    id BLOB PRIMARY KEY, selection TEXT NOT NULL UNIQUE, action INTEGER NOT NULL, "group" TEXT NOT NULL,
    number INTEGER NOT NULL, epoch INTEGER NOT NULL, load_class INTEGER NOT NULL, area TEXT NOT NULL,
    actor TEXT NOT NULL, origin TEXT NOT NULL, off_for_s INTEGER NOT NULL, not_after INTEGER NOT NULL,
    made INTEGER NOT NULL, jitter_s INTEGER NOT NULL, repeat INTEGER NOT NULL, monitor_only INTEGER NOT NULL,
    reason TEXT NOT NULL, state TEXT NOT NULL, restores BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS command_made ON command (made);
CREATE TABLE IF NOT EXISTS member (
    command BLOB NOT NULL REFERENCES command (id), eui TEXT NOT NULL, place INTEGER NOT NULL,
    device TEXT NOT NULL, concentrator TEXT NOT NULL, link_id INTEGER NOT NULL, "index" INTEGER NOT NULL,
    title TEXT NOT NULL, load_class INTEGER NOT NULL, rated_w REAL NOT NULL, obstacle TEXT NOT NULL,
    state INTEGER NOT NULL, reason TEXT NOT NULL, changed INTEGER NOT NULL, executed INTEGER NOT NULL,
    manual INTEGER NOT NULL, boot INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, tried INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (command, eui)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effect (
    command BLOB NOT NULL REFERENCES command (id), transformer TEXT NOT NULL, state TEXT NOT NULL, shed_w REAL,
    uncertainty_w REAL, expected_w REAL, before_w REAL, after_w REAL, at INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (command, transformer)
) WITHOUT ROWID;
"""
MIGRATION_2: Final = """
ALTER TABLE member ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN tried INTEGER NOT NULL DEFAULT 0;
"""
COMMAND_COLUMNS: Final = tuple(field.name for field in attrs.fields(Command) if field.name not in ("members", "effects"))
MEMBER_COLUMNS: Final = tuple(field.name for field in attrs.fields(Member))
PROGRESS_COLUMNS: Final = tuple(field.name for field in attrs.fields(Progress) if field.name != "member")
EFFECT_COLUMNS: Final = tuple(field.name for field in attrs.fields(Effect))


class Journal:
    """All methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA foreign_keys=ON")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, 1, VERSION):
                raise StartError("dispatch", f"{self._path} was written by another version ({version})", "use that version")
            steps = MIGRATION_2 if version == 1 else ""
            database.executescript(f"BEGIN; {SCHEMA} {steps} PRAGMA user_version={VERSION}; COMMIT;")
        except (OSError, sqlite3.Error) as error:
            remedy = "check the disk and its rights"
            raise StartError("dispatch", f"{self._path} cannot be opened: {error}", remedy) from None
        self._database = database

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def save(self, command: Command) -> None:
        """Write a command as it is now; durable when this returns. Raises `StorageError`."""
        row = _row(command, COMMAND_COLUMNS)
        members = [
            (command.id, _hex(one.member.eui), place, *_row(one.member, MEMBER_COLUMNS[1:]), *_row(one, PROGRESS_COLUMNS))
            for place, one in enumerate(command.members)
        ]
        with self._transaction() as database:
            database.execute(
                f"INSERT INTO command ({_names(COMMAND_COLUMNS)}) VALUES ({_marks(len(row))})"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state",
                row,
            )
            columns = ("command", "eui", "place", *MEMBER_COLUMNS[1:], *PROGRESS_COLUMNS)
            database.executemany(
                f"INSERT INTO member ({_names(columns)}) VALUES ({_marks(len(columns))}) ON CONFLICT (command, eui) DO"
                " UPDATE SET state = excluded.state, reason = excluded.reason, changed = excluded.changed,"
                " executed = excluded.executed, tries = excluded.tries, tried = excluded.tried",
                members,
            )
            database.executemany(
                f"INSERT OR REPLACE INTO effect (command, {_names(EFFECT_COLUMNS)})"
                f" VALUES ({_marks(1 + len(EFFECT_COLUMNS))})",
                [(command.id, *_row(one, EFFECT_COLUMNS)) for one in command.effects],  # SQLite keeps NaN as NULL
            )

    def prune(self, before: int) -> int:
        """Delete a few commands that are over and were made before a time [ns]; how many went.

        What is live stays, and so does a shed whose restore is live: its members are still followed.
        """
        over = (CommandState.CLOSED, CommandState.FAILED)
        with self._transaction() as database:
            old = database.execute(
                "SELECT id FROM command WHERE made < ? AND state IN (?, ?) AND id NOT IN"
                " (SELECT restores FROM command WHERE state NOT IN (?, ?)) ORDER BY made LIMIT ?",
                (before, *over, *over, PRUNED_AT_ONCE),
            ).fetchall()
            for table in ("effect", "member"):
                database.executemany(f"DELETE FROM {table} WHERE command = ?", old)
            database.executemany("DELETE FROM command WHERE id = ?", old)
        return len(old)

    def load(self, since: int, at_least: int) -> tuple[Command, ...]:
        """Commands made since `since` [ns], the newest `at_least` in any case, and all that are not over; oldest first."""
        over = (CommandState.CLOSED, CommandState.FAILED)
        with self._transaction() as database:
            rows = database.execute(
                f"SELECT {_names(COMMAND_COLUMNS)} FROM command WHERE made >= ? OR state NOT IN (?, ?)"
                " OR id IN (SELECT id FROM command ORDER BY made DESC LIMIT ?) ORDER BY made",
                (since, *over, at_least),
            ).fetchall()
            return tuple(self._command(database, row) for row in rows)

    def of_selection(self, selection: str) -> Command | None:
        """The command a selection has become, however long ago."""
        with self._transaction() as database:
            row = database.execute(
                f"SELECT {_names(COMMAND_COLUMNS)} FROM command WHERE selection = ?", (selection,)
            ).fetchone()
            return None if row is None else self._command(database, row)

    def _command(self, database: sqlite3.Connection, row: tuple[Any, ...]) -> Command:
        values: dict[str, Any] = dict(zip(COMMAND_COLUMNS, row, strict=True))
        columns = (*MEMBER_COLUMNS, *PROGRESS_COLUMNS)
        members = []
        for found in database.execute(
            f"SELECT {_names(columns)} FROM member WHERE command = ? ORDER BY place", (values["id"],)
        ):
            of_member = dict(zip(MEMBER_COLUMNS, found, strict=False))
            of_progress = dict(zip(PROGRESS_COLUMNS, found[len(MEMBER_COLUMNS) :], strict=True))
            of_member |= {"eui": int(of_member["eui"], 16), "load_class": LoadClass(of_member["load_class"])}
            of_progress |= {"state": MemberState(of_progress["state"]), "manual": bool(of_progress["manual"])}
            members.append(Progress(member=Member(**of_member), **of_progress))
        return Command(
            **values
            | {
                "action": Action(values["action"]),
                "load_class": LoadClass(values["load_class"]),
                "origin": Origin(values["origin"]),
                "state": CommandState(values["state"]),
                "monitor_only": bool(values["monitor_only"]),
                "members": tuple(members),
                "effects": _effects(database, values["id"]),
            }
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._database is None:
                raise StorageError("the command journal is closed")
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise StorageError(f"the command journal {self._path} cannot be used: {error}") from None
            finally:
                if self._database.in_transaction:       # something above failed, a COMMIT on a full disk included
                    self._database.execute("ROLLBACK")


def _effects(database: sqlite3.Connection, identity: bytes) -> tuple[Effect, ...]:
    found = []
    for row in database.execute(
        f"SELECT {_names(EFFECT_COLUMNS)} FROM effect WHERE command = ? ORDER BY transformer", (identity,)
    ):
        known = (math.nan if value is None else value for value in row)
        values: dict[str, Any] = dict(zip(EFFECT_COLUMNS, known, strict=True))
        found.append(Effect(**values | {"state": EffectState(values["state"])}))
    return tuple(found)


def _hex(eui: int) -> str:
    """EUIs as text: SQLite's integers are signed."""
    return f"{eui:016x}"


def _row(value: object, columns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(value, column) for column in columns)


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
