"""What a chart of one suspect shows: forecast, consumption and imbalance together, by hour and by day."""

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.fused import Ranking


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
    )


def _daily(hourly: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of what is there; NaN for a day of which nothing is."""
    days = hourly.reshape(-1, DAY_H)
    there = np.isfinite(days)
    return np.where(there.any(axis=1), np.where(there, days, 0.0).sum(axis=1), np.nan)
