"""What the charts of one suspect show: forecast, consumption and imbalance by hour and by day, and the mean day of both."""

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.joint import resemblance


@attrs.frozen(eq=False)
class Evidence:
    """One member beside its group. NaN where something is missing. [kWh or m3]"""

    forecast: NDArray[np.float64]           # (h,) from its own past
    registered: NDArray[np.float64]         # (h,)
    imbalance: NDArray[np.float64]          # (h,) of the group
    daily_forecast: NDArray[np.float64]     # (d,)
    daily_registered: NDArray[np.float64]   # (d,)
    daily_imbalance: NDArray[np.float64]    # (d,) over its usable hours
    explained: NDArray[np.float64]          # (d,) of the imbalance by this member, with what nobody explains
    usual: float                            # spread of a change's logarithm: how far from the forecast is usual
    mean_registered: NDArray[np.float64]    # (24,) of each hour of the day, over usable hours
    mean_imbalance: NDArray[np.float64]     # (24,)
    resemblance: float                      # plain correlation of the two over usable hours, for the picture only [1]


def evidence(groups: Groups, found: Ranking, group: int, member: int) -> Evidence:
    """
    Return the arrays of a suspect's chart.

    Raises
    ------
    IndexError
        If there is no such member.
    """
    if not groups.real[group, member]:
        raise IndexError(f"group {group} has {int(groups.real[group].sum())} members, there is no member {member}")
    usable = groups.usable[group]
    forecast = found.changes.forecast[group, member]
    registered = np.where(groups.known[group, member], groups.members[group, member], np.nan)
    imbalance = np.where(usable, groups.imbalance[group], np.nan)
    return Evidence(
        forecast, registered, imbalance, _daily(forecast), _daily(registered), _daily(imbalance),
        found.course[group, member], float(found.changes.spread[group, member]),
        _mean_day(np.where(usable, registered, np.nan)), _mean_day(imbalance),
        float(resemblance(groups.take(np.array([group])))[0, member]),
    )


def _daily(hourly: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of what is there; NaN for a day of which nothing is."""
    days = hourly.reshape(-1, DAY_H)
    there = np.isfinite(days)
    return np.where(there.any(axis=1), np.where(there, days, 0.0).sum(axis=1), np.nan)


def _mean_day(hourly: NDArray[np.float64]) -> NDArray[np.float64]:
    """(24,) means of what is there; NaN for an hour of the day of which nothing is."""
    days = hourly.reshape(-1, DAY_H)
    there = np.isfinite(days)
    number = there.sum(axis=0)
    return np.where(number > 0, np.where(there, days, 0.0).sum(axis=0) / np.maximum(number, 1), np.nan)
