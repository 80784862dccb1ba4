"""What spoilt files of results still hold is entered again, while no server runs; what was computed since stays."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import numpy as np

from scada.errors import StorageError
from scada.historian.database import ReadPool, aside_of, reading_once, transaction
from scada.historian.import_results import enter_table
from scada.historian.result_file import RESULT_FILE, has_older, open_results, shapes_of
from scada.historian.result_sums import STORED, sound
from scada.historian.results import ResultHistory
from scada.ports import ResultTable

_ROWS: Final = f"SELECT start, {STORED} FROM result WHERE series = ? ORDER BY start "


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
                if isinstance(start, int):
                    rows[start] = shape, row
    starts, lines = np.array(list(rows), np.int64), list(rows.values())
    found = sound(
        np.full(len(rows), number), starts, np.array([shape for shape, _ in lines], np.int64), [row for _, row in lines],
        shapes, has_older(database),
    )
    for shape, part in found.items():
        by_start = np.argsort(starts[part.lines])
        if len(by_start):
            block = part.values[by_start]
            columns = {name: block[:, place] for place, name in enumerate(shapes[shape])}
            yield ResultTable(starts[part.lines][by_start], columns)
