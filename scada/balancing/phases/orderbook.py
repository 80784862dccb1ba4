"""Work orders for moves on disk: kept when somebody orders them, with what became of them. Blocking."""

import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from scada.commands import Actor
from scada.errors import CommandRejected
from scada.phase_orders import LONGEST_NOTE, MAY_ORDER, OrderChange, OrderState, PhaseOrder, Proposal
from scada.sqlite_file import SqliteFile

FILE: Final = "phase_orders.sqlite"
VERSION: Final = 1
MOST_LISTED: Final = 200                # of a group, the newest ones
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "order" (number INTEGER PRIMARY KEY, "group" TEXT NOT NULL, state TEXT NOT NULL,
    made INTEGER NOT NULL, done_on TEXT NOT NULL, proposal TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_group ON "order" ("group", number DESC);
CREATE TABLE IF NOT EXISTS change (number INTEGER PRIMARY KEY, "order" INTEGER NOT NULL REFERENCES "order",
    at INTEGER NOT NULL, who TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_order ON change ("order");
"""
_COLUMNS: Final = ", ".join(("number", '"group"', "state", "made", "done_on", "proposal"))


class OrderBook:
    """Any thread may call. `audit` hears of an order before it is kept or changed: `(actor, action, target, details)`."""

    def __init__(self, path: Path, audit: Callable[[Actor, str, str, Mapping[str, str]], None]) -> None:
        self._file = SqliteFile(path, "phase orders", "the file of work orders", SCHEMA, VERSION)
        self._audit = audit

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def of(self, group: str | None = None) -> tuple[PhaseOrder, ...]:
        """Newest first."""
        where, of = ('WHERE "group" = ? ', (group,)) if group is not None else ("", ())
        with self._file.read() as database:
            rows = database.execute(
                f'SELECT {_COLUMNS} FROM "order" {where}ORDER BY number DESC LIMIT {MOST_LISTED}', of).fetchall()
        return tuple(_order(row) for row in rows)

    def one(self, number: int) -> PhaseOrder | None:
        with self._file.read() as database:
            return _one(database, number)

    def keep(self, actor: Actor, group: str, proposal: Proposal, at: int) -> PhaseOrder:
        """Keep a proposal as an open order; one of the same moves that is open already is returned as it is."""
        _may(actor)
        if not proposal.moves:
            raise CommandRejected(["there is nothing to be moved"])
        moves = [(one.point, one.of, one.to) for one in proposal.moves]
        for known in self.of(group):
            if known.state is OrderState.OPEN and [(one.point, one.of, one.to) for one in known.proposal.moves] == moves:
                return known
        self._audit(actor, "phase_order.keep", group, {"moves": ", ".join(f"{p} {a}-{b}" for p, a, b in moves)})
        with self._file.transaction() as database:
            number = database.execute(
                'INSERT INTO "order" ("group", state, made, done_on, proposal) VALUES (?, ?, ?, ?, ?)',
                (group, OrderState.OPEN.value, at, "", proposal.to_json()),
            ).lastrowid
            assert number is not None
            _enter(database, number, OrderChange(at, actor.name, "", OrderState.OPEN.value))
            found = _one(database, number)
        assert found is not None
        return found

    def settle(
        self, actor: Actor, number: int, was: OrderState | None, state: OrderState, note: str, *, at: int, today: str,
        day: str = "",
    ) -> PhaseOrder:
        """Say what became of an order: done on a site day, by default `today`, withdrawn, or open again."""
        _may(actor)
        day, note = (day or today) if state is OrderState.DONE else "", note.strip()[:LONGEST_NOTE]
        if day and (DAY.fullmatch(day) is None or day > today):
            raise CommandRejected([f"{day!r} is no day up to today, {today}"])
        with self._file.read() as database:
            _possible(database, number, was)
        self._audit(actor, "phase_order.settle", str(number), {"state": state.value, "day": day, "note": note})
        with self._file.transaction() as database:
            before = _possible(database, number, was)
            database.execute('UPDATE "order" SET state = ?, done_on = ? WHERE number = ?', (state.value, day, number))
            _enter(database, number, OrderChange(at, actor.name, before.state.value, state.value, note))
            found = _one(database, number)
        assert found is not None
        return found


# ---------------------------------------------------------------------- private
def _may(actor: Actor) -> None:
    if actor.role not in MAY_ORDER:
        raise CommandRejected([f"{actor.name} is {actor.role.value}; only engineers and administrators may order moves"])


def _possible(database: sqlite3.Connection, number: int, was: OrderState | None) -> PhaseOrder:
    found = _one(database, number)
    if found is None:
        raise CommandRejected([f"there is no work order {number}"])
    if was is not None and found.state is not was:
        raise CommandRejected([f"work order {number} is {found.state.value} by now: look again"])
    return found


def _enter(database: sqlite3.Connection, number: int, change: OrderChange) -> None:
    database.execute(
        'INSERT INTO change ("order", at, who, before, after, note) VALUES (?, ?, ?, ?, ?, ?)',
        (number, change.at, change.who, change.before, change.after, change.note),
    )


def _one(database: sqlite3.Connection, number: int) -> PhaseOrder | None:
    row = database.execute(f'SELECT {_COLUMNS} FROM "order" WHERE number = ?', (number,)).fetchone()
    changes = database.execute(
        'SELECT at, who, before, after, note FROM change WHERE "order" = ? ORDER BY number', (number,)).fetchall()
    return None if row is None else _order(row, tuple(OrderChange(*one) for one in changes))


def _order(row: tuple[int, str, str, int, str, str], changes: tuple[OrderChange, ...] = ()) -> PhaseOrder:
    number, group, state, made, done_on, proposal = row
    return PhaseOrder(number, group, OrderState(state), made, done_on, Proposal.from_json(proposal), changes)
