"""Limits of all tags at once: beyond raises, back by the hysteresis clears, a bad value says nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.alarms.limits import KINDS, evaluate, limit_table
from scada.tags import Device, Limits, Quality, Snapshot, TagDef

LIMITS = Limits(low_low=-20.0, low=-10.0, high=10.0, high_high=20.0, hysteresis=2.0)
DEVICE = Device("D", (TagDef("free"), TagDef("x", "A", limits=LIMITS), TagDef("y", "A", limits=Limits(high=5.0))))
INDEX = {"D/free": 0, "D/x": 1, "D/y": 2}
NOTHING = np.zeros((2, 4), dtype=bool)


def snapshot(x, y=0.0, quality=Quality.GOOD):
    zeros = np.zeros(3, dtype=np.int64)
    qualities = np.full(3, quality, dtype=np.uint8)
    return Snapshot(tuple(INDEX), INDEX, np.array([0.0, x, y]), qualities, zeros, zeros, 0)


def holding(*values):
    """The kinds that hold for x after a series of values."""
    table, state = limit_table([DEVICE], INDEX), NOTHING
    for value in values:
        state = evaluate(table, snapshot(value), state)
    return {kind for kind, holds in zip(KINDS, state[0], strict=True) if holds}


@pytest.mark.parametrize(("values", "expected"), [
    ((0,), set()), ((10,), set()), ((10.1,), {"high"}), ((20.1,), {"high", "high_high"}),
    ((-10.1,), {"low"}), ((-20.1,), {"low", "low_low"}),
    ((10.1, 9), {"high"}), ((10.1, 8), set()), ((21, 19), {"high", "high_high"}), ((21, 17.9), {"high"}),
    ((-11, -9), {"low"}), ((-11, -8), set()), ((9,), set()),
    ((10.1, np.nan), {"high"}), ((9, np.nan), set()),
])
def test_a_limit_holds_from_beyond_it_until_back_by_the_hysteresis(values, expected):
    """Each side and each step of two limits, and a missing value in between."""
    assert holding(*values) == expected


@given(
    before=st.lists(st.booleans(), min_size=8, max_size=8), value=st.floats(-100, 100),
    quality=st.sampled_from([quality for quality in Quality if quality >= 32]),
)
def test_a_bad_value_neither_raises_nor_clears(before, value, quality):
    """Whatever stands in the tag: it is not a measurement."""
    table = limit_table([DEVICE], INDEX)
    state = np.array(before).reshape(2, 4) & ~np.isnan(table.limit)

    assert (evaluate(table, snapshot(value, value, quality), state) == state).all()


def test_an_uncertain_value_counts():
    """A magnet must not keep an overload from being seen."""
    table = limit_table([DEVICE], INDEX)

    assert evaluate(table, snapshot(11.0, quality=Quality.UNCERTAIN_LAST_KNOWN), NOTHING)[0].any()


def test_only_tags_with_limits_and_only_limits_that_are_set_are_looked_at():
    """`free` has none, `y` only an upper one."""
    table = limit_table([DEVICE], INDEX)

    assert table.tags == ("D/x", "D/y")
    assert evaluate(table, snapshot(0.0, 1e9), NOTHING)[1].tolist() == [False, False, True, False]
    assert not evaluate(table, snapshot(0.0, -1e9), NOTHING)[1].any()


def test_no_tag_with_a_limit_is_no_trouble():
    """A site at its first start."""
    table = limit_table([], {})

    assert evaluate(table, snapshot(0.0), np.zeros((0, 4), dtype=bool)).shape == (0, 4)
