"""Hours held, as bits: what was entered is found, nothing else is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import DAY_H
from scada.drivers.dmesh.coverage import WHOLE, Coverage, expected, first_held, hours_in
from scada.intervals import MISSING

DAY = 20_000


def coverage(days: int = 5) -> Coverage:
    made = Coverage(days)
    made.advance(DAY)
    return made


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40_000), st.integers((DAY - 6) * DAY_H, (DAY + 2) * DAY_H), st.lists(st.booleans(), max_size=60)
        ),
        max_size=12,
    )
)
def test_exactly_the_hours_that_came_are_held(blocks: list[tuple[int, int, list[bool]]]) -> None:
    """Against a set of (slot, hour), for any blocks, also of several days and beyond the window."""
    made, truth = coverage(), set()
    for slot, first, there in blocks:
        counts = np.where(np.array(there, dtype=bool), 7, MISSING).astype(np.int64)
        made.enter(np.array([slot]), first, counts[None, :])
        truth |= {(slot, first + place) for place, one in enumerate(there) if one}
    slots = np.array(sorted({slot for slot, _, _ in blocks} | {1, -1}))
    found = made.held(slots, DAY - 4, 6)
    bits = {
        (int(slot), (DAY - 4 + row) * DAY_H + hour)
        for row in range(6) for place, slot in enumerate(slots) for hour in range(DAY_H) if found[row, place] >> hour & 1
    }

    assert bits == {(slot, hour) for slot, hour in truth if DAY - 4 <= hour // DAY_H <= DAY + 1}


def test_quarter_hours_are_held_when_all_four_of_an_hour_are() -> None:
    """From a quarter past: the first hour is not whole, and one missing quarter breaks the third."""
    counts = np.full((1, 11), 3, dtype=np.int64)
    counts[0, 8] = MISSING
    made = coverage()
    made.enter(np.array([4]), DAY * DAY_H * 4 + 1, counts, 900)

    assert made.held(np.array([4]), DAY, 1)[0, 0] == 0b010


def test_an_old_day_is_forgotten_and_a_clock_that_went_back_drops_nothing() -> None:
    """The window moves with the newest day only."""
    made = coverage(2)
    made.enter(np.array([0]), (DAY - 1) * DAY_H, np.zeros((1, 24), dtype=np.int64))
    made.advance(DAY - 3)
    assert made.held(np.array([0]), DAY - 1, 1)[0, 0] == WHOLE

    made.advance(DAY + 1)

    assert made.held(np.array([0]), DAY - 1, 1)[0, 0] == 0
    assert made.nbytes == 0


def test_what_is_expected_begins_with_the_first_hour_ever_held() -> None:
    """A channel that joined at five o'clock owes nothing before; one that never delivered owes from where it is told."""
    made = coverage()
    made.enter(np.array([3]), (DAY - 1) * DAY_H + 5, np.zeros((1, 2), dtype=np.int64))
    since = first_held(made.held(np.array([3, 9]), DAY - 4, 5), DAY - 4)
    words = expected(np.array([since[0], DAY * DAY_H]), DAY * DAY_H + 2, DAY - 1, 2)

    assert since.tolist() == [(DAY - 1) * DAY_H + 5, -1]
    assert hours_in(words[0]) == 19
    assert words[1].tolist() == [3, 3]
