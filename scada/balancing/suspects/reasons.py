"""Why somebody is a suspect: a kind and numbers, and the English sentence that is made of them."""

import datetime

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import Groups
from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.joint import Explained
from scada.balancing.suspects.signatures import Pattern
from scada.balancing.suspects.states import State
from scada.balancing.suspects.verdicts import Cause, Verdicts
from scada.balancing.suspects.whole import Leftover
from scada.site import UNIT_OF_MEDIUM, Medium


@attrs.frozen
class Reason:
    """What there is to say of one member."""

    group: int
    member: int
    cause: Cause
    pattern: Pattern
    share: float                            # of the imbalance since the beginning [1]
    energy: float                           # since the beginning [kWh or m3]
    half_width: float                       # of its 90 % interval [kWh or m3]
    since: int                              # day, counted from the first of the groups; -1 unless a suspect
    factor: float                           # way 1's k [1]; NaN without enough data
    drop: float                             # less than its own past [1]; NaN without it
    score: float                            # log-odds, up to a constant
    counts: float                           # one count of its register, in hours of its consumption
    hours: int                              # usable hours of its group


def reasons(
    groups: Groups, first: Explained, found: Ranking, said: Verdicts, resolution: float | NDArray[np.float64] = 0.01,
    limit: int = 1000,
) -> list[Reason]:
    """
    Return what is to be said of members that are not clear: suspects first, by score; at most `limit`.

    The whole arrays are for machines; this list is for people, so it holds one object a member that somebody should
    read of.
    """
    group, member = np.nonzero((said.cause != Cause.CLEAR) & groups.real)
    score = np.nan_to_num(found.score[group, member], nan=-1e6) + 1e4 * said.suspect[group, member]
    order = np.argsort(-score, kind="stable")[:limit]
    group, member = group[order], member[order]
    hour = np.abs(groups.members).sum(axis=2) / np.maximum(groups.known.sum(axis=2), 1)
    counts = np.broadcast_to(resolution, hour.shape) / np.maximum(hour, 1e-9)
    drop = 1.0 - found.changes.after / np.maximum(found.changes.before, 1e-9)
    pattern = np.where(found.named, found.pattern, Pattern.STEADY)
    return [
        Reason(
            g, m, Cause(said.cause[g, m]), Pattern(pattern[g, m]), float(said.share[g, m]), float(said.energy[g, m]),
            float(said.half_width[g, m]), int(said.since[g, m]), float(first.factor[g, m]), float(drop[g, m]),
            float(found.balance[g, m] + found.own[g, m]), float(counts[g, m]), int(first.hours[g]),
        )
        for g, m in zip(group.tolist(), member.tolist(), strict=True)
    ]


def english(reason: Reason, first_day: datetime.date, medium: Medium = Medium.ELECTRICITY) -> str:
    """
    Return the sentence; its parts, between semicolons, are each in the catalogue of sentences for people.

    Parameters
    ----------
    reason : Reason
    first_day : date
        Site day 0 of the groups.
    medium : Medium
        Of the group.
    """
    cause = _cause(reason)
    if reason.cause is Cause.NOTHING and medium is not Medium.ELECTRICITY:
        cause = "it registers nothing while something is taken: bypass or stands still"
    if reason.since < 0:
        return cause
    since = (first_day + datetime.timedelta(days=reason.since)).isoformat()
    return "; ".join((cause, _pattern(reason, since), _amount(reason.energy, reason.half_width, medium)))


def english_whole(found: Leftover, state: State, normal: float, first_day: datetime.date, medium: Medium) -> str:
    """
    Return the sentence of a case of a whole group.

    Parameters
    ----------
    found : Leftover
    state : State
        `UNMETERED` or `TECHNICAL`.
    normal : float
        The loss that is normal in the group. [1]
    first_day : date
        Site day 0 of the groups.
    medium : Medium
    """
    since = (first_day + datetime.timedelta(days=found.since)).isoformat()
    share, lost = f"{100 * found.share:.0f}", f"{100 * found.lost:.1f}"
    if state is State.TECHNICAL:
        parts = ("what is missing goes with the square of the load: technical losses",
                 f"{lost} % of the feed are missing since {since}, where {100 * normal:g} % are normal")
    elif found.since:
        parts = ("no member explains it: perhaps a connection without a meter",
                 f"unassigned are {share} % of the imbalance since {since}")
    else:
        parts = ("no member explains it: perhaps a connection without a meter",
                 f"unassigned are {share} % of the imbalance, for as long as was looked at (since {since})")
    return "; ".join((*parts, _amount(found.energy, found.half_width, medium)))


def _amount(energy: float, half_width: float, medium: Medium) -> str:
    return f"{energy:.0f} ± {half_width:.0f} {UNIT_OF_MEDIUM[medium]}"


def _pattern(reason: Reason, since: str) -> str:
    share, drop = f"{100 * reason.share:.0f}", f"{100 * reason.drop:.0f}"
    return {
        Pattern.STEADY: f"its profile explains {share} % of the imbalance, for as long as was looked at (since {since})",
        Pattern.FACTOR: f"its profile explains {share} % of the imbalance since {since}",
        Pattern.CEILING: f"it stops at a ceiling, and there arises {share} % of the imbalance since {since}",
        Pattern.OFFSET: f"it registers the same amount too little in every hour, {share} % of the imbalance since {since}",
        Pattern.HOURS: f"it registers nothing in the same hours of each day, {share} % of the imbalance since {since}",
        Pattern.DETACHED: f"it registers {drop} % less than before, and that is {share} % of the imbalance since {since}",
    }[reason.pattern]


def _cause(reason: Reason) -> str:
    drop = f"{100 * reason.drop:.0f}"
    return {
        Cause.CLEAR: "nothing speaks against it",
        Cause.FAULTY_METER: "slow, failed or tampered meter",
        Cause.BYPASS_HOURS: "bypass by hours",
        Cause.MAGNET: "it began when a magnet was reported",
        Cause.COVER_OPENED: "it began when an opened cover was reported",
        Cause.REVERSED: "it counts backwards since lately: phase and neutral swapped, or somebody generates behind it",
        Cause.NOTHING: "it registers nothing while it takes power: bypass, stands still or phase and neutral swapped",
        Cause.CHANGED_HABITS: f"changed habits: {drop} % less than before, and the imbalance stayed",
        Cause.FEW_HOURS: f"not enough data: {reason.hours} hours in which the feed and all members are there",
        Cause.COARSE_REGISTER: f"not enough data: one count of its register is {reason.counts:.1f} hours of consumption",
        Cause.LITTLE_PAST: "not enough data: too few of its own days",
    }[reason.cause]
