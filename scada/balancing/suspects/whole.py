"""What a case of a whole group rests on: what neither members nor the square of the load explain, day by day."""


import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.accused import DAMPED, MOST
from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.examine import Report
from scada.balancing.suspects.joint import CONFIDENCE
from scada.balancing.suspects.linear import TINY
from scada.balancing.suspects.states import LEFT_OF_LOSS, State


@attrs.frozen(eq=False)
class Leftover:
    """Of one group."""

    imbalance: NDArray[np.float64]          # (d,) over its usable hours; NaN for a day without one [kWh or m3]
    unassigned: NDArray[np.float64]         # (d,) that nobody explains; over what was usual before a step [kWh or m3]
    since: int                              # day; 0 where it was there for as long as was looked at
    energy: float                           # since then: unassigned; of a technical loss all that is missing [kWh or m3]
    half_width: float                       # of its 90 % interval [kWh or m3]
    share: float                            # of the imbalance since then [1]
    lost: float                             # all that is missing since then, over the feed [1]
    score: float                            # log-odds, up to a constant


def leftover(groups: Groups, report: Report, group: int) -> Leftover:
    """
    Return what is left of the imbalance of a group.

    Parameters
    ----------
    groups : Groups
    report : Report
        What was found of the same groups.
    group : int
        One that is `State.UNMETERED` or `State.TECHNICAL`.

    Returns
    -------
    found : Leftover
        Where the group's imbalance has a step, and a connection without a meter is in question, it is what rose then: the
        square of the load takes some of a tap for loss, in all days alike. The interval holds the scatter of days, and
        where there is no step also half of the square-law loss, which does not hold all of the technical loss.
    """
    used = groups.usable[group]
    unmetered = report.said.state[group] == State.UNMETERED
    stepped = bool(unmetered and report.stepped[group])
    since = int(report.before[group]) if stepped else 0
    feed, imbalance = groups.feed[group], groups.imbalance[group]
    square = report.first.loss[group] * np.abs(feed).sum() / max(float((feed**2).sum()), TINY) * feed**2
    named = np.zeros(len(feed) // DAY_H)
    for member in np.flatnonzero(report.said.suspect[group]).tolist():      # a few
        if report.found.named[group, member]:
            named += report.found.course[group, member] - report.found.rest[group]
        else:                                                               # way 1 alone
            named += report.first.factor[group, member] * _daily(groups.seen[group, member])
    there = used.reshape(-1, DAY_H).any(axis=1)
    daily = np.where(there, _daily(imbalance), np.nan)
    unassigned = daily - _daily(square) - named
    technical = np.zeros(len(feed)) if groups.technical is None else groups.technical[group]
    missing = np.where(there, _daily(np.where(used, imbalance + technical, 0.0)), np.nan)

    after = np.arange(len(daily)) >= since
    counted, usual = there & after, there & ~after
    number = max(int(counted.sum()), 1)
    error = float(unassigned[counted].var()) / number
    if stepped and usual.any():
        error += float(unassigned[usual].var()) / int(usual.sum())
        unassigned = unassigned - unassigned[usual].mean()
    energy = float((unassigned if unmetered else missing)[counted].sum())
    scatter = error**0.5 * number
    unsure = LEFT_OF_LOSS * float(_daily(square)[counted].sum()) if unmetered and not stepped else 0.0
    half_width = float(np.hypot(CONFIDENCE * scatter, unsure))
    of, fed = float(daily[counted].sum()), float(_daily(feed)[counted].sum())
    explained = energy if unmetered else float(_daily(square)[counted].sum())
    t = CONFIDENCE * energy / max(half_width, TINY)
    return Leftover(
        daily, unassigned, since, energy, half_width, explained / of if abs(of) > TINY else np.nan,
        float(missing[counted].sum()) / fed if fed > TINY else np.nan, min(DAMPED * 0.5 * t**2, MOST),
    )


def _daily(hourly: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(hourly.reshape(-1, DAY_H).sum(axis=1))
