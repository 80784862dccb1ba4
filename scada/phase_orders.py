"""Work orders for moves between phases: what was asked of a crew, what became of it, what it gave. Values only."""

import json
from enum import StrEnum
from typing import Final

import attrs

from scada.commands import Role
from scada.phase_study import Objective, PhaseCheck

MAY_ORDER: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})
LONGEST_NOTE: Final = 500


class OrderState(StrEnum):
    OPEN = "open"                           # the crew has it
    DONE = "done"                           # somebody said that the crew is back, and on which day it was there
    WITHDRAWN = "withdrawn"


class MoveState(StrEnum):
    """What the registry says of a proposed move by now."""

    DONE = "done"                           # the consumer's phase was changed to the one that was proposed
    NOT_DONE = "not_done"                   # it says what it said when the order was made
    ELSEWHERE = "elsewhere"                 # changed to another one
    SAID_BEFORE = "said_before"             # it said the proposed phase already, and profiles another: nothing can be told
    GONE = "gone"                           # the point or its consumer is not there any more


class NoGain(StrEnum):
    """Why no achieved gain is said."""

    NOT_DONE = "not_done"                   # nobody has said that the crew was there
    NONE_MOVED = "none_moved"               # the registry has none of the moves
    NO_FEED = "no_feed"                     # no three-phase meter at the transformer
    TOO_EARLY = "too_early"                 # days after, least
    FEW_BEFORE = "few_before"               # days before, least
    NOTHING_ALIKE = "nothing_alike"         # no hours after that can be compared with any before


@attrs.frozen
class OrderedMove:
    point: str
    title: str
    of: str                                 # the phase it hung on, as far as was known
    to: str
    registered: str                         # in the registry when the order was made
    left: float                             # of the objective after this move and those before it [1]
    measure_first: bool


@attrs.frozen
class OrderChange:
    at: int                                 # ns
    who: str
    before: str                             # state; "" where the order was made
    after: str
    note: str = ""


@attrs.frozen
class Proposal:
    """What is kept of a study: the moves, and what they are to give."""

    first_hour: int                         # of the study [h since 1970]
    hours: int
    objective: Objective
    moves: tuple[OrderedMove, ...]
    today: PhaseCheck | None                # by power flow, where the group has a network
    after: PhaseCheck | None

    def to_json(self) -> str:
        return json.dumps(attrs.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Proposal":
        found = json.loads(text)
        return cls(
            found["first_hour"], found["hours"], Objective(found["objective"]),
            tuple(OrderedMove(**one) for one in found["moves"]),
            *(None if found[name] is None else PhaseCheck(**found[name]) for name in ("today", "after")),
        )


@attrs.frozen
class PhaseOrder:
    number: int
    group: str
    state: OrderState
    made: int                               # ns
    done_on: str                            # site day on which the crew was there; "" unless done
    proposal: Proposal
    changes: tuple[OrderChange, ...] = ()


@attrs.frozen
class MeasuredGain:
    """How much smaller the unevenness has become. [1]"""

    neutral: float                          # of the mean unevenness: of the neutral current
    low: float                              # p5
    high: float                             # p95
    squared: float                          # of its mean square: of the loss in the neutral
    hours: int                              # that were compared
    left_out: int                           # hours after the moves for which there was nothing alike


@attrs.frozen
class Achieved:
    """What an order has given, measured."""

    number: int
    moves: tuple[MoveState, ...]
    lack: NoGain | None
    figures: tuple[int, ...] = ()           # of the lack
    days_before: int = 0                    # with enough hours of the feed
    days_after: int = 0
    load: float = float("nan")              # mean load after over before [1]
    alike: MeasuredGain | None = None       # against hours before of the same place in the week and about the same load
    without: MeasuredGain | None = None     # against the same hours with the moved consumers put back by their profiles
