"""A heat map of completeness: rows by site days, each cell graded, with a sentence of its own. Pure.

The darker, the worse; hollow where nothing is due; hatched where something was given up.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from hmi.formats import number
from hmi.i18n import _

GRADES: Final = (100.0, 99.0, 95.0, 75.0)      # % held from which on a day is grade 0, 1, 2, 3; below it is 4
TOP, WIDTH, HEIGHT = 18, 20, 16
LETTER, LEAST_LEFT, MOST_LEFT = 7, 60, 200    # px of the names before the cells


@attrs.frozen
class Cell:
    x: int
    css: str                            # "g0" to "g4", "none", "gone"
    title: str


@attrs.frozen
class Row:
    name: str
    y: int
    cells: tuple[Cell, ...]


@attrs.frozen
class Heat:
    width: int
    height: int
    days: tuple[tuple[int, str], ...]   # x, text: every fifth day, today the last
    rows: tuple[Row, ...]


@attrs.frozen(eq=False)
class Days:
    """One row's hours by site day."""

    name: str
    due: NDArray[np.int64]
    lacking: NDArray[np.int64]
    gone: NDArray[np.bool_]             # (days,) what lacks is given up


def heat(rows: Sequence[Days], days: Sequence[date]) -> Heat:
    """Of rows that all have the same days."""
    left = min(max(LETTER * max((len(one.name) for one in rows), default=0) + 8, LEAST_LEFT), MOST_LEFT)
    labels = tuple(
        (left + WIDTH * n, f"{day:%d.%m}") for n, day in enumerate(days) if (len(days) - 1 - n) % 5 == 0
    )
    made = tuple(
        Row(one.name, TOP + HEIGHT * place, tuple(
            _cell(one.name, left + WIDTH * n, day, int(one.due[n]), int(one.lacking[n]), gone=bool(one.gone[n]))
            for n, day in enumerate(days)
        ))
        for place, one in enumerate(rows)
    )
    return Heat(left + WIDTH * len(days) + 4, TOP + HEIGHT * len(rows) + 4, labels, made)


def _cell(name: str, x: int, day: date, due: int, lacking: int, *, gone: bool) -> Cell:
    if not due:
        return Cell(x, "none", _("%(name)s, %(day)s: nothing due, or nothing known yet", name=name, day=day))
    share = 100 * (1 - lacking / due)
    if not lacking:
        return Cell(x, "g0", _("%(name)s, %(day)s: complete", name=name, day=day))
    said = {"name": name, "day": day, "share": number(min(share, 99.9), 1), "hours": number(lacking, 0)}
    if gone:
        return Cell(x, "gone", _("%(name)s, %(day)s: %(share)s %% held, %(hours)s h of channels given up", **said))
    grade = sum(share < limit for limit in GRADES)
    return Cell(x, f"g{grade}", _("%(name)s, %(day)s: %(share)s %% held, %(hours)s h of channels missing", **said))
