"""Which rows of the table of dials a visitor asks for, and in what order. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.dial import DialTable, Due, Verdict

CHOICES: Final = ("failed", "overdue", "soon", "drift", "waiting", "never", "all")


def chosen(table: DialTable, which: str) -> NDArray[np.intp]:
    """Rows of one choice, the largest difference first, then the longest overdue."""
    verdict, due = table.comparison.verdict, table.due
    mask = {
        "failed": verdict == Verdict.MISMATCH, "drift": verdict == Verdict.DRIFT, "waiting": verdict == Verdict.WAITING,
        "overdue": due == Due.OVERDUE, "soon": due == Due.SOON, "never": due == Due.NEVER_READ,
    }.get(which, np.ones(len(verdict), dtype=np.bool_))
    rows = np.flatnonzero(mask)
    share = np.nan_to_num(np.abs(table.comparison.difference[rows]) / table.comparison.tolerance[rows])
    return rows[np.lexsort((table.due_at[rows], -share))]


def counts(table: DialTable) -> dict[str, int]:
    return {one: len(chosen(table, one)) for one in CHOICES}
