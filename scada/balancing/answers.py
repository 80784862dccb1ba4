"""What an examination of balance groups comes to: states, and suspicions with their sentences and evidence. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.examination import Inquiry
from scada.balancing.suspects.columns import Groups, stacked
from scada.balancing.suspects.evidence import evidence
from scada.balancing.suspects.examine import Report, examine
from scada.balancing.suspects.reasons import Reason, english, english_whole, reasons
from scada.balancing.suspects.states import State
from scada.balancing.suspects.verdicts import Cause
from scada.balancing.suspects.whole import leftover
from scada.cases import GroupState, Suspicion
from scada.site import UNIT_OF_MEDIUM

TOLD: Final = 200                       # members of one batch that somebody should read of, without the suspects


@attrs.frozen
class Answer:
    """What a batch came to: every group's state, and members that somebody should read of, suspects first."""

    states: tuple[GroupState, ...]
    suspicions: tuple[Suspicion, ...]


def examined(inquiry: Inquiry) -> Answer:
    """Pure: the arithmetic, and sentences of it."""
    groups = stacked(inquiry.feed, inquiry.taken, inquiry.technical or None)
    # The square of the load stays: of groups without a network it is all of the loss, of others what is left of it.
    report = examine(groups, inquiry.resolution, inquiry.period.weekend, inquiry.magnets, inquiry.covers, loss_term=True)
    named = int(report.said.suspect.sum())
    listed = reasons(groups, report.first, report.found, report.said, inquiry.resolution, named + TOLD)
    states = tuple(
        GroupState(
            name, State(report.said.state[index]).name.lower(), float(report.said.unassigned[index]),
            UNIT_OF_MEDIUM[inquiry.media[index]], int(report.first.hours[index]),
        )
        for index, name in enumerate(inquiry.groups)
    )

    def told(reason: Reason) -> Suspicion:
        medium, suspect = inquiry.media[reason.group], bool(report.said.suspect[reason.group, reason.member])
        drawn = evidence(groups, report.found, reason.group, reason.member) if suspect else None
        since = date.fromordinal(inquiry.period.first_day.toordinal() + max(reason.since, 0)).isoformat()
        return Suspicion(
            inquiry.groups[reason.group], inquiry.members[reason.group][reason.member], suspect, reason.cause.name.lower(),
            english(reason, inquiry.period.first_day, medium), UNIT_OF_MEDIUM[medium], reason.energy, reason.half_width,
            reason.share, reason.score, since if suspect else "", inquiry.period.first_day.isoformat(),
            *(() if drawn is None else (
                _rounded(drawn.daily_forecast), _rounded(drawn.daily_registered), _rounded(drawn.daily_imbalance),
                (), _rounded(drawn.mean_registered), _rounded(drawn.mean_imbalance), drawn.resemblance,
            )),
        )

    # a whole group without enough data says so by its state, not by each of its members
    of_members = (told(one) for one in listed if one.cause is not Cause.FEW_HOURS)
    return Answer(states, (*of_members, *_of_groups(inquiry, groups, report)))


def _of_groups(inquiry: Inquiry, groups: Groups, report: Report) -> Iterator[Suspicion]:
    """Of whole groups: what no member explains, and technical losses that are more than is normal."""
    first_day = inquiry.period.first_day
    for index in np.flatnonzero(np.isin(report.said.state, (State.UNMETERED, State.TECHNICAL))).tolist():
        state, found = State(report.said.state[index]), leftover(groups, report, index)
        normal = inquiry.normal[index] if inquiry.normal else np.inf
        if found.energy <= 0 or (state is State.TECHNICAL and not found.lost > normal):
            continue
        group, medium = inquiry.groups[index], inquiry.media[index]
        since = date.fromordinal(first_day.toordinal() + found.since).isoformat()
        yield Suspicion(
            group, group, True, state.name.lower(), english_whole(found, state, normal, first_day, medium),
            UNIT_OF_MEDIUM[medium], found.energy, found.half_width, found.share, found.score, since, first_day.isoformat(),
            imbalance=_rounded(found.imbalance), unassigned=_rounded(found.unassigned),
        )


def ranked(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
    """Suspects first, each part by score."""
    return sorted(suspicions, key=lambda one: (not one.suspect, -one.score, one.group, one.member))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values.tolist())
