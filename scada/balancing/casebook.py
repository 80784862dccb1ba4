"""Case files on disk: opened and brought up to date by the nightly examination, decided by people. Blocking.

A member has at most one open case. An examination that is repeated changes nothing; one that suspects a member whose case
was decided opens another only where it says that it began after the decision.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from scada.cases import LONGEST_NOTE, MAY_DECIDE, OPEN, Case, CaseChange, CaseState, GroupState, Suspicion
from scada.commands import Actor
from scada.errors import CommandRejected
from scada.sqlite_file import SqliteFile

FILE: Final = "cases.sqlite"
VERSION: Final = 1
SYSTEM: Final = "examination"
MOST_STATES: Final = 1_000              # groups not in order that a night keeps, those with the most unassigned first
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "case" (number INTEGER PRIMARY KEY, "group" TEXT NOT NULL, member TEXT NOT NULL,
    state TEXT NOT NULL, opened TEXT NOT NULL, seen TEXT NOT NULL, score REAL NOT NULL, suspicion TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_open ON "case" ("group", member) WHERE state IN ('new', 'inspection');
CREATE INDEX IF NOT EXISTS of_member ON "case" ("group", member);
CREATE INDEX IF NOT EXISTS strongest ON "case" (state, seen DESC, score DESC);
CREATE TABLE IF NOT EXISTS change (number INTEGER PRIMARY KEY, "case" INTEGER NOT NULL REFERENCES "case",
    at INTEGER NOT NULL, day TEXT NOT NULL, who TEXT NOT NULL, before TEXT NOT NULL,
    after TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_case ON change ("case");
CREATE TABLE IF NOT EXISTS night (one INTEGER PRIMARY KEY CHECK (one = 1), day TEXT NOT NULL, states TEXT NOT NULL);
"""
_COLUMNS: Final = ", ".join(("number", "state", "opened", "seen", "suspicion"))


class Casebook:
    """Any thread may call. `audit` hears of a decision before it is made: `(actor, number, details)`."""

    def __init__(self, path: Path, audit: Callable[[Actor, int, Mapping[str, str]], None]) -> None:
        self._file = SqliteFile(path, "cases", "the file of cases", SCHEMA, VERSION)
        self._audit = audit

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    # ------------------------------------------------------------------ ports.Cases
    def find(
        self, states: Sequence[CaseState], first: int = 0, size: int = 50, *, groups: Sequence[str] | None = None,
        members: Sequence[str] | None = None,
    ) -> tuple[tuple[Case, ...], int]:
        where, given = _chosen(groups, members)
        where = f"state IN ({', '.join('?' * len(states))}){where}"
        with self._file.read() as database:
            total = database.execute(f'SELECT count(*) FROM "case" WHERE {where}', (*states, *given)).fetchone()[0]
            rows = database.execute(
                f'SELECT {_COLUMNS} FROM "case" WHERE {where} ORDER BY seen DESC, score DESC, number LIMIT ? OFFSET ?',
                (*states, *given, size, first),
            ).fetchall()
        return tuple(_case(row) for row in rows), int(total)

    def one(self, number: int) -> Case | None:
        with self._file.read() as database:
            return _one(database, number)

    def counts(
        self, *, groups: Sequence[str] | None = None, members: Sequence[str] | None = None
    ) -> Mapping[CaseState, int]:
        where, given = _chosen(groups, members)
        with self._file.read() as database:
            found = dict(database.execute(f'SELECT state, count(*) FROM "case" WHERE true{where} GROUP BY state', given))
        return {state: int(found.get(state.value, 0)) for state in CaseState}

    def night(self) -> tuple[str, tuple[GroupState, ...]]:
        with self._file.read() as database:
            row = database.execute("SELECT day, states FROM night").fetchone()
        return (row[0], tuple(GroupState(*one) for one in _with_nan(row[1]))) if row else ("", ())

    def decide(
        self, actor: Actor, number: int, was: CaseState | None, state: CaseState, note: str, *, at: int = 0, day: str = "",
    ) -> Case:
        """`at` [ns] and the site day of it are the caller's."""
        if actor.role not in MAY_DECIDE:
            said = f"{actor.name} is {actor.role.value}; only engineers and administrators may decide about suspects"
            raise CommandRejected([said])
        note = note.strip()[:LONGEST_NOTE]
        with self._file.read() as database:
            self._possible(database, number, was, state)
        self._audit(actor, number, {"state": state.value, "note": note})    # not under the lock of the file
        with self._file.transaction() as database:
            before = self._possible(database, number, was, state)
            database.execute('UPDATE "case" SET state = ? WHERE number = ?', (state.value, number))
            _enter(database, number, CaseChange(at, actor.name, before.state.value, state.value, note), day)
            found = _one(database, number)
        assert found is not None
        return found

    # ------------------------------------------------------------------ the examination
    def enter(self, suspicions: Sequence[Suspicion], day: str, at: int) -> int:
        """What the examination of a site day says of suspects; returns how many cases it opened. Again is once."""
        opened = 0
        with self._file.transaction() as database:
            for one in suspicions:
                text = json.dumps(one.to_json(), ensure_ascii=False)
                known = database.execute(
                    'UPDATE "case" SET seen = ?, score = ?, suspicion = ? WHERE "group" = ? AND member = ? '
                    "AND state IN ('new', 'inspection')", (day, one.score, text, one.group, one.member),
                ).rowcount
                if known or _decided_since(database, one):
                    continue
                number = database.execute(
                    'INSERT INTO "case" ("group", member, state, opened, seen, score, suspicion) '
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (one.group, one.member, CaseState.NEW.value, day, day, one.score, text),
                ).lastrowid
                assert number is not None
                _enter(database, number, CaseChange(at, SYSTEM, "", CaseState.NEW.value), day)
                opened += 1
        return opened

    def end_night(self, day: str, states: Sequence[GroupState]) -> None:
        """The examination of a site day is over; it is not made again."""
        odd = sorted(
            (one for one in states if one.state not in {"balanced", "technical"}),
            key=lambda one: (one.unassigned != one.unassigned, -one.unassigned, one.group),
        )[:MOST_STATES]
        rows = [(one.group, one.state, None if one.unassigned != one.unassigned else one.unassigned, one.unit, one.hours)
                for one in odd]
        with self._file.transaction() as database:
            database.execute("INSERT OR REPLACE INTO night VALUES (1, ?, ?)", (day, json.dumps(rows)))

    def _possible(self, database: sqlite3.Connection, number: int, was: CaseState | None, state: CaseState) -> Case:
        found = _one(database, number)
        if found is None:
            raise CommandRejected([f"there is no case {number}"])
        if (was is not None and found.state is not was) or found.state is state:
            raise CommandRejected([f"case {number} is {found.state.value} by now: look again"])
        if state in OPEN and found.state not in OPEN and database.execute(
            'SELECT 1 FROM "case" WHERE "group" = ? AND member = ? AND state IN (\'new\', \'inspection\')',
            (found.suspicion.group, found.suspicion.member),
        ).fetchone():
            raise CommandRejected([f"there is a newer open case of {found.suspicion.member}"])
        return found


def _chosen(groups: Sequence[str] | None, members: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """Conditions, and what they are given: lists as JSON, for there may be more names than a statement has places."""
    named = {'"group"': groups, "member": members}
    chosen = {column: json.dumps(list(names)) for column, names in named.items() if names is not None}
    return "".join(f" AND {column} IN (SELECT value FROM json_each(?))" for column in chosen), tuple(chosen.values())


def _decided_since(database: sqlite3.Connection, one: Suspicion) -> bool:
    """Whether somebody has decided about this member since the day from which he is suspected now."""
    row = database.execute(
        'SELECT max(change.day) FROM change JOIN "case" ON "case".number = change."case" WHERE "group" = ? AND member = ? '
        "AND after IN ('confirmed', 'cleared')", (one.group, one.member),
    ).fetchone()
    return row[0] is not None and one.since <= row[0]


def _enter(database: sqlite3.Connection, number: int, change: CaseChange, day: str) -> None:
    database.execute(
        'INSERT INTO change ("case", at, day, who, before, after, note) VALUES (?, ?, ?, ?, ?, ?, ?)',
        (number, change.at, day, change.who, change.before, change.after, change.note),
    )


def _one(database: sqlite3.Connection, number: int) -> Case | None:
    row = database.execute(f'SELECT {_COLUMNS} FROM "case" WHERE number = ?', (number,)).fetchone()
    changes = database.execute(
        'SELECT at, who, before, after, note FROM change WHERE "case" = ? ORDER BY number', (number,)
    ).fetchall()
    return None if row is None else _case(row, tuple(CaseChange(*one) for one in changes))


def _case(row: tuple[int, str, str, str, str], changes: tuple[CaseChange, ...] = ()) -> Case:
    number, state, opened, seen, suspicion = row
    return Case(number, CaseState(state), opened, seen, Suspicion.from_json(json.loads(suspicion)), changes)


def _with_nan(text: str) -> list[tuple[str, str, float, str, int]]:
    return [(group, state, float("nan") if left is None else left, unit, hours)
            for group, state, left, unit, hours in json.loads(text)]
