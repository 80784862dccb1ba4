"""The file of results: its tables, its opening, and what an earlier version left to be done to it."""

import json
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

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
# Of a file that was made before changes were numbered.
_NUMBER: Final = (
    "INSERT INTO change(series, start) SELECT series, start FROM result WHERE NOT EXISTS (SELECT 1 FROM change)"
)

# Numbers of a fresh file: above all that a file in its place gave, so that destinations take what comes. Changes are rarer.
_BEGIN: Final = "INSERT INTO sqlite_sequence(name, seq) VALUES ('change', ?)"


def open_results(path: Path) -> sqlite3.Connection:
    """The writing connection; raises `DamagedFile`."""
    with naming(path):
        database = open_writer(path, _SCHEMA + _CHANGED)
        try:
            if database.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'change'").fetchone() is None:
                database.execute(_BEGIN, (time.time_ns() // 1_000,))
            database.execute(_NUMBER)
            _add_sums(database)
        except sqlite3.Error:
            database.close()
            raise
    return database


def _add_sums(database: sqlite3.Connection) -> None:
    """Once, to rows from before there were sums: they are no changes. What a crash left undone is done the next time."""
    if not has_older(database):
        return
    place: tuple[int, ...] = (-2**63, -2**63)
    columns = shapes_of(database)
    while rows := database.execute(
        f"SELECT series, start, {STORED} FROM result WHERE (series, start) > (?, ?) ORDER BY series, start LIMIT ?",
        (*place, SUMMED_AT_ONCE),
    ).fetchall():
        with transaction(database):
            database.execute("DROP TRIGGER result_changed")
            for shape, names in columns.items():
                count = len(names)
                old = [
                    row for row in rows if row[2] == shape and len(row[3]) == VALUE_BYTES * count
                    and isinstance(row[0], int) and isinstance(row[1], int)
                ]
                values = np.frombuffer(b"".join(row[3] for row in old), "<f8").reshape(len(old), count)
                keys = np.array([row[:2] for row in old], np.int64).reshape(-1, 2)
                new, size = summed(keys[:, 0], keys[:, 1], names, values), VALUE_BYTES * (count + 1)
                database.executemany("UPDATE result SET row = ? WHERE series = ? AND start = ?", [
                    (new[size * line:size * (line + 1)], *key) for line, key in enumerate(keys.tolist())
                ])
            database.execute(_CHANGED)
        place = rows[-1][:2]
    database.execute(f"PRAGMA user_version = {SUMMED}")


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
