"""Validated hours, as they were entered: rows are added and never changed, so every earlier state can be asked for."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from scada.errors import StorageError
from scada.estimates import Estimate, Method
from scada.historian.database import ReadPool, open_writer, transaction
from scada.historian.refusals import storage_error

ESTIMATE_FILE: Final = "estimates.sqlite"
AT_ONCE: Final = 500                    # points in one statement
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS estimate(number INTEGER PRIMARY KEY AUTOINCREMENT, point TEXT NOT NULL, hour INTEGER NOT NULL,
    value REAL, method TEXT NOT NULL, author TEXT NOT NULL, at INTEGER NOT NULL, note TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS estimate_of_point ON estimate(point, hour);
"""
_COLUMNS: Final = "point, hour, value, method, author, at, note"


class EstimateHistory:
    """Implements `ports.Estimates`; from any thread or process."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self.path, self._pool = directory / ESTIMATE_FILE, pool

    def standing(
        self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None = None
    ) -> tuple[Estimate, ...]:
        last = {(one.point, one.hour): one for one in self._rows(points, first_hour, hours, as_of)}
        return tuple(one for one in last.values() if one.method is not Method.WITHDRAWN)

    def history(self, point: str, first_hour: int, hours: int) -> tuple[Estimate, ...]:
        return tuple(self._rows([point], first_hour, hours, None))

    def after(self, number: int, most: int) -> tuple[int, tuple[tuple[str, int], ...]]:
        with self._pool.reading(self.path) as database:
            if database is None:
                return 0, ()
            (last,) = database.execute("SELECT coalesce(max(number), 0) FROM estimate").fetchone()
            rows = database.execute(
                "SELECT number, point, hour FROM estimate WHERE number > ? ORDER BY number LIMIT ?",
                (number if number <= last else 0, most),
            ).fetchall()
        return rows[-1][0] if rows else last, tuple((point, hour) for _, point, hour in rows)

    def _rows(
        self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None
    ) -> Iterator[Estimate]:
        """In the order they were entered."""
        with self._pool.reading(self.path) as database:
            for start in range(0, len(points) if database is not None else 0, AT_ONCE):
                part = points[start:start + AT_ONCE]
                assert database is not None
                yield from map(_estimate, database.execute(
                    f"SELECT {_COLUMNS} FROM estimate WHERE point IN ({','.join('?' * len(part))}) "
                    "AND hour >= ? AND hour < ? AND at <= ? ORDER BY number",
                    (*part, first_hour, first_hour + hours, 2**63 - 1 if as_of is None else as_of),
                ).fetchall())


def add_estimates(directory: Path, estimates: Sequence[Estimate]) -> None:
    """Add all of them, durably when it returns, also beside a running server. Blocking; raises `StorageError`."""
    try:
        with closing(open_writer(directory / ESTIMATE_FILE, _SCHEMA)) as database, transaction(database):
            database.executemany(
                f"INSERT INTO estimate ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
                [
                    (one.point, one.hour, None if one.value != one.value else one.value, one.method.value, one.by, one.at,
                     one.note)
                    for one in estimates
                ],
            )
    except sqlite3.Error as error:
        raise storage_error("the store of validated hours", directory, error) from error
    except OSError as error:
        raise StorageError(f"the store of validated hours in {directory} cannot be written: {error}") from error


def _estimate(row: tuple[str, int, float | None, str, str, int, str]) -> Estimate:
    point, hour, value, method, author, at, note = row
    return Estimate(point, hour, float("nan") if value is None else value, Method(method), author, at, note)
