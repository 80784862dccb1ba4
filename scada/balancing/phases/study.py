"""A study of a group's phases: who hangs where, who should, and the curves beside what was measured. Pure."""

from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.curves import Curves, Measure, curves
from scada.balancing.phases.gram import by_neutral
from scada.balancing.phases.identify import LEAST_HOURS, SURE, UNKNOWN, Identified, disagreements, identify, relabelled
from scada.balancing.phases.inputs import Inputs
from scada.balancing.phases.likeness import deducted, position, similarity
from scada.balancing.phases.orders import NAMES, work_order
from scada.balancing.phases.pareto import CAPS, pareto
from scada.balancing.phases.several import several_phases
from scada.balancing.phases.uneven import allocated, loss_shape, unevenness
from scada.balancing.simultaneity import coincidence
from scada.clock import DAY_H, HOUR_S
from scada.phase_study import (
    ConsumerPhase,
    Lack,
    PhaseCurves,
    PhaseMove,
    PhasePoint,
    PhaseSplit,
    PhaseStudy,
    Simultaneity,
)

SEED: Final = 5                         # the same input gives the same answer
SIZES: Final = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300)
STEPS: Final = ("phases", "moves", "curves")
DAY_S: Final = DAY_H * HOUR_S
HOPELESS: Final = (Lack.NOT_ELECTRICITY, Lack.NO_CONSUMERS, Lack.TOO_LARGE, Lack.FEW_HOURS)
Told = Callable[[str], None]


def study(
    group: str, first_hour: int, hours: int, of: Inputs, feeder: NDArray[np.float64] | None,
    imbalance: NDArray[np.float64], normal: NDArray[np.float64], moves: int | None = None, told: Told = lambda _step: None,
) -> PhaseStudy:
    """
    Return what can be said of a group's phases.

    Parameters
    ----------
    group : str
        Its name.
    first_hour, hours : int
        The period. [h since 1970], [h]
    of : Inputs
        n consumers, t hours of the period.
    feeder : ndarray of float64, shape (hours, 3), or None
        Mean active power of each phase of the feed, NaN where missing; None where no meter has it. [W]
    imbalance : ndarray of float64, shape (hours,)
        Fed in less members, NaN where it is not whole. [kWh]
    normal : ndarray of float64, shape (hours,)
        Technical losses that the registry calls normal. [kWh]
    moves : int, optional
        Most moves of the work order; else the last number that is worth more than the ones before.
    told : callable
        Is called with the name of each of `STEPS` before it begins.
    """
    lacks = dict(of.lacks)
    at = of.hours - first_hour
    base = PhaseStudy(group, first_hour, hours, len(at), 0, of.filled, lacks)
    if any(lack in lacks for lack in HOPELESS):
        return base
    told("phases")
    found, renamed, feed, fed = _identified(of, None if feeder is None else feeder[at], lacks)
    differ = {one.consumer for one in disagreements(found, of.registered)} if found else set()
    consumers = tuple(
        ConsumerPhase(
            point, title, _name(of.registered[index]), _name(found.phase[index]) if found else "",
            float(found.margin[index]) if found else np.nan, index in differ and of.registered[index] != UNKNOWN,
        ) for index, (point, title) in enumerate(zip(of.points, of.titles, strict=True))
    )
    told("moves")
    advised = _advice(group, of, found, moves, lacks)
    told("curves")
    known = of.registered != UNKNOWN
    by_registry = np.nan
    if known.any():
        same = curves(of.profiles[known], np.random.default_rng(SEED))
        by_registry = float(position(unevenness(allocated(of.profiles[known], of.registered[known])), same))
    days = of.local // DAY_H
    uneven = {} if feed is None else _beside(of, [unevenness(feed)], unevenness, days, True)[0]
    losses, net = _beside(of, [imbalance[at], deducted(imbalance, normal)[at]], loss_shape, days, False)
    return attrs.evolve(
        base, fed=fed, consumers=consumers, renamed=renamed, points=advised[0], order=advised[1], splits=advised[2],
        registered_position=by_registry, uneven=uneven, losses=losses,
        net=net,
    )


def simultaneity_of(group: str, first_hour: int, hours: int, of: Inputs) -> Simultaneity:
    """How much the consumers of one phase peak together, for numbers of them up to all there are."""
    base = Simultaneity(group, first_hour, hours, len(of.hours), of.filled, dict(of.lacks))
    if any(lack in of.lacks for lack in HOPELESS) or not len(of.points):
        return base
    n = len(of.points)
    sizes = np.array([*(size for size in SIZES if size < n), n], dtype=np.int64)
    found = coincidence(of.profiles, sizes, np.random.default_rng(SEED))
    return attrs.evolve(
        base, sizes=tuple(sizes.tolist()), mean=tuple(found.mean.tolist()), low=tuple(found.low.tolist()),
        high=tuple(found.high.tolist()), fitted=tuple(found.fitted(sizes).tolist()), limit=found.limit,
        misfit=found.misfit,
    )


# ---------------------------------------------------------------------- private
def _identified(
    of: Inputs, feed: NDArray[np.float64] | None, lacks: dict[Lack, tuple[int, ...]]
) -> tuple[Identified | None, tuple[str, ...], NDArray[np.float64] | None, int]:
    """Phases in the registry's names, those names if the meter's are others, the feed, and hours it is known in."""
    if feed is None:
        lacks[Lack.NO_FEED] = ()
        return None, (), None, 0
    fed = int((~np.isnan(feed).any(axis=1)).sum())
    if fed < LEAST_HOURS:
        lacks[Lack.FEW_FEED_HOURS] = fed, LEAST_HOURS
        return None, (), feed if fed else None, fed
    found = identify(of.raw, feed, of.local, of.three)
    exchanged = relabelled(found, of.registered)
    if exchanged is None:
        return found, (), feed, fed
    names = np.array(exchanged)
    phase = np.where(found.phase == UNKNOWN, UNKNOWN, names[found.phase])
    return attrs.evolve(found, phase=phase), tuple(NAMES[one] for one in exchanged), feed, fed


Advice = tuple[tuple[PhasePoint, ...], tuple[PhaseMove, ...], tuple[PhaseSplit, ...]]


def _advice(
    group: str, of: Inputs, found: Identified | None, moves: int | None, lacks: dict[Lack, tuple[int, ...]]
) -> Advice:
    """By the phases that profiles clearly show, else by those of the registry."""
    start = of.registered.copy()
    if found is not None:
        clear = (found.phase != UNKNOWN) & (np.nan_to_num(found.margin) >= SURE)
        start = np.where(clear | (start == UNKNOWN), found.phase, start)
    known = start != UNKNOWN
    if unknown := int(np.count_nonzero(~known)):
        lacks[Lack.UNKNOWN_PHASE] = (unknown,)
    if not known.any():
        return (), (), ()
    which = np.flatnonzero(known)
    profiles, begin = of.profiles[which], start[which]
    table = by_neutral(profiles, of.three)
    caps = [cap for cap in CAPS if moves is None or cap < moves] + ([] if moves is None else [moves])
    curve = pareto(profiles, table, begin, caps, of.three)
    chosen = curve[-1] if moves is not None else next(one for one in reversed(curve) if one.worth)
    said = found and Identified(found.phase[which], found.margin[which], found.votes[which], found.hours)
    order = work_order(
        group, table, begin, chosen.phase, [of.points[one] for one in which], [of.titles[one] for one in which], said
    )
    other = {of.points[one] for one in which if start[one] != of.registered[one]}
    return (
        tuple(PhasePoint(one.moves, one.score, one.unevenness, one.worst, one.deviation, one.worth) for one in curve),
        tuple(
            PhaseMove(step.number, step.consumer, step.address, step.of, step.to, step.left,
                      step.doubtful or step.consumer in other)
            for step in order.steps
        ),
        tuple(
            PhaseSplit(
                of.points[which[one.consumer]], of.titles[which[one.consumer]],
                "".join(name for name, share in zip(NAMES, one.shares, strict=True) if share > 0),
                one.gain, one.peak, one.large,
            ) for one in several_phases(table, profiles, chosen.phase)
        ),
    )


def _beside(
    of: Inputs, measured: list[NDArray[np.float64]], measure: Measure, days: NDArray[np.int64], same_unit: bool
) -> list[dict[int, PhaseCurves]]:
    """Curves of hours and of whole days, beside each of what was measured; `same_unit` if a position can be told."""
    found: list[dict[int, PhaseCurves]] = [{} for _ in measured]
    for span, chosen in ((HOUR_S, np.arange(len(days))), (DAY_S, np.flatnonzero(np.isin(days, _whole(days))))):
        if not len(chosen):
            continue
        by_day = days[chosen] if span == DAY_S else None
        made = curves(of.profiles[:, chosen], np.random.default_rng(SEED), measure, days=by_day)
        first = np.arange(len(chosen)) if by_day is None else np.flatnonzero(np.diff(by_day, prepend=by_day[0] - 1))
        for one, into in zip(measured, found, strict=True):
            beside = np.add.reduceat(one[chosen], first)
            into[span] = _one(of.hours[chosen][first] * HOUR_S, made, beside, same_unit)
    return found


def _one(start: NDArray[np.int64], made: Curves, measured: NDArray[np.float64], same_unit: bool) -> PhaseCurves:
    like, factor = similarity(measured, made.minimum)
    return PhaseCurves(
        start, made.minimum, made.low, made.high, made.maximum, measured, like, factor,
        float(position(measured, made)) if same_unit else np.nan,
        float(position(made.middle, made)),
    )


def _whole(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days of which all hours are there; one of 23 at the change of time is taken as whole."""
    names, count = np.unique(days, return_counts=True)
    return np.asarray(names[count >= DAY_H - 1])


def _name(phase: int) -> str:
    return "" if phase == UNKNOWN else NAMES[phase]
