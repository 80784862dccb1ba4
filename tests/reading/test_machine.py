"""The table of a share's states, and what any order of happenings leaves of it."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.clock import NS
from scada.reading import course
from scada.reading.machine import TRANSITIONS, UNDER_WAY, Action, Happening
from scada.reads import OVER, ChannelReading, ReadMember, ReadReport, ReadShare, ReadState

READ_ID = bytes(16)
EUIS = (11, 12, 13)
DEADLINE = 900 * NS


def share() -> ReadShare:
    members = tuple(ReadMember(eui, index, f"C01-{index:03}") for index, eui in enumerate(EUIS, 1))
    return ReadShare(READ_ID, "C01", 1, ReadState.NEW, members)


@pytest.mark.parametrize("state", ReadState)
def test_every_state_gets_home(state: ReadState) -> None:
    """From everywhere some end can be reached, and nothing leads out of an end."""
    reached, todo = {state}, [state]
    while todo:
        here = todo.pop()
        for (before, _), (after, _) in TRANSITIONS.items():
            if before is here and after not in reached:
                reached.add(after)
                todo.append(after)

    assert reached & OVER
    assert (reached == {state}) is (state in OVER)


def test_only_what_may_be_in_the_field_is_asked_for_again() -> None:
    """ASK leads into a state that says on disk that an order may have left, whatever comes before."""
    asking = {after for after, actions in TRANSITIONS.values() if Action.ASK in actions}

    assert asking == UNDER_WAY


OF_REPORTS = (Happening.PART, Happening.WHOLE, Happening.EMPTY, Happening.MISSED)
steps = st.lists(
    st.one_of(
        st.sampled_from([one for one in Happening if one not in OF_REPORTS]),
        st.tuples(
            st.integers(0, 3), st.booleans(), st.lists(st.sampled_from(EUIS), max_size=3),
            st.sampled_from(["OK", "NO_ROUTE"]),
        ),
        st.integers(1, 700),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(steps)
def test_whatever_happens_the_ends_are_final_and_nothing_that_came_is_lost(script: list[object]) -> None:
    """Over any script: an end never changes, registers only add up, attempts are counted, and time ends everything."""
    now, one = 0, share()
    registers: set[tuple[int, int]] = set()
    for step in script:
        before = one
        if isinstance(step, Happening):
            one, actions = course.happened(one, step, now)
        elif isinstance(step, tuple):
            number, final, euis, code = step
            readings = tuple((eui, ChannelReading(0 if code == "OK" else -1, code, eui, now)) for eui in euis)
            one, actions = course.reported(one, ReadReport(READ_ID, 1, number, final, readings), now)
        else:
            now += step * NS
            one, actions = course.timed_out(one, DEADLINE, now)
        had = registers
        registers = {(m.eui, reading.pulses) for m in one.members for reading in m.readings if reading.code == "OK"}
        assert had <= registers
        assert one.attempts == before.attempts + (Action.ASK in actions)
        if before.over:
            assert (one, actions) == (before, ())
        if one.state is ReadState.DONE:
            assert all(member.readings or member.reason for member in one.members)
            assert set(range(one.last_part + 1)) <= set(one.parts)
        if one.state in UNDER_WAY and before.state is ReadState.QUEUED and isinstance(step, Happening):
            assert step is Happening.TURN
    one, _ = course.happened(one, Happening.STORED, now)
    one, _ = course.timed_out(one, DEADLINE, DEADLINE + (course.GRACE_S + 1) * NS)

    assert one.over


def test_a_part_that_comes_twice_changes_nothing() -> None:
    """After a break every part is sent again from the first."""
    sent, _ = course.happened(attrs.evolve(share(), state=ReadState.QUEUED), Happening.TURN, 0)
    report = ReadReport(READ_ID, 1, 0, False, ((11, ChannelReading(0, "OK", 5, 0)),))
    once, _ = course.reported(sent, report, 1)
    twice, actions = course.reported(once, report, 2)

    assert once.members[0].answered
    assert (twice, actions) == (once, ())


def test_a_missing_part_is_asked_for_under_the_same_number_and_then_it_is_done() -> None:
    """The final part says by its number how many there are."""
    sent, _ = course.happened(attrs.evolve(share(), state=ReadState.QUEUED), Happening.TURN, 0)
    final = ReadReport(READ_ID, 1, 1, True, ((12, ChannelReading(-1, "TIMEOUT", 0, 0)),))
    first = ReadReport(READ_ID, 1, 0, False, ((11, ChannelReading(0, "OK", 5, 0)),))
    gap, asked = course.reported(sent, final, 1)
    whole, _ = course.reported(gap, first, 2)

    assert (gap.state, asked) == (ReadState.PARTIAL, (Action.ASK,))
    assert whole.state is ReadState.DONE
    assert [member.reason for member in whole.members] == ["", "TIMEOUT", "UNKNOWN"]
