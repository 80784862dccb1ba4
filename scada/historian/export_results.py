"""Results as the rows of an export: a row for every quantity, month by month, by series and time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scada.historian.database import reading_once
from scada.historian.export_wanted import Rows, Wanted, month_of, months_between
from scada.historian.result_file import RESULT_FILE, has_older, shapes_of
from scada.historian.result_sums import STORED, sound


def result_rows(directory: Path, wanted: Wanted) -> Iterator[Rows]:
    with reading_once(directory / RESULT_FILE) as database:
        if database is None:
            return
        shapes, older = shapes_of(database), has_older(database)
        every = database.execute("SELECT number, kind, name, span FROM series ORDER BY kind, name, span").fetchall()
        low, high = database.execute(
            "SELECT min(start), max(start) FROM result WHERE start >= ? AND start < ?", (wanted.first, wanted.last)
        ).fetchone()
        for first, last in months_between(low, high):
            for number, kind, name, span in every:
                rows = database.execute(
                    f"SELECT start, ifnull(CAST(version AS INTEGER), 0), {STORED} "
                    "FROM result WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
                    (number, max(first, wanted.first), min(last, wanted.last)),
                ).fetchall()
                if rows:
                    yield month_of(first), _long(wanted, rows, shapes, older, number, (kind, name, span))


def _long(
    wanted: Wanted, rows: list[Any], shapes: dict[int, list[str]], older: bool, number: int, series: tuple[str, str, int]
) -> dict[str, NDArray[Any]]:
    """A row for every quantity of every sound result, by start."""
    start, version, shape = (np.array([row[place] for row in rows], np.int64) for place in range(3))
    found = sound(np.full(len(rows), number), start, shape, [row[3] for row in rows], shapes, older)
    if lost := len(rows) - sum(len(part.lines) for part in found.values()):
        wanted.damaged.append(f"{RESULT_FILE}, {series[0]} of {series[1]}: {lost} rows do not match their check sums")
    lines = [np.repeat(part.lines, len(shapes[one])) for one, part in found.items()]
    line = np.concatenate(lines or [np.empty(0, np.intp)])
    order = np.argsort(line, kind="stable")
    line, total = line[order], len(line)
    columns = [name for one, part in found.items() for name in shapes[one] * len(part.lines)]
    values = np.concatenate([part.values.reshape(-1) for part in found.values()] or [np.empty(0)])
    kind, name, span = series
    return {
        "kind": np.full(total, kind, object), "name": np.full(total, name, object),
        "span_s": np.full(total, span, np.int32), "start": start[line] * 1000, "version": version[line],
        "column": np.array(columns, dtype=object)[order], "value": values[order],
    }
