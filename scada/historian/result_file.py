"""The file of results: its tables, its opening, and what an earlier version left to be done to it."""

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from scada.historian import former
from scada.historian.database import naming, open_writer, transaction
from scada.historian.result_sums import STORED, VALUE_BYTES, summed

RESULT_FILE: Final = "results.sqlite"
COMPUTED_FILE: Final = "balancing.sqlite"           # what balances remember of these results, beside them
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS series(number INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, span INTEGER NOT NULL,
    UNIQUE(kind, name, span));
CREATE TABLE IF NOT EXISTS shape(number INTEGER PRIMARY KEY, columns TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS result(series INTEGER NOT NULL, start INTEGER NOT NULL, version INTEGER NOT NULL,
    shape INTEGER NOT NULL, row BLOB NOT NULL, PRIMARY KEY(series, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS change(number INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, start INTEGER NOT NULL,
    UNIQUE(series, start));
CREATE TRIGGER IF NOT EXISTS result_came AFTER INSERT ON result BEGIN
    INSERT INTO change(series, start) VALUES (new.series, new.start); END;
CREATE TRIGGER IF NOT EXISTS result_went AFTER DELETE ON result BEGIN
    DELETE FROM change WHERE series = old.series AND start = old.start; END;
"""
_CHANGED: Final = (
    "CREATE TRIGGER IF NOT EXISTS result_changed AFTER UPDATE ON result BEGIN "
    "DELETE FROM change WHERE series = old.series AND start = old.start; "
    "INSERT INTO change(series, start) VALUES (new.series, new.start); END;"
)
SUMMED: Final = 1                                   # user_version of a file whose rows all have their check sums
SUMMED_AT_ONCE: Final = 50_000
Place: TypeAlias = tuple[Any, Any]                  # series and start of a row; of a damaged one, whatever they are now
BEFORE_ALL: Final[Place] = (-2**63, -2**63)
# Of a file that was made before changes were numbered.
_NUMBER: Final = (
    "INSERT INTO change(series, start) SELECT series, start FROM result WHERE NOT EXISTS (SELECT 1 FROM change)"
)

# Numbers of a fresh file: above all that a file in its place gave, so that destinations take what comes. Changes are rarer.
_BEGIN: Final = "INSERT INTO sqlite_sequence(name, seq) VALUES ('change', ?)"


def open_results(path: Path, sums: bool = True) -> sqlite3.Connection:
    """The writing connection; raises `DamagedFile`. Without `sums` whoever opens it adds those that lack (`add_sums`)."""
    with naming(path):
        database = open_writer(path, _SCHEMA + former.SCHEMA + _CHANGED)
        try:
            if database.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'change'").fetchone() is None:
                database.execute(_BEGIN, (time.time_ns() // 1_000,))
            database.execute(_NUMBER)
            place: Place | None = BEFORE_ALL if has_older(database) else None
            empty = database.execute("SELECT 1 FROM result LIMIT 1").fetchone() is None
            while place is not None and (sums or empty):
                place = add_sums(database, place, SUMMED_AT_ONCE)
        except sqlite3.Error:
            database.close()
            raise
    return database


def add_sums(database: sqlite3.Connection, after: Place, most: int) -> Place | None:
    """
    Give sums to rows from before there were sums, so many behind a place at most: they are no changes.

    Returns the place that was reached, None when all are done. A crash in between lets the next start begin again.
    """
    rows = database.execute(
        f"SELECT series, start, {STORED} FROM result WHERE (series, start) > (?, ?) ORDER BY series, start LIMIT ?",
        (*after, most),
    ).fetchall()
    if not rows:
        database.execute(f"PRAGMA user_version = {SUMMED}")
        return None
    with transaction(database):
        database.execute("DROP TRIGGER result_changed")
        for shape, names in shapes_of(database).items():
            _add_to(database, names, [
                row for row in rows if row[2] == shape and len(row[3]) == VALUE_BYTES * len(names)
                and isinstance(row[0], int) and isinstance(row[1], int)
            ])
        database.execute(_CHANGED)
    return rows[-1][0], rows[-1][1]


def _add_to(database: sqlite3.Connection, names: Sequence[str], old: Sequence[Any]) -> None:
    """Rows of one shape."""
    values = np.frombuffer(b"".join([row[3] for row in old]), "<f8").reshape(len(old), len(names))
    keys = np.array([row[:2] for row in old], np.int64).reshape(-1, 2)
    new, size = summed(keys[:, 0].copy(), keys[:, 1].copy(), names, values), VALUE_BYTES * (len(names) + 1)
    database.executemany("UPDATE result SET row = ? WHERE series = ? AND start = ?", [
        (new[size * line:size * (line + 1)], *key) for line, key in enumerate(keys.tolist())
    ])


def forget_computed(directory: Path) -> None:
    """Let balances take nothing for computed: without their memory they begin anew at the next start."""
    for suffix in ("-wal", "-shm", ""):
        (directory / f"{COMPUTED_FILE}{suffix}").unlink(missing_ok=True)


def shapes_of(database: sqlite3.Connection) -> dict[int, list[str]]:
    """Names of columns by number; those that cannot be read are nobody's."""
    found = {}
    for number, text in database.execute("SELECT number, columns FROM shape"):
        with suppress(ValueError, TypeError):
            found[number] = json.loads(text)
    return found


def has_older(database: sqlite3.Connection) -> bool:
    """Whether rows may be there that have no check sum yet."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return bool(version < SUMMED)
