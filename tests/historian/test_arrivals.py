"""Notes of who brought what: what is read is what was written, in the one form and in the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.historian.arrivals import Arrivals, Whence, decode_arrivals, encode_arrivals, run_of

SHAPE = 256, 24
BY_CELL, BY_ROW = "a number a cell", "a number a row"


def brought(rows: np.ndarray, first: int, width: int, sources: list[list[int]], arrivals: Arrivals) -> None:
    """Rows of one table, dealt out to its sources in turn."""
    whence = Whence(np.array(sources, dtype=np.int64), np.arange(len(rows)) % len(sources))
    columns = slice(first, first + width)
    fresh = arrivals.pulses[rows, columns] == 0
    if fresh.any():
        arrivals.pulses_came(rows, columns, fresh, whence)
    arrivals.registers_came(rows, first, fresh[:, 0], whence)


@st.composite
def noted(draw: st.DrawFn) -> Arrivals:
    arrivals = Arrivals.empty(SHAPE)
    for step in range(draw(st.integers(0, 5))):
        rows = np.array(sorted(draw(st.sets(st.integers(0, 255), min_size=1, max_size=40))))
        first = draw(st.sampled_from((0, 0, 0, 5, 23)))
        width = draw(st.sampled_from((1, 24))) if first == 0 else 1
        age = draw(st.sampled_from((7, 10 + step)))                 # some in the same millisecond as others
        records = draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4))
        brought(rows, first, width, [[age, 3, 2**62, record] for record in records], arrivals)
    return arrivals


@given(noted())
def test_what_is_read_is_what_was_written(arrivals: Arrivals) -> None:
    again = decode_arrivals(SHAPE, *encode_arrivals(arrivals))
    for name in ("pulses", "registers", "sources", "times"):
        assert np.array_equal(getattr(again, name), getattr(arrivals, name)), name


@pytest.mark.parametrize(("width", "form"), [(24, BY_ROW), (1, BY_CELL)])
def test_a_day_that_came_at_once_takes_a_number_a_row(width: int, form: str) -> None:
    arrivals = Arrivals.empty(SHAPE)
    brought(np.arange(256), 0, width, [[5, 1, 1, one] for one in range(13)], arrivals)
    _, n, _ = encode_arrivals(arrivals)
    assert (n < 0) == (form == BY_ROW)
    assert abs(n) == 13
    assert arrivals.source(0) is None
    assert arrivals.source(13) == (5, 1, 1, 12)


def test_a_delivery_that_comes_in_two_parts_has_one_number() -> None:
    arrivals = Arrivals.empty(SHAPE)
    brought(np.arange(10), 0, 24, [[5, 1, 1, 1]], arrivals)
    brought(np.arange(10, 20), 0, 24, [[5, 1, 1, 1], [5, 1, 1, 2]], arrivals)
    assert len(arrivals.sources) == 2
    assert set(arrivals.pulses[:20].ravel().tolist()) == {1, 2}


@given(st.lists(st.integers(0, 255), max_size=30))
def test_a_run_of_rows_names_the_same_rows(rows: list[int]) -> None:
    wanted = np.array(rows, dtype=np.int64)
    assert np.array_equal(np.arange(256)[run_of(wanted)], wanted)
