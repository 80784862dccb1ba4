"""Events as rows of SQLite: a series is (stream, source, kind, state), and an event is one instant of it, kept once.

Each event has a number that grows, also over files: a fresh or a restored file begins above all numbers that any file of
this history ever gave, so that a number says what a destination has. It also has a time in ms that no other event of its
series has, for stores that keep one point a series and time.
"""

import json
import sqlite3
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from scada.events import KeptEvent, Stream, device_of
from scada.historian.database import DamagedFile, naming, open_writer, transaction
from scada.ports import EventPage, EventsWanted

EVENT_FILE: Final = "events.sqlite"
ALARMS: Final = "alarms"                # fact: the last change of an alarm that was taken over [ns]
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS source(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, device TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS source_device ON source(device);
CREATE TABLE IF NOT EXISTS series(number INTEGER PRIMARY KEY, stream TEXT NOT NULL, source INTEGER NOT NULL,
    kind TEXT NOT NULL, state TEXT NOT NULL, UNIQUE(source, kind, state, stream));
CREATE TABLE IF NOT EXISTS event(number INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL,
    sequence INTEGER NOT NULL, at INTEGER NOT NULL, time_good INTEGER NOT NULL, received INTEGER NOT NULL,
    severity TEXT NOT NULL, value REAL, bound REAL, unit TEXT NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL,
    moment INTEGER NOT NULL, point INTEGER NOT NULL, crc INTEGER NOT NULL,
    UNIQUE(series, sequence, at), UNIQUE(series, point));
CREATE INDEX IF NOT EXISTS event_moment ON event(moment);
CREATE INDEX IF NOT EXISTS event_series ON event(series, moment);
CREATE TABLE IF NOT EXISTS fact(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_SAID: Final = "sequence, at, time_good, received, severity, value, bound, unit, text, author"
ROW: Final = f"event.number, point, crc, stream, source.name, kind, state, {_SAID}"
FROM: Final = (                         # in this order: an event is found first, its names after it
    "event CROSS JOIN series ON series.number = event.series CROSS JOIN source ON source.number = series.source"
)
MANY: Final = 20                        # one series in so many: then it is no use to look for them one by one
_KNOWN: Final = (
    "SELECT series.number FROM source CROSS JOIN series ON series.source = source.number "
    "WHERE name = ? AND kind = ? AND state = ? AND stream = ?"
)
_MARKS: Final = ", ".join("?" * 14)
_BEGIN: Final = (
    "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'event'",
    "INSERT INTO sqlite_sequence(name, seq) SELECT 'event', ?1 WHERE NOT EXISTS "
    "(SELECT 1 FROM sqlite_sequence WHERE name = 'event')",
)


def open_events(path: Path) -> sqlite3.Connection:
    """The writing connection; raises `DamagedFile`."""
    with naming(path):
        database = open_writer(path, _SCHEMA)
        if database.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'event'").fetchone() is None:
            begin_numbers(database)
        return database


def begin_numbers(database: sqlite3.Connection) -> None:
    """Let numbers begin at the milliseconds since 1970: events are rarer than that, so they lie above all given before."""
    for statement in _BEGIN:
        database.execute(statement, (time.time_ns() // 1_000_000,))


def store_events(database: sqlite3.Connection, events: Iterable[KeptEvent]) -> int:
    """Put what is not there, inside a transaction; returns how many were new."""
    known: dict[tuple[str, str, str, str], int] = {}
    new = 0
    for event in events:
        key = event.source, event.kind, event.state, str(event.stream)
        if key not in known:
            known[key] = _series(database, key)
        series = known[key]
        if database.execute(
            "SELECT 1 FROM event WHERE series = ? AND sequence = ? AND at = ?", (series, event.sequence, event.at)
        ).fetchone():
            continue
        said = _said(event)
        point = _free(database, series, event.moment // 1_000_000)
        database.execute(
            f"INSERT INTO event(series, {_SAID}, moment, point, crc) VALUES ({_MARKS})",
            (series, *said, event.moment, point, _crc(event, said)),
        )
        new += 1
    return new


def fact(database: sqlite3.Connection, name: str) -> int:
    row = database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def remember(database: sqlite3.Connection, name: str, value: int) -> None:
    database.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def event_of(row: Sequence[Any]) -> KeptEvent:
    """The event of a row with the columns `ROW`; raises `ValueError` when it is not what was written."""
    number, _, crc, stream, source, kind, state, sequence, at, good, received, severity, value, bound, unit, text, by = row
    try:
        event = KeptEvent(
            Stream(stream), source, kind, state, sequence, at, bool(good), received, severity, value, bound, unit, text, by,
            number,
        )
        right = _crc(event, _said(event)) == crc
    except TypeError as error:
        raise ValueError(f"the row is no event: {error}") from None
    if not right:
        raise ValueError("the row does not match its check sum")
    return event


def page_of(database: sqlite3.Connection, wanted: EventsWanted) -> EventPage:
    """Newest first; damaged rows are left out, which `verify` names."""
    of_source, names = _chosen({"device": wanted.devices, "name": wanted.sources})
    of_series, kinds = _chosen({"kind": wanted.kinds, "stream": wanted.streams})
    where, values = ["moment >= ?", "moment < ?"], [wanted.first, wanted.last]
    if wanted.before is not None:
        where.append("(moment, event.number) < (?, ?)")
        values += wanted.before
    if of_source:
        of_series.append(f"source IN (SELECT number FROM source WHERE {' AND '.join(of_source)})")
    if of_series:
        chosen = f"SELECT number FROM series WHERE {' AND '.join(of_series)}"
        few, every = database.execute(
            f"SELECT (SELECT count(*) FROM ({chosen})), (SELECT count(*) FROM series)", (*kinds, *names)
        ).fetchone()
        # Of few series by their own index, which then is to be sorted; of many all events are passed, from the newest on.
        where.append(f"{'' if few * MANY < every else '+'}event.series IN ({chosen})")
    rows = database.execute(
        f"SELECT moment, {ROW} FROM {FROM} WHERE {' AND '.join(where)} ORDER BY moment DESC, event.number DESC LIMIT ?",
        (*values, *kinds, *names, wanted.size),
    ).fetchall()
    found = []
    for _, *row in rows:
        try:
            found.append(event_of(row))
        except ValueError:
            continue
    return EventPage(tuple(found), (rows[-1][0], rows[-1][1]) if len(rows) == wanted.size else None)


def cut_events(path: Path, at: int | None) -> None:
    """Make a restored file one of its own; with an instant [ns] also leave what had been received by then."""
    if not path.exists():
        return
    try:
        with naming(path), closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous=FULL")
            with transaction(database):
                if at is not None:
                    database.execute("DELETE FROM event WHERE received > ?", (at,))
                    database.execute("UPDATE fact SET value = min(value, ?) WHERE name = ?", (at, ALARMS))
                begin_numbers(database)
    except DamagedFile:
        return                                      # the next start sets it aside


# ---------------------------------------------------------------------- private
def _series(database: sqlite3.Connection, key: tuple[str, str, str, str]) -> int:
    found = database.execute(_KNOWN, key).fetchone()
    if found is None:
        name, *rest = key
        database.execute("INSERT OR IGNORE INTO source(name, device) VALUES (?, ?)", (name, device_of(name)))
        (source,) = database.execute("SELECT number FROM source WHERE name = ?", (name,)).fetchone()
        database.execute("INSERT INTO series(source, kind, state, stream) VALUES (?, ?, ?, ?)", (source, *rest))
        found = database.execute(_KNOWN, key).fetchone()
    return int(found[0])


def _free(database: sqlite3.Connection, series: int, point: int) -> int:
    """The first time from a ms on that no event of the series has: bad clocks say many events at one instant."""
    for (taken,) in database.execute(
        "SELECT point FROM event WHERE series = ? AND point >= ? ORDER BY point", (series, point)
    ):
        if taken != point:
            break
        point += 1
    return point


def _said(event: KeptEvent) -> tuple[Any, ...]:
    """The values of `_SAID`."""
    return (
        event.sequence, event.at, int(event.time_good), event.received, event.severity,
        *(None if number is None else float(number) for number in (event.value, event.limit)),
        event.unit, event.text, event.by,
    )


def _crc(event: KeptEvent, said: tuple[Any, ...]) -> int:
    names = str(event.stream), event.source, event.kind, event.state
    return zlib.crc32(json.dumps([*names, *said]).encode())


def _chosen(wanted: dict[str, Sequence[str] | None]) -> tuple[list[str], list[str]]:
    """Conditions on columns, and their values; None chooses nothing."""
    given = {column: names for column, names in wanted.items() if names is not None}
    return (
        [f"{column} IN (SELECT value FROM json_each(?))" for column in given],
        [json.dumps([str(name) for name in names]) for names in given.values()],
    )


def without_number(event: KeptEvent) -> KeptEvent:
    """As it was before it had a place."""
    return attrs.evolve(event, number=0)
