"""Where a feed's register stood at full hours: from the readings as they pass, or from their history."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.register import NS_PER_HOUR, Edges, Rates, at_edges
from scada.clock import HOUR_S
from scada.ports import LiveReader, ResultTable
from scada.tags import BAD

KIND: Final = "register"                # in the result store: readings at full hours, by tag
COLUMNS: Final = ("reading", "doubt")
REACH: Final = 6 * NS_PER_HOUR          # readings farther apart than this say nothing about the hour between them
RESOLUTION: Final = 0.01                # kWh or m³: the last digit of the usual registers
WINDOWS: Final = tuple(round(share * REACH) for share in (1 / 2160, 1 / 72, 1 / 6, 1))  # 10 s, 5 min, 1 h, all
NEWEST: Final = 50                      # samples looked at for a good one before an edge
MOST: Final = 100_000                   # samples of the longest window, at one a second


def crossed(
    earlier_at: int, earlier: float, later_at: int, later: float, rates: Rates
) -> tuple[NDArray[np.int64], Edges] | None:
    """The full hours between two consecutive readings of one register, and where it stood; None if there are none."""
    first, last = earlier_at // NS_PER_HOUR + 1, later_at // NS_PER_HOUR
    if last < first or later_at - earlier_at > REACH:
        return None
    hours = np.arange(first, last + 1, dtype=np.int64)
    fill = np.ones(len(hours))
    edges = at_edges(
        hours * NS_PER_HOUR,
        np.full(len(hours), earlier_at, dtype=np.int64), fill * earlier,
        np.full(len(hours), later_at, dtype=np.int64), fill * later,
        resolution_of(later), REACH, rates,
    )
    return hours, edges


def resolution_of(register: float) -> float:
    """The last digit, or what single precision can tell apart at this reading, if that is coarser.

    Meters commonly send registers as 32-bit floats: at 200,000 kWh their steps are 0.016 kWh.
    """
    return max(RESOLUTION, float(np.spacing(np.float32(abs(register)))))


def search(live: LiveReader, tag: str, hours: NDArray[np.int64], rates: Rates) -> tuple[NDArray[np.int64], Edges]:
    """
    Look for where a register stood at full hours in its history. Blocking.

    Parameters
    ----------
    live : LiveReader
        History of tags.
    tag : str
        The register.
    hours : ndarray of int64, shape (k,)
        Full hours. [h since 1970]
    rates : Rates
        What the register can bring in an hour.

    Returns
    -------
    hours : ndarray of int64, shape (m,)
        Those that could be told.
    edges : Edges
        (m,) readings and their doubt.
    """
    none = np.empty(0)
    if not len(hours) or not len(live.read(tag, int(hours[0]) * NS_PER_HOUR - REACH, int(hours[-1]) * NS_PER_HOUR, 1).at):
        return np.empty(0, dtype=np.int64), Edges(none, none)
    found: list[tuple[int, float, int, float]] = []
    where: list[int] = []
    for hour in hours.tolist():                            # a few, and only after a restart or an outage
        edge = hour * NS_PER_HOUR
        before = newest_before(live, tag, edge + 1)
        after = None if before is None else _first_after(live, tag, edge)
        if before is not None and after is not None:
            found.append((*before, *after))
            where.append(hour)
    if not where:
        return np.empty(0, dtype=np.int64), Edges(none, none)
    kept = np.array(where, dtype=np.int64)
    at0, reading0, at1, reading1 = (np.array(column) for column in zip(*found, strict=True))
    edges = at_edges(
        kept * NS_PER_HOUR, at0.astype(np.int64), reading0, at1.astype(np.int64), reading1,
        resolution_of(float(np.max(reading1))), REACH, rates,
    )
    known = ~np.isnan(edges.reading)
    return kept[known], Edges(edges.reading[known], edges.doubt[known])


def as_table(hours: NDArray[np.int64], edges: Edges) -> ResultTable:
    return ResultTable(hours * HOUR_S, {"reading": edges.reading, "doubt": edges.doubt})


def filled(table: ResultTable, first_hour: int, count: int) -> Edges:
    """Stored edges spread over `count` full hours from `first_hour` on; NaN where none is stored."""
    edges = Edges(np.full(count, np.nan), np.full(count, np.nan))
    if not len(table.start):
        return edges
    place = table.start // HOUR_S - first_hour
    inside = (place >= 0) & (place < count)
    edges.reading[place[inside]] = table.columns["reading"][inside]
    edges.doubt[place[inside]] = table.columns["doubt"][inside]
    return edges


def newest_before(live: LiveReader, tag: str, instant: int) -> tuple[int, float] | None:
    """The last good sample before an instant [ns], within reach: (time, reading). Blocking."""
    at, readings = _good(live, tag, instant - REACH, instant, NEWEST)
    return (int(at[-1]), float(readings[-1])) if len(at) else None


def _first_after(live: LiveReader, tag: str, edge: int) -> tuple[int, float] | None:
    """The history gives the newest samples of a span, so the span grows until it holds one."""
    for window in WINDOWS:
        at, readings = _good(live, tag, edge, edge + window, MOST)
        if len(at):
            return int(at[0]), float(readings[0])
    return None


def _good(live: LiveReader, tag: str, first: int, last: int, limit: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    history = live.read(tag, first, last, limit)
    usable = (history.quality < BAD) & np.isfinite(history.values)
    return history.at[usable], history.values[usable]
