"""Leaks on disk: opened, brought up to date and closed by the nights, decided by people. Blocking.

A metering point has at most one leak that is not over. A night that is repeated changes nothing.
"""

import json
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import attrs

from scada.commands import Actor
from scada.errors import CommandRejected
from scada.leaks import (
    LONGEST_NOTE,
    MAY_DECIDE,
    RUNNING,
    Flowing,
    Leak,
    LeakChange,
    LeakNight,
    LeakState,
    flowing_from,
    night_from,
    quantity,
    to_json,
)
from scada.site import Medium
from scada.sqlite_file import SqliteFile

FILE: Final = "leaks.sqlite"
VERSION: Final = 1
SYSTEM: Final = "examination"
NIGHTS_KEPT: Final = 92                 # of each leak; what ran before is kept as a sum
GROWN: Final = 1.5                      # times what somebody called usual: then it is new again
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS leak (number INTEGER PRIMARY KEY, point TEXT NOT NULL, medium TEXT NOT NULL, state TEXT NOT NULL,
    opened TEXT NOT NULL, seen TEXT NOT NULL, weight REAL NOT NULL, earlier REAL NOT NULL, accepted REAL,
    flow TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_running ON leak (point) WHERE state <> 'over';
CREATE INDEX IF NOT EXISTS of_point ON leak (point, number);
CREATE INDEX IF NOT EXISTS strongest ON leak (state, weight DESC);
CREATE TABLE IF NOT EXISTS change (number INTEGER PRIMARY KEY, leak INTEGER NOT NULL REFERENCES leak, at INTEGER NOT NULL,
    who TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_leak ON change (leak);
CREATE TABLE IF NOT EXISTS night (one INTEGER PRIMARY KEY CHECK (one = 1), day TEXT NOT NULL, said TEXT NOT NULL);
"""
_COLUMNS: Final = ", ".join(("number", "state", "opened", "seen", "earlier", "accepted", "flow"))


class Leakbook:
    """Any thread may call. `audit` hears of a decision before it is made: `(actor, number, details)`."""

    def __init__(self, path: Path, audit: Callable[[Actor, int, Mapping[str, str]], None]) -> None:
        self._file = SqliteFile(path, "leaks", "the file of leaks", SCHEMA, VERSION)
        self._audit = audit

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    # ------------------------------------------------------------------ ports.Leaks
    def find(
        self, states: Sequence[LeakState], medium: Medium | None = None, first: int = 0, size: int = 50
    ) -> tuple[tuple[Leak, ...], int]:
        where, values = f"state IN ({', '.join('?' * len(states))})", [one.value for one in states]
        if medium is not None:
            where, values = f"{where} AND medium = ?", [*values, medium.value]
        with self._file.read() as database:
            total = database.execute(f"SELECT count(*) FROM leak WHERE {where}", values).fetchone()[0]
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM leak WHERE {where} ORDER BY weight DESC, number LIMIT ? OFFSET ?",
                (*values, size, first),
            ).fetchall()
        return tuple(_leak(row) for row in rows), int(total)

    def one(self, number: int) -> Leak | None:
        with self._file.read() as database:
            return _one(database, number)

    def of_point(self, point: str) -> Leak | None:
        with self._file.read() as database:
            row = database.execute("SELECT max(number) FROM leak WHERE point = ?", (point,)).fetchone()
            return None if row[0] is None else _one(database, row[0])

    def counts(self) -> Mapping[tuple[LeakState, Medium], int]:
        with self._file.read() as database:
            rows = database.execute("SELECT state, medium, count(*) FROM leak GROUP BY state, medium").fetchall()
        return {(LeakState(state), Medium(medium)): int(count) for state, medium, count in rows}

    def night(self) -> LeakNight:
        with self._file.read() as database:
            row = database.execute("SELECT said FROM night").fetchone()
        return night_from(json.loads(row[0])) if row else LeakNight("")

    def decide(
        self, actor: Actor, number: int, was: LeakState | None, state: LeakState, note: str, *, at: int = 0
    ) -> Leak:
        """`at` [ns] is the caller's."""
        if actor.role not in MAY_DECIDE:
            raise CommandRejected([
                f"{actor.name} is {actor.role.value}; only dispatchers, engineers and administrators may decide about leaks"
            ])
        note = note.strip()[:LONGEST_NOTE]
        with self._file.read() as database:
            _possible(database, number, was, state)
        self._audit(actor, number, {"state": state.value, "note": note})    # not under the lock of the file
        with self._file.transaction() as database:
            before = _possible(database, number, was, state)
            accepted = before.flow.rate if state is LeakState.USUAL else math.nan
            database.execute(
                "UPDATE leak SET state = ?, accepted = ? WHERE number = ?", (state.value, _null(accepted), number)
            )
            _enter(database, number, LeakChange(at, actor.name, before.state.value, state.value, note))
            found = _one(database, number)
        assert found is not None
        return found

    # ------------------------------------------------------------------ the examination
    def watched(self) -> frozenset[str]:
        """Metering points with a leak that is not over."""
        with self._file.read() as database:
            return frozenset(row[0] for row in database.execute("SELECT point FROM leak WHERE state <> 'over'"))

    def enter(self, found: Sequence[Flowing], night: LeakNight, at: int) -> None:
        """What the night of a site day came to, in one transaction; it is not made again."""
        with self._file.transaction() as database:
            for flow in found:
                row = database.execute(
                    f"SELECT {_COLUMNS} FROM leak WHERE point = ? AND state <> 'over'", (flow.point,)
                ).fetchone()
                if row is None:
                    if flow.runs:
                        _open(database, flow, night.day, at)
                else:
                    _follow(database, _leak(row), flow, night.day, at)
            said = json.dumps(to_json(night), ensure_ascii=False)
            database.execute("INSERT OR REPLACE INTO night VALUES (1, ?, ?)", (night.day, said))


def _open(database: sqlite3.Connection, flow: Flowing, day: str, at: int) -> None:
    number = database.execute(
        "INSERT INTO leak (point, medium, state, opened, seen, weight, earlier, accepted, flow) "
        "VALUES (?, ?, ?, ?, ?, ?, 0, NULL, ?)",
        (flow.point, flow.medium.value, LeakState.NEW.value, day, day, flow.weight, _text(flow)),
    ).lastrowid
    assert number is not None
    _enter(database, number, LeakChange(at, SYSTEM, "", LeakState.NEW.value))


def _follow(database: sqlite3.Connection, before: Leak, flow: Flowing, day: str, at: int) -> None:
    """A leak that was known: how it goes on, or that it is over."""
    joined, dropped = _joined(before.flow, flow)
    state = before.state
    if flow.stopped and state is not LeakState.USUAL:
        state = LeakState.OVER
    elif state is LeakState.USUAL and flow.runs and flow.rate > GROWN * before.accepted + flow.doubt:
        state = LeakState.NEW
    database.execute(
        "UPDATE leak SET state = ?, seen = ?, weight = ?, earlier = ?, accepted = ?, flow = ? WHERE number = ?",
        (state.value, day, joined.weight, before.earlier + dropped,
         _null(before.accepted if state is LeakState.USUAL else math.nan), _text(joined), before.number),
    )
    if state is not before.state:
        _enter(database, before.number, LeakChange(at, SYSTEM, before.state.value, state.value))


def _joined(before: Flowing, now: Flowing) -> tuple[Flowing, float]:
    """The nights of both, the newer ones where both have them, and what those that are not kept any more came to."""
    first = date.fromisoformat(before.first_day)
    offset = (date.fromisoformat(now.first_day) - first).days
    if offset < 0:                                          # a longer look than before: it knows all of it
        return attrs.evolve(now, since=min(before.since, now.since)), 0.0
    gap = (math.nan,) * max(offset - len(before.nights), 0)
    nights = (*before.nights[:offset], *gap, *now.nights)
    since = min(before.since, now.since) if now.at_least else now.since     # else a night before it fell below
    most = max(len(nights) - NIGHTS_KEPT, 0)
    kept_from = date.fromordinal(first.toordinal() + most).isoformat()
    dropped = quantity(before.first_day, nights, since, kept_from, now.rate) if since < kept_from else 0.0
    rate, weight = (now.rate, now.weight) if math.isfinite(now.rate) else (before.rate, before.weight)
    return attrs.evolve(
        now, since=since, at_least=before.at_least and now.at_least, rate=rate, weight=weight, first_day=kept_from,
        nights=nights[most:],
    ), dropped


def _possible(database: sqlite3.Connection, number: int, was: LeakState | None, state: LeakState) -> Leak:
    found = _one(database, number)
    if found is None:
        raise CommandRejected([f"there is no leak {number}"])
    if state not in RUNNING or state is LeakState.NEW:
        raise CommandRejected([f"nobody decides that a leak is {state.value}: the nights say so"])
    if found.state is LeakState.OVER or (was is not None and found.state is not was) or found.state is state:
        raise CommandRejected([f"leak {number} is {found.state.value} by now: look again"])
    return found


def _enter(database: sqlite3.Connection, number: int, change: LeakChange) -> None:
    database.execute(
        "INSERT INTO change (leak, at, who, before, after, note) VALUES (?, ?, ?, ?, ?, ?)",
        (number, change.at, change.who, change.before, change.after, change.note),
    )


def _one(database: sqlite3.Connection, number: int) -> Leak | None:
    row = database.execute(f"SELECT {_COLUMNS} FROM leak WHERE number = ?", (number,)).fetchone()
    changes = database.execute(
        "SELECT at, who, before, after, note FROM change WHERE leak = ? ORDER BY number", (number,)
    ).fetchall()
    return None if row is None else _leak(row, tuple(LeakChange(*one) for one in changes))


def _leak(row: tuple[int, str, str, str, float, float | None, str], changes: tuple[LeakChange, ...] = ()) -> Leak:
    number, state, opened, seen, earlier, accepted, flow = row
    return Leak(
        number, LeakState(state), opened, seen, flowing_from(json.loads(flow)), earlier,
        math.nan if accepted is None else accepted, changes,
    )


def _text(flow: Flowing) -> str:
    return json.dumps(to_json(flow), ensure_ascii=False)


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None
