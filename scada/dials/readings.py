"""Readings of dials as columns that grow: what the service keeps of the registry's rows. Pure."""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.dial import DialReading, DialSource

TIME_DOUBT_S: Final = {
    DialSource.INSTALLER: 120.0, DialSource.INSPECTION: 300.0, DialSource.WALK_BY: 300.0, DialSource.SUBSCRIBER: 3600.0,
}
NAMES: Final = ("number", "point", "at", "value", "whole", "decimals", "doubt_s", "installer")


@attrs.frozen(eq=False)
class Readings:
    """n readings in the order of their numbers; points as numbers of `points`."""

    points: dict[str, int] = attrs.field(factory=dict)
    number: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    point: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    at: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    value: NDArray[np.float64] = attrs.field(factory=lambda: np.empty(0))
    whole: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    decimals: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, dtype=np.int64))
    doubt_s: NDArray[np.float64] = attrs.field(factory=lambda: np.empty(0))
    installer: NDArray[np.bool_] = attrs.field(factory=lambda: np.empty(0, dtype=np.bool_))

    @property
    def newest(self) -> int:
        return int(self.number[-1]) if len(self.number) else 0


def grown(held: Readings, rows: Sequence[DialReading]) -> Readings:
    """The columns with newer rows behind them."""
    if not rows:
        return held
    points = dict(held.points)
    found = [
        (
            one.number, points.setdefault(one.point, len(points)), one.at, one.shown.value, one.shown.whole,
            one.shown.decimals, TIME_DOUBT_S[one.source], one.source is DialSource.INSTALLER,
        )
        for one in rows
    ]
    columns = {
        name: np.concatenate([getattr(held, name), np.array(values, dtype=getattr(held, name).dtype)])
        for name, values in zip(NAMES, zip(*found, strict=True), strict=True)
    }
    return Readings(points, **columns)


@attrs.frozen(eq=False)
class Registers:
    """What the store said of the instants of n readings, so that it need not be asked again."""

    slot: NDArray[np.int64]             # of the channel that was asked; -1 = not yet
    pulses: NDArray[np.float64]         # NaN: not known yet
    doubt: NDArray[np.float64]          # [pulses]

    @classmethod
    def of(cls, size: int, held: "Registers | None" = None) -> "Registers":
        """Room for `size` readings, the first of them as they are held; a copy, to be filled in."""
        made = cls(np.full(size, -1, dtype=np.int64), np.full(size, np.nan), np.zeros(size))
        if held is not None:
            count = len(held.slot)
            made.slot[:count], made.pulses[:count], made.doubt[:count] = held.slot, held.pulses, held.doubt
        return made


@attrs.frozen(eq=False)
class Chosen:
    """For each of n periods the rows of its first, its last, and the reading before the last; -1 where there is none."""

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    before: NDArray[np.intp]


def choose(held: Readings, point: NDArray[np.int64], begin: NDArray[np.int64]) -> Chosen:
    """
    Pick the readings that count for running periods.

    Parameters
    ----------
    held : Readings
        m of them.
    point : ndarray of int64, shape (n,)
        Each period's point as a number of `held.points`; -1 where it has no reading. A point stands once.
    begin : ndarray of int64, shape (n,)
        Where the period begins; what was read before belongs to another meter. [ns]
    """
    size = len(point)
    none = np.full(size, -1, dtype=np.intp)
    period_of = np.full(len(held.points) + 1, -1, dtype=np.intp)
    period_of[point[point >= 0]] = np.flatnonzero(point >= 0)
    period = period_of[held.point] if len(held.point) else np.empty(0, dtype=np.intp)
    rows = np.flatnonzero(period >= 0)
    rows = rows[held.at[rows] >= begin[period[rows]]]
    order = rows[np.lexsort((held.number[rows], held.at[rows], period[rows]))]
    if not len(order):
        return Chosen(none, none.copy(), none.copy())
    its, at = period[order], held.at[order]
    corrected = np.append((its[1:] == its[:-1]) & (at[1:] == at[:-1]), False)      # a later row of the same instant counts
    order, its = order[~corrected], its[~corrected]
    starts = np.flatnonzero(np.append(True, its[1:] != its[:-1]))
    ends = np.append(starts[1:], len(its)) - 1
    first, last, before = none, none.copy(), none.copy()
    first[its[starts]], last[its[starts]] = order[starts], order[ends]
    several = ends > starts
    before[its[starts][several]] = order[ends[several] - 1]
    return Chosen(first, last, before)
