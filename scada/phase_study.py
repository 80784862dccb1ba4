"""What is known of the phases of a balance group over a period, and what should be done about them. Values only."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

MOST_MOVES: Final = 100                 # of a work order

PHASE_WEEK_COLUMNS: Final = (           # a week's study as one row of a series; NaN where it is not known
    "position",                         # of the feed, 0 the best split, 1 all on one phase
    "usual",                            # position of consumers spread at random
    "registered",                       # position of the registry's phases
    "rest",                             # share of the feed with no member
    "elsewhere",                        # consumers clearly on another phase than registered
    "moves",                            # of the work order that would be proposed
    "left",                             # of the mean neutral current, by the members' hours, after it
    "neutral", "neutral_after",         # by power flow, mean of the hours [A]
    "lost", "lost_after",               # in the lines [kWh]
    "g_all", "g_limit", "g_misfit",     # simultaneity of all consumers, of very many, and how well the form fits
    "consumers", "used", "fed",         # that were studied; hours used, and those with the feed's phases
)


class Lack(StrEnum):
    """Why a part of a study is not there; each with its figures in `PhaseStudy.lacks`."""

    NOT_ELECTRICITY = "not_electricity"
    NO_CONSUMERS = "no_consumers"           # no member with one phase
    TOO_LARGE = "too_large"                 # members that were counted before nobody looked further; most
    FEW_HOURS = "few_hours"                 # hours in which members and, where there is one, the feed are known; least
    NO_FEED = "no_feed"                     # no meter whose powers by phase are those of this very group feeds it
    FEW_FEED_HOURS = "few_feed_hours"       # of it hours that are known together with the members; least
    SILENT = "silent"                       # consumers left out: heard of too seldom
    UNKNOWN_PHASE = "unknown_phase"         # consumers left out of the moves: nobody knows where they hang
    THREE_PHASE = "three_phase"             # consumers of several phases: taken as even, never moved
    PASSING = "passing"                     # members that came or went within the period: on their phase, never moved
    EXACT_TOO_LARGE = "exact_too_large"     # consumers, most: the exact solver was not asked
    NO_SOLVER = "no_solver"                 # scipy is not installed
    NO_ANSWER = "no_answer"                 # the exact solver found nothing in its time [s]
    GENERATION = "generation"               # counts negatively on its phase, never moved


class Objective(StrEnum):
    """What the moves are to make small."""

    ABSOLUTE = "absolute"                   # sum over the hours of the neutral current: its mean
    SQUARES = "squares"                     # sum over the hours of the squared neutral current: its loss


class Unchecked(StrEnum):
    """Why no point was checked by power flow."""

    NO_NETWORK = "no_network"               # the group's transformer has none in the registry
    WRONG_NETWORK = "wrong_network"         # it has, and it cannot be computed
    OUTSIDE = "outside"                     # none of the consumers hangs in it
    COLLAPSED = "collapsed"                 # no voltages were found


class FormUsed(StrEnum):
    """Which form factor is in a check by power flow."""

    SHIPPED = "shipped"
    FITTED = "fitted"                       # to the transformer's own consumers
    NONE = "none"                           # the network has loops


@attrs.frozen
class PhaseCheck:
    """A feeder under one allocation by power flow over the hours used, as hourly means tell; a form factor for the loss."""

    lost: float                             # in the lines, all four conductors [kWh]
    neutral: float                          # current at the transformer, mean of the hours [A]
    neutral_peak: float                     # its largest [A]
    lowest: float                           # voltage of any connection in any hour [V]
    collapsed: int                          # hours left out: no voltages were found


@attrs.frozen
class ConsumerPhase:
    """One consumer of one phase, by the registry and by its profile."""

    point: str
    title: str
    registered: str                         # "L1"; "" where the registry says nothing
    found: str                              # "" where nothing can be said
    margin: float                           # best vote less the second, about 0 to 1; NaN if unknown
    disagrees: bool                         # clearly elsewhere than registered


@attrs.frozen
class PhasePoint:
    """What so many moves give, over today."""

    moves: int
    left: float                             # of the objective [1]
    unevenness: float                       # root mean square [W]
    worst: float                            # of the worst hour [W]
    deviation: float                        # mean of the largest deviation from the mean of the phases [1]
    worth: bool                             # no point with fewer moves is as good
    check: PhaseCheck | None = None


@attrs.frozen
class PhaseMove:
    """A line of the work order."""

    number: int
    point: str
    title: str
    of: str
    to: str
    left: float                             # of the objective, after this move and those before it [1]
    measure_first: bool


@attrs.frozen
class PhaseSplit:
    """A consumer that would be better fed by several phases."""

    point: str
    title: str
    phases: str                             # "L1L2"
    gain: float                             # of what is left after the moves [1]
    peak: float                             # [W]
    large: bool


@attrs.frozen(eq=False)
class PhaseCurves:
    """What the same consumers could make, in adjoining hours or days; k of them, NaN where it is not known."""

    start: NDArray[np.int64]                # (k,) s since 1970
    minimum: NDArray[np.float64]            # (k,) the best split of each
    low: NDArray[np.float64]                # (k,) p5 of random allocations
    high: NDArray[np.float64]               # (k,) p95
    maximum: NDArray[np.float64]            # (k,) all on one phase
    measured: NDArray[np.float64]           # (k,)
    similarity: float                       # of the shapes of measured and minimum [1]
    factor: float                           # that lays the curves over the measured one; NaN where there is none
    position: float                         # 0 the best split, 1 all on one phase; NaN where the units differ
    usual: float                            # position of consumers spread at random


@attrs.frozen(eq=False)
class PhaseStudy:
    """Of one balance group, whole hours [first_hour, first_hour + hours)."""

    group: str
    first_hour: int                         # h since 1970
    hours: int
    used: int                               # hours in which enough of the members are known
    fed: int                                # of them those in which the feed's phases are known too
    filled: float                           # share of the consumers' hours that were missing and taken as usual [1]
    lacks: Mapping[Lack, tuple[int, ...]]
    consumers: tuple[ConsumerPhase, ...] = ()
    renamed: tuple[str, ...] = ()           # of the meter's L1, L2, L3 in the registry, where they are exchanged
    points: tuple[PhasePoint, ...] = ()     # today first
    order: tuple[PhaseMove, ...] = ()
    splits: tuple[PhaseSplit, ...] = ()
    registered_position: float = np.nan     # of the phases as the registry has them, between the least and the largest
    uneven: Mapping[int, PhaseCurves] = attrs.field(factory=dict)      # by span [s]; unevenness, W (days: Wh)
    losses: Mapping[int, PhaseCurves] = attrs.field(factory=dict)      # by span [s]; shape of losses [W²], imbalance [kWh]
    net: Mapping[int, PhaseCurves] = attrs.field(factory=dict)         # the same, technical losses deducted
    computed: int = 0                       # hours used whose losses are computed; of the others the normal share is taken
    objective: Objective = Objective.ABSOLUTE
    unchecked: Unchecked | None = None
    together: "Simultaneity | None" = None  # how much the consumers peak together
    proven: bool | None = None              # the moves have the least worst hour there is; None: were not sought so
    rest: float = np.nan                    # share of the feed with no member of the study, losses too; NaN: not known [1]
    staying: tuple[float, ...] = ()         # mean of what the feed has on each phase besides those who may move [W]
    outside: int = 0                        # consumers that have no node in the network: not in the power flow
    form: FormUsed = FormUsed.SHIPPED

    @property
    def disagreements(self) -> tuple[ConsumerPhase, ...]:
        """Clearest first."""
        return tuple(sorted((one for one in self.consumers if one.disagrees), key=lambda one: -one.margin))


@attrs.frozen
class Working:
    """Something is being worked out: how far it is."""

    mine: bool                              # what was asked for; False: something else, ask again
    step: str                               # "reading", "computing", "checking"
    done: int
    of: int


@attrs.frozen(eq=False)
class Simultaneity:
    """How much the members of a group peak together; g(n) for k sizes."""

    group: str
    first_hour: int
    hours: int
    used: int
    filled: float
    lacks: Mapping[Lack, tuple[int, ...]]
    sizes: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    low: tuple[float, ...] = ()             # p5 of the draws
    high: tuple[float, ...] = ()            # p95
    fitted: tuple[float, ...] = ()
    limit: float = np.nan                   # for very many consumers
    misfit: float = np.nan
