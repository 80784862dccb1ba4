"""A study of a group's phases: who hangs where, who should, and the curves beside what was measured. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.advice import CheckJob, Draft, advice, check_jobs, check_of, drafted
from scada.balancing.phases.checked import Check, Place, form_used, with_rest
from scada.balancing.phases.curves import Curves, Measure, curves
from scada.balancing.phases.exact import LARGEST, SECONDS, Exact, Question, answered
from scada.balancing.phases.identify import LEAST_HOURS, MISSING, UNKNOWN, Identified, disagreements, identify, relabelled
from scada.balancing.phases.inputs import HOPELESS, Given, Inputs
from scada.balancing.phases.likeness import deducted, position, similarity
from scada.balancing.phases.orders import NAMES
from scada.balancing.phases.pareto import CAPS
from scada.balancing.phases.uneven import allocated, loss_shape, unevenness
from scada.balancing.simultaneity import coincidence
from scada.clock import DAY_H, HOUR_S
from scada.phase_study import ConsumerPhase, Lack, Objective, PhaseCurves, PhaseStudy, Simultaneity, Unchecked

Job = TypeVar("Job")
Answer = TypeVar("Answer")
SEED: Final = 5                         # the same input gives the same answer
SIZES: Final = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300)
DAY_S: Final = DAY_H * HOUR_S
Told = Callable[[str, int, int], None]


class Each(Protocol):
    """`map`, or `ports.Compute.each`: answers may come in any order."""

    def __call__(self, function: Callable[[Job], Answer], jobs: Iterable[Job], /) -> Iterator[Answer]: ...


@attrs.frozen(eq=False)
class Asked:
    """A study to be made; it can be sent."""

    group: str
    first_hour: int                         # h since 1970
    hours: int
    given: Given
    moves: int | None = None                # most of the work order; None: the last number that is worth its moves
    objective: Objective = Objective.ABSOLUTE
    exact: bool = False                     # the least worst hour by a solver, where the group is small enough


@attrs.frozen(eq=False)
class Begun:
    """A study with everything but what power flow says, and the choice that it decides."""

    study: PhaseStudy
    found: Identified | None
    draft: Draft | None


def study(asked: Asked, each: Each = map, told: Told = lambda _step, _done, _of: None) -> PhaseStudy:
    """
    Return what can be said of a group's phases.

    Parameters
    ----------
    asked : Asked
    each : callable
        Where the heavy parts are worked out: `map` for here, `ports.Compute.each` for other processes.
    told : callable
        Hears of progress: a step, "computing" or "checking", how many of its parts are done, and of how many.
    """
    told("computing", 0, 1)
    (beginning,) = each(begun, [asked])
    given, draft, made = asked.given, beginning.draft, beginning.study
    if draft is None:
        return made
    if asked.exact:
        draft, made = _exactly(asked, draft, made, each)
    unchecked, outside, checks, jobs = given.unchecked, 0, dict[Place, Check](), list[CheckJob]()
    if given.network is not None:
        jobs, outside = check_jobs(given, draft, given.of.hours - asked.first_hour)
        unchecked = unchecked if jobs else Unchecked.OUTSIDE
    if jobs:
        told("checking", 0, len(jobs))
        for place, check in each(check_of, jobs):
            checks[place] = check
            told("checking", len(checks), len(jobs))
    if given.whole and given.network is not None and draft.feed is not None and jobs:
        checks = with_rest(checks, checks[0, 0], draft.feed, given.network.supply.voltage)
    points, order, splits = advice(asked.group, given.of, draft, beginning.found, checks)
    if jobs and points[0].check is None:
        unchecked = Unchecked.COLLAPSED
    form = made.form if given.network is None else form_used(given.network)
    return attrs.evolve(
        made, points=points, order=order, splits=splits, unchecked=unchecked, outside=outside, form=form
    )


def begun(asked: Asked) -> Begun:
    """What needs no network: who hangs where, allocations to choose from, the curves beside what was measured."""
    of, feeder = asked.given.of, asked.given.feeder
    lacks = dict(of.lacks)
    at = of.hours - asked.first_hour
    base = PhaseStudy(
        asked.group, asked.first_hour, asked.hours, len(at), 0, of.filled, lacks, objective=asked.objective,
        computed=int(asked.given.computed[at].sum()), unchecked=asked.given.unchecked,
    )
    if any(lack in lacks for lack in HOPELESS):
        return Begun(base, None, None)
    found, renamed, feed, fed = _identified(of, None if feeder is None else feeder[at], lacks)
    enough = feed if found is not None else None
    differ = {one.consumer for one in disagreements(found, of.registered)} if found else set()
    consumers = tuple(
        ConsumerPhase(
            point, title, _name(of.registered[index]), _name(found.phase[index]) if found else "",
            float(found.margin[index]) if found else np.nan, index in differ and of.registered[index] != UNKNOWN,
        ) for index, (point, title) in enumerate(zip(of.points, of.titles, strict=True))
    )
    draft = drafted(asked.given, at, found, asked.moves, lacks, asked.objective, enough)
    known = of.registered != UNKNOWN
    by_registry = np.nan
    if known.any():
        same = curves(of.profiles[known], np.random.default_rng(SEED))
        by_registry = float(position(unevenness(allocated(of.profiles[known], of.registered[known])), same))
    days = of.local // DAY_H
    uneven = {} if feed is None else _beside(of, [unevenness(feed)], unevenness, days, True)[0]
    imbalance = asked.given.imbalance
    losses, net = _beside(of, [imbalance[at], deducted(imbalance, asked.given.lost)[at]], loss_shape, days, False)
    staying = () if draft is None or enough is None else tuple(np.nanmean(draft.fixed, axis=0).tolist())
    made = attrs.evolve(
        base, fed=fed, rest=_rest(of, enough), staying=staying, consumers=consumers, renamed=renamed,
        together=simultaneity_of(asked.group, asked.first_hour, asked.hours, of),
        registered_position=by_registry, uneven=uneven, losses=losses, net=net,
    )
    return Begun(made, found, draft)


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
def _exactly(asked: Asked, draft: Draft, made: PhaseStudy, each: Each) -> tuple[Draft, PhaseStudy]:
    """Today's phases and the solver's, in the place of what was searched; or why there is no such answer."""
    question = Question(asked.given.of.profiles[draft.which], draft.start, asked.moves or CAPS[-1], draft.fixed)
    (found,) = each(answered, [question])
    if isinstance(found, Exact):
        draft = attrs.evolve(draft, found=[draft.found[0], [found.phase]], chosen=True)
        return draft, attrs.evolve(made, proven=found.proven)
    figures: dict[Lack, tuple[int, ...]] = {
        Lack.EXACT_TOO_LARGE: (len(draft.which), LARGEST), Lack.NO_ANSWER: (round(SECONDS),),
    }
    return draft, attrs.evolve(made, lacks={**made.lacks, found: figures.get(found, ())})


def _identified(
    of: Inputs, feed: NDArray[np.float64] | None, lacks: dict[Lack, tuple[int, ...]]
) -> tuple[Identified | None, tuple[str, ...], NDArray[np.float64] | None, int]:
    """Phases and feed in the registry's names, those names if the meter's are others, and hours the feed is known in."""
    if feed is None:
        lacks[Lack.NO_FEED] = ()
        return None, (), None, 0
    fed = int((~np.isnan(feed).any(axis=1) & (np.isnan(of.raw).mean(axis=0) <= MISSING)).sum())
    if fed < LEAST_HOURS:
        lacks[Lack.FEW_FEED_HOURS] = fed, LEAST_HOURS
        return None, (), feed if fed else None, fed
    found = identify(of.raw, feed, of.local, of.fixed)
    exchanged = relabelled(found, of.registered)
    if exchanged is None:
        return found, (), feed, fed
    names = np.array(exchanged)
    phase = np.where(found.phase == UNKNOWN, UNKNOWN, names[found.phase])
    named = np.empty_like(feed)
    named[:, names] = feed
    return attrs.evolve(found, phase=phase), tuple(NAMES[one] for one in exchanged), named, fed


def _rest(of: Inputs, feed: NDArray[np.float64] | None) -> float:
    """Share of the feed that is with no member of the study."""
    if feed is None:
        return np.nan
    both = ~np.isnan(feed).any(axis=1)
    fed = float(feed[both].sum())
    return 1.0 - float(of.profiles[:, both].sum() + of.fixed[both].sum()) / fed if fed > 0 else np.nan


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
