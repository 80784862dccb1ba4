"""Results as the rows of an export: a row for every quantity, month by month, by series and time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scada.historian.database import reading_once
from scada.historian.export_wanted import Rows, Wanted, month_of, months_between
from scada.historian.results import RESULT_FILE, shapes_of


def result_rows(directory: Path, wanted: Wanted) -> Iterator[Rows]:
    with reading_once(directory / RESULT_FILE) as database:
        if database is None:
            return
        shapes = shapes_of(database)
        every = database.execute("SELECT number, kind, name, span FROM series ORDER BY kind, name, span").fetchall()
        low, high = database.execute(
            "SELECT min(start), max(start) FROM result WHERE start >= ? AND start < ?", (wanted.first, wanted.last)
        ).fetchone()
        for first, last in months_between(low, high):
            for number, kind, name, span in every:
                rows = database.execute(
                    "SELECT start, version, shape, row FROM result WHERE series = ? AND start >= ? AND start < ? "
                    "ORDER BY start", (number, max(first, wanted.first), min(last, wanted.last)),
                ).fetchall()
                if rows:
                    yield month_of(first), _long(rows, shapes, kind, name, span)


def _long(rows: list[Any], shapes: dict[int, list[str]], kind: str, name: str, span: int) -> dict[str, NDArray[Any]]:
    """A row for every quantity of every result."""
    counts = np.array([len(shapes[shape]) for _, _, shape, _ in rows])
    total = int(counts.sum())
    return {
        "kind": np.full(total, kind, object), "name": np.full(total, name, object),
        "span_s": np.full(total, span, np.int32),
        "start": np.repeat(np.array([start for start, *_ in rows], np.int64) * 1000, counts),
        "version": np.repeat(np.array([version for _, version, *_ in rows], np.int64), counts),
        "column": np.array([column for _, _, shape, _ in rows for column in shapes[shape]], dtype=object),
        "value": np.frombuffer(b"".join(row for *_, row in rows), dtype="<f8"),
    }
