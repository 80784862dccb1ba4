"""Channels in any order, several times, unknown ones among them: each gets its own readings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scada.historian.dense import SLOTS
from scada.historian.gathered import ByBlock

SLOT = st.one_of(st.just(-1), st.integers(0, 12), st.integers(SLOTS - 3, SLOTS + 3), st.integers(5 * SLOTS, 5 * SLOTS + 4))


@given(st.lists(SLOT, max_size=30))
def test_every_line_gets_the_row_of_its_slot(slots: list[int]) -> None:
    """Written through `of`, what comes out is what was asked; lines without a slot are left alone."""
    asked = np.array(slots, dtype=np.int64)
    places, found = ByBlock(asked), np.full((len(asked), 2), -1)
    for number in places.numbers:
        lines, rows = places.of(number)
        found[lines, 0:2] = (number * SLOTS + rows)[:, None]

    assert found[:, 0].tolist() == asked.tolist()
    assert found[:, 1].tolist() == asked.tolist()


def test_nothing_asked_is_nothing_found() -> None:
    """No blocks."""
    assert ByBlock(np.empty(0, np.int64)).numbers == []
