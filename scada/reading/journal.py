"""The memory of reads on disk: a task is written here before anything of it is sent, and read back after a restart.

SQLite with synchronous=FULL; called in worker threads only, one call at a time. One key of one person can become one
task for ever: the database says so too (a unique index), not only the service.
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from scada.commands import Origin
from scada.reads import OVER, ChannelReading, ReadMember, ReadPriority, ReadShare, ReadState, ReadTask
from scada.sqlite_file import SqliteFile

VERSION: Final = 1
KEPT: Final = 10_000                    # finished tasks on disk
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS task (
    id TEXT PRIMARY KEY, "key" TEXT NOT NULL, actor TEXT NOT NULL, origin TEXT NOT NULL, asked TEXT NOT NULL,
    priority INTEGER NOT NULL, made INTEGER NOT NULL, deadline INTEGER NOT NULL, over INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS task_made ON task (made);
CREATE UNIQUE INDEX IF NOT EXISTS task_key ON task (actor, "key") WHERE "key" != '';
CREATE TABLE IF NOT EXISTS share (
    read_id BLOB PRIMARY KEY, task TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE, place INTEGER NOT NULL,
    concentrator TEXT NOT NULL, link_id INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    sent INTEGER NOT NULL, last_part INTEGER NOT NULL, reason TEXT NOT NULL, parts TEXT NOT NULL, members TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS share_task ON share (task, place);
"""
TASK: Final = ("id", "key", "actor", "origin", "asked", "priority", "made", "deadline")
SHARE: Final = (
    "read_id", "concentrator", "link_id", "state", "attempts", "sent", "last_part", "reason", "parts", "members",
)


class Journal:
    """All methods block."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, "reading", "the journal of reads", SCHEMA, VERSION, foreign_keys=True)

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def save(self, items: Sequence[tuple[ReadTask, Sequence[ReadShare]]]) -> None:
        """Write shares, and their tasks, as they are now; durable when this returns. Raises `StorageError`."""
        columns = (*SHARE, "task", "place")
        with self._file.transaction() as database:
            for task, shares in items:
                head = tuple(getattr(task, column) for column in TASK)
                database.execute(
                    f"INSERT INTO task ({_names((*TASK, 'over'))}) VALUES ({_marks(len(TASK) + 1)})"
                    " ON CONFLICT (id) DO UPDATE SET over = excluded.over",
                    (*head, int(task.state in OVER)),
                )
                places = {share.read_id: place for place, share in enumerate(task.shares)}
                database.executemany(
                    f"INSERT INTO share ({_names(columns)}) VALUES ({_marks(len(columns))}) ON CONFLICT (read_id) DO UPDATE"
                    " SET state = excluded.state, attempts = excluded.attempts, sent = excluded.sent,"
                    " last_part = excluded.last_part, reason = excluded.reason, parts = excluded.parts,"
                    " members = excluded.members",
                    [(*_row(share), task.id, places[share.read_id]) for share in shares],
                )

    def load(self, newest: int) -> tuple[ReadTask, ...]:
        """All tasks that are not over and the newest that are, oldest first; what is older than `KEPT` is dropped."""
        with self._file.transaction() as database:
            database.execute(
                "DELETE FROM task WHERE over AND id NOT IN (SELECT id FROM task WHERE over ORDER BY made DESC LIMIT ?)",
                (KEPT,),
            )
            rows = database.execute(
                f"SELECT {_names(TASK)} FROM task WHERE NOT over"
                " OR id IN (SELECT id FROM task WHERE over ORDER BY made DESC LIMIT ?) ORDER BY made, id",
                (newest,),
            ).fetchall()
            return tuple(_task(database, row) for row in rows)

    def find(self, task_id: str) -> ReadTask | None:
        """A task by its id, however old."""
        return self._one("id = ?", (task_id,))

    def of_key(self, actor: str, key: str) -> ReadTask | None:
        """The task that a person's key has become."""
        return self._one('actor = ? AND "key" = ?', (actor, key))

    def _one(self, where: str, values: tuple[str, ...]) -> ReadTask | None:
        with self._file.read() as database:
            row = database.execute(f"SELECT {_names(TASK)} FROM task WHERE {where}", values).fetchone()
            return None if row is None else _task(database, row)


def _row(share: ReadShare) -> tuple[Any, ...]:
    members = [
        [f"{one.eui:016x}", one.index, one.device, one.title, one.reason, [attrs.astuple(came) for came in one.readings]]
        for one in share.members
    ]
    values = {"parts": json.dumps(share.parts), "members": json.dumps(members, ensure_ascii=False, separators=(",", ":"))}
    return tuple(values[column] if column in values else getattr(share, column) for column in SHARE)


def _task(database: sqlite3.Connection, row: tuple[Any, ...]) -> ReadTask:
    head: dict[str, Any] = dict(zip(TASK, row, strict=True))
    found = database.execute(f"SELECT {_names(SHARE)} FROM share WHERE task = ? ORDER BY place", (head["id"],))
    head |= {"origin": Origin(head["origin"]), "priority": ReadPriority(head["priority"])}
    return ReadTask(**head, shares=tuple(_share(dict(zip(SHARE, one, strict=True))) for one in found))


def _share(values: dict[str, Any]) -> ReadShare:
    members = tuple(
        ReadMember(int(eui, 16), index, device, title, tuple(ChannelReading(*one) for one in readings), reason)
        for eui, index, device, title, reason, readings in json.loads(values["members"])
    )
    parts = tuple(json.loads(values["parts"]))
    return ReadShare(**values | {"state": ReadState(values["state"]), "parts": parts, "members": members})


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
