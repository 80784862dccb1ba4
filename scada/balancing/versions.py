"""Which rows of a balance are news: late data recalculates, and every change raises the version. Pure."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scada.ports import BALANCE_COLUMNS, ResultTable


def versioned(
    start: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]], before: ResultTable
) -> ResultTable:
    """
    Return the rows that are new or differ from what is stored, with their version.

    Parameters
    ----------
    start : ndarray of int64, shape (k,)
        Starts of the intervals, ascending. [s since 1970]
    columns : mapping of str to ndarray of float64, shape (k,)
        What `balance` made of them.
    before : ResultTable
        What is stored of the same span of time.

    Returns
    -------
    table : ResultTable
        `BALANCE_COLUMNS`; version 1 for a new row, one more than before for a changed one. A row in which
        nothing at all is known is not worth its place and is left out while it is not stored yet.
    """
    names = BALANCE_COLUMNS[:-1]
    old = np.full((len(start), len(BALANCE_COLUMNS)), np.nan)
    if len(before.start):
        place = np.minimum(np.searchsorted(before.start, start), len(before.start) - 1)
        stored = before.start[place] == start
        stack = np.column_stack([_stored(before, name) for name in BALANCE_COLUMNS])
        old[stored] = stack[place[stored]]
    new = np.column_stack([columns[name] for name in names])
    version = np.nan_to_num(old[:, -1], nan=0.0)
    same = np.isclose(new, old[:, :-1], rtol=1e-12, atol=0.0, equal_nan=True).all(axis=1) & (version > 0)
    empty = (version == 0) & np.isnan(columns["feed"]) & (columns["completeness"] + columns["estimated"] == 0)
    keep = ~same & ~empty
    kept = {name: columns[name][keep] for name in names}
    return ResultTable(start[keep], {**kept, "version": version[keep] + 1})


def _stored(before: ResultTable, name: str) -> NDArray[np.float64]:
    """A column as stored; rows of a version that had no such column are as if there had been nothing to deduct."""
    lacking = np.full(len(before.start), np.nan)
    column = before.columns.get(name, lacking)
    former = np.isnan(before.columns.get("own", lacking))
    if name in ("estimated", "own"):
        return np.where(former, 0.0, column)
    if name == "doubtful":                                  # younger than the others
        return np.nan_to_num(column)
    if name in ("common", "generation"):
        return np.where(former, np.where(np.isnan(before.columns["members"]), np.nan, 0.0), column)
    return np.where(former, before.columns["imbalance"], column) if name == "unexplained" else column
