"""Who should be moved, in three steps: allocations to choose from, what each gives by power flow, and the choice. Pure.

The steps are apart because the first two are the heavy ones: they are sent to wherever there is a processor to spare.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network, of_hours
from scada.balancing.phases.absolute import by_mean
from scada.balancing.phases.checked import Check, by_power_flow
from scada.balancing.phases.gram import Score, by_neutral
from scada.balancing.phases.identify import SURE, UNKNOWN, Identified
from scada.balancing.phases.inputs import Given, Inputs
from scada.balancing.phases.orders import NAMES, work_order
from scada.balancing.phases.pareto import CAPS, candidates, judged
from scada.balancing.phases.search import KICKS, searched
from scada.balancing.phases.several import several_phases
from scada.balancing.phases.uneven import allocated
from scada.balancing.phases.wires import by_wires
from scada.phase_study import Lack, Objective, PhaseCheck, PhaseMove, PhasePoint, PhaseSplit

KICKS_EACH, FEWEST_KICKS = 5, 200       # disturbances of each search: a small group has few places to look at
Advice = tuple[tuple[PhasePoint, ...], tuple[PhaseMove, ...], tuple[PhaseSplit, ...]]


@attrs.frozen(eq=False)
class Draft:
    """Allocations of the k consumers whose phase is known; t hours."""

    which: NDArray[np.intp]                             # (k,) rows of the inputs
    start: NDArray[np.int64]                            # (k,) today
    fixed: NDArray[np.float64]                          # (t, 3) what stays on each phase; NaN where it is not known [W]
    feed: NDArray[np.float64] | None                    # (t, 3) that it is the rest of; None: of other members only [W]
    found: list[list[NDArray[np.int64]]]                # as `pareto.candidates`
    objective: Objective
    chosen: bool                                        # by a cap that somebody gave; else the last point that is worth it


@attrs.frozen(eq=False)
class CheckJob:
    """One allocation to be computed; it can be sent."""

    place: tuple[int, int]                              # in `Draft.found`
    network: Network
    active: NDArray[np.float64]                         # (t, p) [W]
    consumers: NDArray[np.intp]                         # (m,) service points of those in the network
    phase: NDArray[np.int64]                            # (m,)


def drafted(
    given: Given, rows: NDArray[np.int64], found: Identified | None, moves: int | None, lacks: dict[Lack, tuple[int, ...]],
    objective: Objective, feed: NDArray[np.float64] | None = None,
) -> Draft | None:
    """
    Return allocations to choose from; None where nobody's phase is known.

    They start from the phases that profiles clearly show, else from those of the registry. What stays is the rest of the
    feed, (t, 3) in the registry's names; without one, what is known of members whom nobody moves. `rows` are the hours used
    of the period. Where there is a network, those that its lines like best are among them: power flow decides.
    """
    of = given.of
    start = of.registered.copy()
    if found is not None:
        clear = (found.phase != UNKNOWN) & (np.nan_to_num(found.margin) >= SURE)
        start = np.where(clear | (start == UNKNOWN), found.phase, start)
    known = start != UNKNOWN
    if unknown := int(np.count_nonzero(~known)):
        lacks[Lack.UNKNOWN_PHASE] = (unknown,)
    if not known.any():
        return None
    which = np.flatnonzero(known)
    caps = [cap for cap in CAPS if moves is None or cap < moves] + ([] if moves is None else [moves])
    profiles, start = of.profiles[which], start[which]
    fixed = of.fixed if feed is None else feed - allocated(profiles, start)
    table = _score(profiles, fixed, objective)
    kicks = min(max(KICKS_EACH * len(which), FEWEST_KICKS), KICKS)
    choice = candidates(profiles, table, start, caps, fixed, kicks=kicks)
    points = _places(given, which)
    wires = None if given.network is None else by_wires(given.network, given.active[rows], points, start, profiles, fixed)
    if wires is not None:
        others = searched(wires, start, caps, kicks=kicks)
        choice = [_different([other, *alike]) for other, alike in zip([start, *others], choice, strict=True)]
    return Draft(which, start, fixed, feed, choice, objective, moves is not None)


def check_jobs(given: Given, draft: Draft, rows: NDArray[np.int64]) -> tuple[list[CheckJob], int]:
    """What is to be computed over the hours `rows` of the period, and how many consumers are not in the network."""
    assert given.network is not None
    points = _places(given, draft.which)
    inside = points >= 0
    active = given.active[rows]
    jobs = [
        CheckJob((cap, index), given.network, active, points[inside], phase[inside])
        for cap, alike in enumerate(draft.found) for index, phase in enumerate(alike)
    ] if inside.any() else []
    return jobs, int(np.count_nonzero(~inside))


def check_of(job: CheckJob) -> tuple[tuple[int, int], Check]:
    """Hourly means, with what they hide of the loss."""
    return job.place, by_power_flow(
        job.network, job.active, job.consumers, 1.0, of_hours(job.network.form)
    )(job.phase)


def advice(
    group: str, of: Inputs, draft: Draft, found: Identified | None, checks: dict[tuple[int, int], Check]
) -> Advice:
    """The points, the work order of the chosen one, and who gains from more phases; unchecked unless all are."""
    profiles, begin = of.profiles[draft.which], draft.start
    table = _score(profiles, draft.fixed, draft.objective)
    by_place = [[checks.get((cap, index)) for index in range(len(alike))] for cap, alike in enumerate(draft.found)]
    whole = all(one is not None and np.isfinite(one.loss) for alike in by_place for one in alike)
    curve = judged(profiles, table, begin, draft.found, draft.fixed, by_place if whole else None)
    chosen = curve[-1] if draft.chosen else next(one for one in reversed(curve) if one.worth)
    said = found and Identified(
        found.phase[draft.which], found.margin[draft.which], found.votes[draft.which], found.hours)
    points, titles = ([names[one] for one in draft.which] for names in (of.points, of.titles))
    order = work_order(group, table, begin, chosen.phase, points, titles, said)
    other = {of.points[one] for one, now in zip(draft.which, begin, strict=True) if now != of.registered[one]}
    splits = several_phases(by_neutral(profiles, draft.fixed), profiles, chosen.phase)
    return (
        tuple(
            PhasePoint(one.moves, one.score, one.unevenness, one.worst, one.deviation, one.worth, _said(one.check))
            for one in curve
        ),
        tuple(
            PhaseMove(step.number, step.consumer, step.address, step.of, step.to, step.left,
                      step.doubtful or step.consumer in other)
            for step in order.steps
        ),
        tuple(
            PhaseSplit(
                points[one.consumer], titles[one.consumer],
                "".join(name for name, share in zip(NAMES, one.shares, strict=True) if share > 0),
                one.gain, one.peak, one.large,
            ) for one in splits
        ),
    )


# ---------------------------------------------------------------------- private
def _places(given: Given, which: NDArray[np.intp]) -> NDArray[np.intp]:
    """(k,) service points of the network; -1 where a consumer has none."""
    place = {name: index for index, name in enumerate(given.network.points if given.network is not None else ())}
    return np.array([place.get(given.of.points[one], -1) for one in which], dtype=np.intp)


def _different(alike: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Each allocation once, where it comes last: the last of all is taken where nothing is checked."""
    return [one for place, one in enumerate(alike) if not any((one == other).all() for other in alike[place + 1:])]


def _score(profiles: NDArray[np.float64], fixed: NDArray[np.float64], objective: Objective) -> Score:
    return (by_mean if objective is Objective.ABSOLUTE else by_neutral)(profiles, fixed)


def _said(check: Check | None) -> PhaseCheck | None:
    if check is None:
        return None
    return PhaseCheck(check.loss / 1e3, check.neutral, check.neutral_peak, check.lowest, check.collapsed)
