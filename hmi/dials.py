"""Which rows of the table of dials a visitor asks for, and in what order. Pure."""

from bisect import bisect_left
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.dial import DialTable, Due, Verdict

CHOICES: Final = ("failed", "overdue", "soon", "drift", "waiting", "never", "all")
VERDICTS: Final = {"failed": Verdict.MISMATCH, "drift": Verdict.DRIFT, "waiting": Verdict.WAITING}
DUES: Final = {"overdue": Due.OVERDUE, "soon": Due.SOON, "never": Due.NEVER_READ}


def _mask(table: DialTable, which: str) -> NDArray[np.bool_]:
    verdict, due = table.comparison.verdict, table.due
    if which in VERDICTS:
        return np.asarray(verdict == VERDICTS[which])
    return np.asarray(due == DUES[which]) if which in DUES else np.ones(len(verdict), dtype=np.bool_)


def chosen(table: DialTable, which: str) -> NDArray[np.intp]:
    """Rows of one choice, the largest difference first, then the longest overdue."""
    rows = np.flatnonzero(_mask(table, which))
    share = np.nan_to_num(np.abs(table.comparison.difference[rows]) / table.comparison.tolerance[rows])
    return rows[np.lexsort((table.due_at[rows], -share))]


def counts(table: DialTable) -> dict[str, int]:
    return {one: int(np.count_nonzero(_mask(table, one))) for one in CHOICES}


def row_of(table: DialTable, point: str) -> int | None:
    """The row of a point; None where no meter is in service there. Rows are in the order of their points."""
    row = bisect_left(table.periods, point, key=lambda period: period.point)
    return row if row < len(table.periods) and table.periods[row].point == point else None
