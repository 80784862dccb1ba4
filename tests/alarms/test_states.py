"""The table of alarm states: every state can get home, and nothing happens that is not in it."""

import pytest

from scada.alarms.states import HOLDS, TRANSITIONS, WAITS, AlarmEvent, after
from scada.ports import AlarmState


def test_every_state_can_get_home():
    """From anywhere, the end of the condition and an acknowledgement lead back to normal, in either order."""
    for state in AlarmState:
        assert after(after(state, AlarmEvent.CLEAR), AlarmEvent.ACKNOWLEDGE) is AlarmState.NORMAL
        assert after(after(state, AlarmEvent.ACKNOWLEDGE), AlarmEvent.CLEAR) is AlarmState.NORMAL


def test_every_state_can_be_reached():
    """A state no path leads to would be a lie in the table."""
    reached = {AlarmState.NORMAL}
    for _ in AlarmState:
        reached |= {after(state, event) for state in reached for event in AlarmEvent}

    assert reached == set(AlarmState)


@pytest.mark.parametrize("state", AlarmState)
def test_the_same_event_twice_is_the_same_as_once(state):
    """Deliveries are repeated; alarms are not."""
    for event in AlarmEvent:
        assert after(after(state, event), event) is after(state, event)


def test_nobody_acknowledges_what_never_was_and_no_end_is_lost():
    """The two sets say what the table does."""
    assert after(AlarmState.NORMAL, AlarmEvent.ACKNOWLEDGE) is AlarmState.NORMAL
    assert {state for state in AlarmState if after(state, AlarmEvent.CLEAR) is not state} == HOLDS
    assert {state for state in AlarmState if after(state, AlarmEvent.ACKNOWLEDGE) is not state} == WAITS
    assert all(after(state, event) is target for (state, event), target in TRANSITIONS.items())


def test_a_condition_that_comes_back_waits_again_for_a_person():
    """Also when nobody had acknowledged its first end."""
    assert after(AlarmState.RETURNED, AlarmEvent.RAISE) is AlarmState.UNACKNOWLEDGED
