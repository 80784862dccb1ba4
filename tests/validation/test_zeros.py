"""A meter that stands still: named by its own past, and by nothing less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.validation.zeros import LEAST_PAST_H, pauses, stuck

NAN = float("nan")


def series(*parts: tuple[float, int]) -> list[float]:
    return [value for value, hours in parts for _ in range(hours)]


@pytest.mark.parametrize(("hours", "present", "longest"), [
    (series((3, 4)), 0, 0),
    (series((3, 2), (0, 3)), 3, 0),
    (series((3, 1), (0, 2), (3, 1), (0, 1)), 1, 2),
    (series((0, 4), (3, 1)), 0, 0),                         # before its first pulse nobody knows
    (series((0, 5)), 0, 0),
    (series((3, 1), (0, 2), (NAN, 5), (0, 1)), 3, 0),       # what is missing ends nothing and lengthens nothing
    (series((3, 1), (NAN, 5)), 0, 0),
])
def test_pauses_are_counted_over_what_is_held(hours: list[float], present: int, longest: int) -> None:
    """Of the present one, and the longest that ended."""
    found = pauses(np.array([hours]))

    assert (found.present[0], found.longest[0]) == (present, longest)


@given(st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=1, max_size=40))
def test_pauses_are_what_a_loop_over_the_hours_would_count(hours: list[float]) -> None:
    """The arrays against the plain meaning of the words."""
    run, longest, begun = 0, 0, False
    for value in hours:
        if value > 0:
            longest, run, begun = max(longest, run), 0, True
        elif value == 0 and begun:
            run += 1
    found = pauses(np.array([hours]))

    assert (found.present[0], found.longest[0]) == (run, longest)
    assert found.used[0] == sum(value > 0 for value in hours)


@pytest.mark.parametrize(("hours", "said"), [
    (series((3, LEAST_PAST_H), (0, 12)), True),
    (series((3, LEAST_PAST_H), (0, 11)), False),            # shorter than what is remarkable at all
    (series((3, LEAST_PAST_H - 1), (0, 12)), False),        # it has no past
    (series((3, 20), (0, 6), (3, 10), (0, 17)), False),     # it has paused for 6 h before: 17 h may be a weekend
    (series((3, 20), (0, 6), (3, 10), (0, 18)), True),
])
def test_a_pause_is_told_when_it_is_much_longer_than_any_before(hours: list[float], said: bool) -> None:
    """And never before the least hours, nor without a past."""
    assert stuck(pauses(np.array([hours])), np.array([12]))[0] == said


def test_no_hours_are_no_pause() -> None:
    """An empty range is answered, too."""
    assert pauses(np.empty((3, 0))).present.tolist() == [0, 0, 0]
