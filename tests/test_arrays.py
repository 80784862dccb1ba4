"""Small things on arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.arrays import distinct


@given(st.lists(st.integers(-5, 5)), st.sampled_from(("i8", "u1", "i4")))
def test_what_stands_in_an_array_each_once_ascending(values: list[int], kind: str) -> None:
    given_ = np.array(values).astype(kind)
    found = distinct(given_)
    assert found.tolist() == sorted(set(given_.tolist()))
    assert found.dtype == given_.dtype


@pytest.mark.parametrize("shape", [(0,), (2, 3)])
def test_of_any_shape(shape: tuple[int, ...]) -> None:
    assert distinct(np.zeros(shape, np.int64)).tolist() == [0] * (shape != (0,))
