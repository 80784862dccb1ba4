"""What spoilt files of results still hold is entered again, while no server runs; what was computed since stays."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from scada.errors import StorageError
from scada.historian.database import ReadPool, aside_of, reading_once, transaction
from scada.historian.import_results import enter_table
from scada.historian.results import RESULT_FILE, ResultHistory, open_results, shapes_of
from scada.ports import ResultTable

_ROWS: Final = "SELECT start, shape, row FROM result WHERE series = ? ORDER BY start "


def results_again(directory: Path) -> int:
    """Returns how many rows came back."""
    spoilt, back = aside_of(directory / RESULT_FILE), 0
    if not spoilt:
        return 0
    with closing(open_results(directory / RESULT_FILE)) as database, closing(ReadPool()) as pool:
        held = ResultHistory(directory, pool)
        for path in spoilt:
            for series, table in _tables(path):
                with transaction(database):
                    back += enter_table(database, held, series, table)[0]
    return back


def _tables(path: Path) -> Iterator[tuple[tuple[str, str, int], ResultTable]]:
    """Series by series, rows that have the same columns together."""
    with suppress(StorageError), reading_once(path) as database:
        if database is None:
            return
        shapes = shapes_of(database)
        for number, kind, name, span in database.execute("SELECT number, kind, name, span FROM series").fetchall():
            yield from (((kind, name, span), table) for table in _of_series(database, number, shapes))


def _of_series(database: sqlite3.Connection, number: int, shapes: dict[int, list[str]]) -> Iterator[ResultTable]:
    """To the first bad place, and from the end back to the last."""
    rows: dict[int, tuple[int, bytes]] = {}
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error):
            for start, shape, row in database.execute(_ROWS + order, (number,)):
                rows[start] = shape, row
    for shape in {shape for shape, _ in rows.values()} & shapes.keys():
        starts = sorted(start for start, one in rows.items() if one[0] == shape)
        yield _table(np.array(starts, np.int64), [rows[start][1] for start in starts], shapes[shape])


def _table(starts: Any, rows: list[bytes], columns: list[str]) -> ResultTable:
    block = np.frombuffer(b"".join(rows), dtype="<f8").reshape(len(starts), -1)
    return ResultTable(starts, {name: block[:, place] for place, name in enumerate(columns)})
