"""Values of live tags are stored small where they are decimals, and exactly whatever they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.historian.decimals import pack_floats, unpack_floats
from scada.historian.packing import pack
from scada.historian.samples import Samples, decode, encode

EXTREMES = (0.0, -0.0, float("inf"), -float("inf"), 5e-324, -5e-324, 2.2e-308, 1.7976931348623157e308, 0.1, -230.1, 49.98,
            2**53, 2**53 + 2.0, 1e22, 2.0**31, 2147483646.0, -2147483646.0, 0.1 + 0.2)


def bits(values: np.ndarray) -> list[int]:
    """Every value to the bit; NaN is NaN whatever it carries."""
    canonical = np.where(np.isnan(values), np.nan, values)
    return canonical.view(np.int64).tolist()


decimals = st.builds(
    lambda whole, digits: whole / 10**digits, st.integers(-(2**33), 2**33), st.integers(0, 7)
)
of_32_bits = st.floats(width=32)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.lists(st.floats(), max_size=50), st.lists(st.one_of(decimals, st.just(float("nan"))), max_size=50),
        st.lists(st.one_of(st.floats(), decimals, st.sampled_from(EXTREMES)), max_size=50),
        st.lists(of_32_bits, max_size=50),
    )
)
def test_every_value_comes_back_to_the_bit(values: list[float]) -> None:
    """Any mixture of decimals, floats of 32 and 64 bits, NaN, infinities, subnormals and -0.0."""
    given_ = np.array(values, dtype=np.float64)

    assert bits(unpack_floats(pack_floats(given_), len(values))) == bits(given_)


@pytest.mark.parametrize("others", [[1.5], [0.1 + 0.2], [-0.0]])
def test_there_is_one_nan(others: list[float]) -> None:
    """However a column is packed: what is held twice, in the hot log and a chunk, must be seen to be the same."""
    odd = np.array([0x7FF8_0000_0000_0123, -1], dtype=np.int64).view(np.float64)
    found = unpack_floats(pack_floats(np.concatenate((odd, others))), 2 + len(others))

    assert set(found[:2].view(np.int64).tolist()) == {int(np.array(np.nan).view(np.int64))}


@given(st.integers(0, 6), st.integers(0, 2**31 - 3), st.integers(1, 60))
def test_decimals_never_need_floats(digits: int, start: int, size: int) -> None:
    """Whatever the number of digits: as integers of at most four bytes, also beside a NaN."""
    values = (start - np.arange(size)) / 10**digits
    with_hole = np.append(values, np.nan)

    assert pack_floats(values)[0] < 48
    assert 48 <= pack_floats(with_hole)[0] < 64
    assert bits(unpack_floats(pack_floats(with_hole), size + 1)) == bits(with_hole)


@pytest.mark.parametrize(("centre", "spread", "digits", "most"), [
    (230.1, 2.0, 1, 1.2), (49.98, 0.05, 2, 1.0), (12345.678, 5.0, 3, 2.2), (21.5, 0.0, 1, 0.1),
])
def test_typical_decimals_take_a_byte_or_two(centre: float, spread: float, digits: int, most: float) -> None:
    """An hour of seconds of a voltage, a frequency, a register and a temperature, and a third of what floats take."""
    values = np.round(centre + spread * np.random.default_rng(4).standard_normal(3600).clip(-3, 3), digits)
    packed = len(pack_floats(values))

    assert packed / 3600 < most
    if spread:
        assert packed < len(pack(values)) * 0.6


def test_floats_of_32_bits_take_half() -> None:
    """What Modbus devices mostly send."""
    values = np.random.default_rng(4).standard_normal(3600).astype(np.float32).astype(np.float64)

    assert len(pack_floats(values)) < 4.1 * 3600


def test_samples_of_an_earlier_version_are_read() -> None:
    """Their values were packed as floats of 64 bits."""
    at, values = np.arange(3), np.array([230.1, np.nan, -0.0])

    assert bits(unpack_floats(pack(values), 3)) == bits(values)
    samples = Samples(np.ones(3, np.int32), at, values, np.zeros(3, np.uint8))
    crc, blob = encode(samples)
    assert bits(decode(3, crc, blob).values) == bits(values)


@pytest.mark.parametrize(
    "blob", [b"", bytes((39,)) + pack(np.zeros(2, np.int8)), bytes((33,)) + pack(np.zeros(2)), b"\xff12"]
)
def test_what_was_never_packed_is_refused(blob: bytes) -> None:
    """Not read as some value."""
    with pytest.raises(ValueError, match="packed"):
        unpack_floats(blob, 2)
