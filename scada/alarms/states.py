"""The life of an alarm: a table and one function, after the state diagram of ISA-18.2.

* An alarm that was raised stays on the screen until its condition is over **and** somebody has acknowledged it,
  in either order.
* A condition that returns before anybody acknowledged its end is unacknowledged again.
* What is not in the table changes nothing: raising what is raised, clearing what is clear.
"""

from enum import StrEnum
from typing import Final

from scada.ports import AlarmState


class AlarmEvent(StrEnum):
    RAISE = "raise"                     # the condition holds
    CLEAR = "clear"                     # the condition is over
    ACKNOWLEDGE = "acknowledge"         # a person took note


TRANSITIONS: Final[dict[tuple[AlarmState, AlarmEvent], AlarmState]] = {
    (AlarmState.NORMAL, AlarmEvent.RAISE): AlarmState.UNACKNOWLEDGED,
    (AlarmState.UNACKNOWLEDGED, AlarmEvent.CLEAR): AlarmState.RETURNED,
    (AlarmState.UNACKNOWLEDGED, AlarmEvent.ACKNOWLEDGE): AlarmState.ACKNOWLEDGED,
    (AlarmState.ACKNOWLEDGED, AlarmEvent.CLEAR): AlarmState.NORMAL,
    (AlarmState.RETURNED, AlarmEvent.RAISE): AlarmState.UNACKNOWLEDGED,
    (AlarmState.RETURNED, AlarmEvent.ACKNOWLEDGE): AlarmState.NORMAL,
}

HOLDS: Final = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED})     # states in which the condition holds
WAITS: Final = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED})         # states that wait for a person


def after(state: AlarmState, event: AlarmEvent) -> AlarmState:
    """The state an event leads to; the same state where it changes nothing."""
    return TRANSITIONS.get((state, event), state)
