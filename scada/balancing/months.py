"""Months of the site, added up from its days whenever somebody asks: what changes a day has changed its month. Pure."""

from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scada.balancing.days import day_bounds, month_start
from scada.clock import DAY_H, HOUR_S
from scada.ports import BALANCE_COLUMNS, ResultTable

DAY_S: Final = DAY_H * HOUR_S
SHARES: Final = ("completeness", "estimated", "doubtful")


def months_between(
    rows: Callable[[int, int, int], ResultTable], zone: ZoneInfo, first: int, last: int
) -> ResultTable:
    """Months that begin in first <= start < last [s]; `rows` gives a group's rows of (span, first, last). Blocking."""
    if first >= last:
        return monthly(rows(DAY_S, 0, 0), zone)
    begin, end = month_start(zone, first // HOUR_S), month_start(zone, (last - 1) // HOUR_S, 1)
    found = monthly(rows(DAY_S, begin * HOUR_S, end * HOUR_S), zone)
    wanted = (found.start >= first) & (found.start < last)
    return ResultTable(found.start[wanted], {name: column[wanted] for name, column in found.columns.items()})


def monthly(days: ResultTable, zone: ZoneInfo) -> ResultTable:
    """
    Return the months in which there are days, in `BALANCE_COLUMNS`, each named by its start.

    Parameters
    ----------
    days : ResultTable
        Rows of site days of one group, of whole months, ascending.
    zone : ZoneInfo
        The site's zone.

    Notes
    -----
    The imbalance of a month is known when that of each of its days is. Its uncertainty is the sum of theirs: meters err
    every day to the same side, so it is an upper bound and near to what the meters' own sums would give. Completeness is
    the mean over the hours of the month, those to come included. Feed and members are sums of the days so far; the feed is
    not known where it is missing in a day before the newest. The version counts the recalculations of all days.
    """
    if not len(days.start):
        return ResultTable(days.start, {name: np.empty(0) for name in BALANCE_COLUMNS})
    first, last = int(days.start[0]) // HOUR_S, int(days.start[-1]) // HOUR_S
    begin, end = month_start(zone, first), month_start(zone, last, 1)
    bounds = day_bounds(zone, begin, end - 1)
    starts, hours = bounds[:-1], np.diff(bounds).astype(np.float64)
    place = np.searchsorted(starts, days.start // HOUR_S)
    spread = {name: np.full(len(starts), np.nan) for name in BALANCE_COLUMNS}
    for name in BALANCE_COLUMNS:
        if name in days.columns:                            # rows of a former version have fewer
            spread[name][place] = days.columns[name]
    months = _months(zone, begin, end)
    cut = np.searchsorted(starts, months)

    def total(column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.add.reduceat(column, cut))

    there = ~np.isnan(spread["version"])
    newest = int(place[-1])
    gap = np.isnan(spread["feed"]) & (np.arange(len(starts)) <= newest) & (np.arange(len(starts)) >= place[0])
    some = total(there.astype(np.float64)) > 0
    length = total(hours)
    found = {
        name: total(spread[name])                           # NaN where a day does not know it
        for name in ("imbalance", "uncertainty", "technical", "unexplained")
    }
    for name in ("uncertainty", "unexplained"):
        found[name] = np.where(np.isnan(found["imbalance"]), np.nan, found[name])
    for name in ("members", "common", "generation", "own"):
        known = ~np.isnan(spread[name])
        found[name] = np.where(total(known.astype(np.float64)) > 0, total(np.nan_to_num(spread[name])), np.nan)
    found["feed"] = np.where(total(gap.astype(np.float64)) > 0, np.nan, total(np.nan_to_num(spread["feed"])))
    found |= {name: total(np.nan_to_num(spread[name]) * hours) / length for name in SHARES}
    fed = np.abs(found["feed"]) > 0
    found["imbalance_percent"] = np.where(
        fed, 100.0 * found["imbalance"] / np.where(fed, np.abs(found["feed"]), 1.0), np.nan
    )
    found["version"] = 1.0 + total(np.where(there, np.nan_to_num(spread["version"]) - 1.0, 0.0))
    return ResultTable(months[some] * HOUR_S, {name: found[name][some] for name in BALANCE_COLUMNS})


def _months(zone: ZoneInfo, begin: int, end: int) -> NDArray[np.int64]:
    """First hours of the months from `begin` to before `end`."""
    found = [begin]
    while (after := month_start(zone, found[-1], 1)) < end:
        found.append(after)
    return np.array(found, dtype=np.int64)
