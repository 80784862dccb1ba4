"""Rows of results become tables again; what is held stays."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.database import ReadPool, transaction
from scada.historian.offline import alone
from scada.historian.result_file import RESULT_FILE, open_results
from scada.historian.results import ResultHistory, store_rows
from scada.ports import ResultTable

Rows = dict[str, NDArray[Any]]                      # columns by name
SERIES: Final = ("kind", "name", "span_s", "start")             # what a result is known by


def enter_results(directory: Path, groups: Iterator[Rows]) -> int:
    """Put what is not there; returns how many rows differ from what is held, which stays."""
    kept = 0
    with alone(directory), closing(open_results(directory / RESULT_FILE)) as database, closing(ReadPool()) as pool:
        held = ResultHistory(directory, pool)
        for group in whole_results(groups):
            with transaction(database):
                for (kind, name, span_s), table in tables_of(group):
                    kept += enter_table(database, held, (kind, name, span_s), table)[1]
    return kept


def enter_table(
    database: sqlite3.Connection, held: ResultHistory, series: tuple[str, str, int], table: ResultTable
) -> tuple[int, int]:
    """Put rows of a series, by start, that are not there; how many, and how many differ from what is held, which stays."""
    before = held.get(*series, int(table.start[0]), int(table.start[-1]) + 1)
    known = np.isin(table.start, before.start)
    if not known.all():
        store_rows(database, *series, ResultTable(
            table.start[~known], {column: values[~known] for column, values in table.columns.items()},
        ))
    return int((~known).sum()), _differing(table, before, known)


def whole_results(groups: Iterator[Rows]) -> Iterator[Rows]:
    """Rowss that end with a whole result: one may have its quantities in two."""
    rest: Rows = {}
    for group in groups:
        if rest:
            group = {name: np.concatenate((rest[name], column)) for name, column in group.items()}
        last = {name: column[-1] for name, column in group.items()}
        same = np.logical_and.reduce([group[name] == last[name] for name in SERIES])
        rest = {name: column[same] for name, column in group.items()}
        if not same.all():
            yield {name: column[~same] for name, column in group.items()}
    if rest:
        yield rest


def tables_of(group: Rows) -> Iterator[tuple[tuple[str, str, int], ResultTable]]:
    """Series by series, rows that have the same quantities together."""
    row = np.concatenate(([True], np.logical_or.reduce([
        group[name][1:] != group[name][:-1] for name in SERIES
    ])))
    starts = np.flatnonzero(row).tolist()
    together: dict[tuple[Any, ...], list[int]] = {}
    for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
        key = group["kind"][start], group["name"][start], int(group["span_s"][start]), *group["column"][start:end]
        together.setdefault(key, []).append(start)
    for (kind, name, span_s, *columns), places in together.items():
        at = np.array(places)
        values = {column: group["value"][at + place] for place, column in enumerate(columns)}
        yield (kind, name, span_s), ResultTable(group["start"][at] // 1000, values)


def _differing(table: ResultTable, held: ResultTable, known: NDArray[np.bool_]) -> int:
    """How many of the known rows hold something else."""
    place = np.searchsorted(held.start, table.start[known])
    differ = np.zeros(len(place), np.bool_)
    for column, values in table.columns.items():
        before = held.columns.get(column, np.full(len(held.start), np.nan))[place]
        differ |= ~((before == values[known]) | (np.isnan(before) & np.isnan(values[known])))
    return int(differ.sum())
