"""Fetches what a study of phases is made from, by functions handed in: members, feed by phase, imbalance. Blocking."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network, filled
from scada.balancing.phases.homes import homes
from scada.balancing.phases.inputs import HOPELESS, MOST_MEMBERS, W_PER_KWH, Given, Inputs, feed_tags, inputs, nothing
from scada.balancing.technical import deducted_from, known
from scada.clock import DAY_H, HOUR_S, NS
from scada.phase_study import Lack, Unchecked
from scada.ports import Consumption, ResultTable, measured
from scada.series import Buckets, How
from scada.site import BalanceGroup, Directory, Medium
from scada.tags import BAD

COMPLETE: Final = 0.5                   # share of an hour's samples from which its mean counts
Hourly = Callable[[Sequence[str], int, int], Consumption]
Steps = Callable[[str, NDArray[np.int64], How], Buckets]
Table = Callable[[str, int, int, int], ResultTable]         # name, span [s], first, last [s]
Told = Callable[[str], None]


@attrs.frozen
class Sources:
    """Where a study reads: all of it blocks."""

    hourly: Hourly                          # as `Metering.hourly`
    steps: Steps                            # as `History.resample`
    balances: Table                         # as `Balances.table`
    losses: Table                           # `LOSS_COLUMNS` of a transformer


def gathered(
    directory: Directory, group: BalanceGroup, first_hour: int, hours: int, zone: ZoneInfo, sources: Sources,
    told: Told = lambda _what: None,
) -> Given:
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
    sources : Sources
    told : callable
        Is called after each day of each tag: reading seconds is what takes time.
    """
    electric = group.medium is Medium.ELECTRICITY
    members = homes(directory, group, first_hour, hours, MOST_MEMBERS) if electric else ()
    if not electric or len(members) > MOST_MEMBERS:
        lack, figures = (Lack.TOO_LARGE, (len(members), MOST_MEMBERS)) if electric else (Lack.NOT_ELECTRICITY, ())
        return _hopeless(nothing({lack: figures}), hours)
    found = sources.hourly([one.point for one in members], first_hour, hours)
    of = inputs(directory, members, found, offsets(zone, first_hour, hours))
    if any(lack in of.lacks for lack in HOPELESS):          # a feed's seconds would be read for nothing
        return _hopeless(of, hours)
    feeder = feed(group, first_hour, hours, sources.steps, told)
    table = sources.balances(group.name, HOUR_S, first_hour * HOUR_S, (first_hour + hours) * HOUR_S)
    imbalance, normal, own = np.full((3, hours), np.nan)
    if len(table.start):
        at = table.start // HOUR_S - first_hour
        imbalance[at], normal[at] = measured(table, "imbalance"), group.normal_share * table.columns["feed"]
        own[at] = table.columns.get("own", np.nan)
    technical = _technical(directory, group, first_hour, hours, sources.losses)
    computed = np.isfinite(technical)
    network, unchecked = _network(directory, group)
    active = np.zeros((hours, 0))
    if network is not None:
        found = sources.hourly(network.points, first_hour, hours)
        active = filled(np.where(found.quality < BAD, found.values, np.nan).T * W_PER_KWH)[0]
        active = np.nan_to_num(active)      # who was never heard of takes nothing, as far as anybody knows
    return Given(
        of, feeder, imbalance, np.where(computed, technical, normal) + np.nan_to_num(own), computed, network, active,
        unchecked, bool(deducted_from(directory, group)),
    )


def feed(
    group: BalanceGroup, first_hour: int, hours: int, steps: Steps, told: Told = lambda _what: None,
) -> NDArray[np.float64] | None:
    """(hours, 3) means of the feed's phases, NaN where fewer than half the samples are there. None without a meter. [W]"""
    tags = feed_tags(group) if group.medium is Medium.ELECTRICITY else ()
    found = np.full((hours, len(tags)), np.nan)
    for place, tag in enumerate(tags):
        for first in range(0, hours, DAY_H):
            last = min(first + DAY_H, hours)
            edges = (first_hour + np.arange(first, last + 1, dtype=np.int64)) * HOUR_S * NS
            means = steps(tag, edges, How.MEAN)
            # Of a tag that is kept only when it changes nobody knows how many samples to expect, and all count.
            there = (means.quality < BAD) & ~(means.completeness < COMPLETE)
            found[first:last, place] = np.where(there, means.values, np.nan)
            told(tag)
    return found if tags else None


def offsets(zone: ZoneInfo, first_hour: int, hours: int) -> NDArray[np.int64]:
    """Of the site's time from UTC, in whole hours, hour by hour; asked of the zone once an hour."""
    when = (datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(zone) for hour in range(first_hour, first_hour + hours))
    seconds = np.array([int(offset.total_seconds()) if (offset := one.utcoffset()) else 0 for one in when], dtype=np.int64)
    return np.asarray(seconds // HOUR_S)


# ---------------------------------------------------------------------- private
def _hopeless(of: Inputs, hours: int) -> Given:
    """Members of whom nothing can be said, and nothing besides."""
    unknown = np.full(hours, np.nan)
    return Given(of, None, unknown, unknown, np.zeros(hours, dtype=bool), None, np.zeros((hours, 0)), None)


def _technical(
    directory: Directory, group: BalanceGroup, first_hour: int, hours: int, losses: Table
) -> NDArray[np.float64]:
    """(hours,) computed losses of all that is behind the group's feed; NaN where nobody knows them. [kWh]"""
    found = np.full(hours, np.nan)
    if deducted_from(directory, group):
        table = losses(group.transformer, HOUR_S, first_hour * HOUR_S, (first_hour + hours) * HOUR_S)
        if len(table.start):
            found[table.start // HOUR_S - first_hour] = table.columns["technical"]
    return found


def _network(directory: Directory, group: BalanceGroup) -> tuple[Network | None, Unchecked | None]:
    feeders = {one.name for one in directory.site.feeders if group.transformer and one.transformer == group.transformer}
    if not any(one.feeder in feeders for one in directory.site.sections):
        return None, Unchecked.NO_NETWORK
    network = known(directory).networks.get(group.transformer)
    return network, None if network is not None else Unchecked.WRONG_NETWORK
