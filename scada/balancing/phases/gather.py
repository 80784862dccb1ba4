"""Fetches what a study of phases is made from, by functions handed in: members, feed by phase, imbalance. Blocking."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.inputs import Inputs, feed_tags, inputs
from scada.clock import DAY_H, HOUR_S, NS
from scada.ports import Consumption, ResultTable, measured
from scada.series import Buckets, How
from scada.site import BalanceGroup, Directory, Medium
from scada.tags import BAD

COMPLETE: Final = 0.5                   # share of an hour's samples from which its mean counts
Hourly = Callable[[Sequence[str], int, int], Consumption]
Steps = Callable[[str, NDArray[np.int64], How], Buckets]
Balance = Callable[[str, int, int, int], ResultTable]
Told = Callable[[str], None]
Gathered = tuple[Inputs, NDArray[np.float64] | None, tuple[NDArray[np.float64], NDArray[np.float64]]]


def gathered(
    directory: Directory, group: BalanceGroup, first_hour: int, hours: int, zone: ZoneInfo,
    hourly: Hourly, steps: Steps, balance: Balance, told: Told = lambda _what: None,
) -> Gathered:
    """
    Fetch a period.

    Parameters
    ----------
    directory, group
        The registry, and the group in it.
    first_hour, hours : int
        The period. [h since 1970], [h]
    zone : ZoneInfo
        The site's.
    hourly, steps, balance : callable
        As `Metering.hourly`, `History.resample` and `Balances.table`.
    told : callable
        Is called after each day of each tag: reading seconds is what takes time.

    Returns
    -------
    inputs : Inputs
    feeder : ndarray of float64, shape (hours, 3), or None
        Means of the hours; NaN where fewer than half the samples are there. None without a meter. [W]
    balance : tuple of two ndarray of float64, shape (hours,)
        Imbalance, NaN where it is not whole, and the losses that are normal. [kWh]
    """
    of = inputs(directory, group, hourly(group.members, first_hour, hours), _offsets(zone, first_hour, hours))
    tags = feed_tags(directory, group) if group.medium is Medium.ELECTRICITY else ()
    feeder = np.full((hours, len(tags)), np.nan)
    for place, tag in enumerate(tags):
        for first in range(0, hours, DAY_H):
            last = min(first + DAY_H, hours)
            edges = (first_hour + np.arange(first, last + 1, dtype=np.int64)) * HOUR_S * NS
            found = steps(tag, edges, How.MEAN)
            # Of a tag that is kept only when it changes nobody knows how many samples to expect, and all count.
            there = (found.quality < BAD) & ~(found.completeness < COMPLETE)
            feeder[first:last, place] = np.where(there, found.values, np.nan)
            told(tag)
    table = balance(group.name, HOUR_S, first_hour * HOUR_S, (first_hour + hours) * HOUR_S)
    imbalance, normal = np.full(hours, np.nan), np.full(hours, np.nan)
    if len(table.start):
        at = table.start // HOUR_S - first_hour
        imbalance[at], normal[at] = measured(table, "imbalance"), group.normal_share * table.columns["feed"]
    return of, feeder if tags else None, (imbalance, normal)


def _offsets(zone: ZoneInfo, first_hour: int, hours: int) -> NDArray[np.int64]:
    """Of the site's time from UTC, in whole hours, hour by hour; asked of the zone once an hour."""
    when = (datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(zone) for hour in range(first_hour, first_hour + hours))
    seconds = np.array([int(offset.total_seconds()) if (offset := one.utcoffset()) else 0 for one in when], dtype=np.int64)
    return np.asarray(seconds // HOUR_S)
