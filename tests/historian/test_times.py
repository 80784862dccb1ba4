"""Times of samples come back to the nanosecond, and cost little where they are regular."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.historian.packing import pack
from scada.historian.times import STEPS, UNITS, pack_times, unpack_times

ANY = st.lists(st.integers(-2**63, 2**63 - 1), max_size=50)
NOW = 1_790_000_000_000_000_000


@given(ANY, st.sampled_from(UNITS))
def test_any_times_come_back(times: list[int], unit: int) -> None:
    """In any order, of any resolution, however far apart."""
    at = np.array(times, dtype=np.int64) // unit * np.int64(unit)
    assert unpack_times(pack_times(at), len(at)).tolist() == at.tolist()


@given(ANY)
def test_what_older_versions_wrote_is_read(times: list[int]) -> None:
    """Plain packed integers."""
    at = np.array(times, dtype=np.int64)
    assert unpack_times(pack(at), len(at)).tolist() == at.tolist()


def test_an_hour_of_seconds_is_a_few_bytes_and_of_milliseconds_some_thousand() -> None:
    """3,600 samples: 40 bytes where the second is kept; two bytes a sample with a few milliseconds to and fro."""
    seconds = NOW + np.arange(3600) * 1_000_000_000
    shaky = seconds + np.random.default_rng(1).integers(-9, 9, 3600) * 1_000_000

    assert len(pack_times(seconds)) < 60
    assert len(pack_times(shaky)) < 2 * 3600


@pytest.mark.parametrize("blob", [b"", bytes((STEPS,)), bytes((STEPS, 9)) + bytes(8), bytes((STEPS, 0)) + bytes(8) + b"xx"])
def test_other_bytes_are_refused(blob: bytes) -> None:
    """A blob that is not one."""
    with pytest.raises(ValueError, match=r"not (a )?packed"):
        unpack_times(blob, 3)
    with pytest.raises(ValueError, match="packed array"):
        unpack_times(pack_times(np.array([1, 2, 3]))[:-1], 3)
