"""Live files without what is newer than an instant, by the time of the source; while nobody else has them open."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from scada.historian.database import DamagedFile, naming, transaction
from scada.historian.livefiles import HOT_FILE, HOUR_NS, month_path
from scada.historian.samples import decode, encode


def cut_live(directory: Path, at: int) -> None:
    """Leave samples up to an instant [ns]; what is damaged stays as it is, for `verify` to name."""
    hour = at // HOUR_NS
    for path in directory.glob("live-????-??.sqlite"):
        if path > month_path(directory, hour):
            path.unlink()
        elif path == month_path(directory, hour):
            _cut(path, "chunk", "hour > ?", "hour = ?", hour, at)
    if (directory / HOT_FILE).exists():
        _cut(directory / HOT_FILE, "hot", "first > ?", "last > ?", at, at)


def _cut(path: Path, table: str, beyond: str, across: str, limit: int, at: int) -> None:
    """Delete the rows that lie beyond, and shorten those that lie across."""
    try:
        with naming(path), closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous=FULL")
            with transaction(database):
                database.execute(f"DELETE FROM {table} WHERE {beyond}", (limit,))
                rows = database.execute(f"SELECT rowid, n, crc, samples FROM {table} WHERE {across}", (limit,)).fetchall()
                for row in rows:
                    _shorten(database, table, row, at)
    except DamagedFile:
        return


def _shorten(database: sqlite3.Connection, table: str, row: tuple[int, Any, Any, Any], at: int) -> None:
    number, *stored = row
    try:
        samples = decode(*stored)
    except ValueError:
        return
    kept = samples.take(samples.at <= at)
    if not len(kept):
        database.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))
        return
    crc, blob = encode(kept)
    database.execute(f"UPDATE {table} SET n = ?, crc = ?, samples = ? WHERE rowid = ?", (len(kept), crc, blob, number))
    if table == "hot":
        database.execute("UPDATE hot SET last = ? WHERE number = ?", (int(kept.at.max()), number))
