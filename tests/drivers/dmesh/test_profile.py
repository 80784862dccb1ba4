"""PROFILE blocks: arrays out and in, and every way a block can be wrong."""

import tracemalloc
import zlib
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scada.drivers.dmesh import profile, profile_decode, wire
from scada.drivers.dmesh.profile import Key, Profile
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.intervals import MISSING
from tests.drivers.dmesh.test_messages import CBOR


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any profile a concentrator could send."""
    h = draw(st.integers(1, 30))
    rows = draw(st.lists(st.tuples(st.integers(1, 240), st.integers(0, 5)), min_size=1, max_size=8, unique=True))
    most = draw(st.sampled_from([100, 65_534, 65_535, 2**32 - 2]))
    n = len(rows)
    return Profile(
        draw(st.integers(0, 0x0FFF_FFFF)),
        np.array([index for index, _ in rows], dtype=np.uint16),
        np.array([channel for _, channel in rows], dtype=np.uint8),
        draw(hnp.arrays(np.int64, n, elements=st.integers(0, 2**32 - 1))),
        draw(hnp.arrays(np.int64, (n, h), elements=st.integers(MISSING, most))),
        draw(hnp.arrays(np.uint8, (n, h))),
        draw(st.sampled_from([3600, 1800, 900])),
        draw(st.integers(0, 9)),
    )


def same(one: Any, other: Profile) -> bool:
    return isinstance(one, Profile) and all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in attrs.fields(Profile)
    )


def usual() -> Profile:
    """Three channels of a day."""
    counts = np.arange(72, dtype=np.int64).reshape(3, 24)
    return Profile(
        490_896, np.array([1, 2, 3], np.uint16), np.zeros(3, np.uint8), np.array([1, 2, 3], np.int64), counts,
        np.zeros((3, 24), np.uint8),
    )


@given(profiles(), st.booleans())
def test_a_profile_comes_back_as_it_was_sent(sent: Profile, deflate: bool) -> None:
    """2 and 4 bytes a delta, missing intervals, status bits, deflated or not."""
    assert same(profile_decode.decode(wire.unpack(wire.pack(profile.encode(sent, deflate=deflate)))), sent)


@given(CBOR)
def test_any_block_is_decoded_without_raising(block: Any) -> None:
    """Fuzz: anything may stand where the block should be."""
    assert isinstance(profile_decode.decode(block), Profile | Rejected)


@given(st.sampled_from(list(Key)), CBOR | st.binary(max_size=200))
@settings(max_examples=300)
def test_a_block_with_one_field_replaced_is_decoded_without_raising(key: Key, value: Any) -> None:
    """The nastiest neighbours of a good block."""
    assert isinstance(profile_decode.decode({**profile.encode(usual()), int(key): value}), Profile | Rejected)


@given(st.sampled_from(list(Key)))
def test_a_block_without_a_mandatory_field_is_refused(key: Key) -> None:
    """What may be absent has a default; everything else is missed."""
    block = profile.encode(usual())
    block.pop(int(key), None)
    mandatory = {Key.FIRST_HOUR, Key.INTERVALS, Key.MODULES, Key.CHANNELS, Key.REGISTERS, Key.DELTAS, Key.DEFLATED}

    assert isinstance(profile_decode.decode(block), Rejected) == (key in mandatory)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({Key.MODULES: b"\x01\x00\x02\x00\xf1\x00"}, "1-240"),
        ({Key.MODULES: b"\x00\x00\x02\x00\x03\x00"}, "1-240"),
        ({Key.MODULES: b"\x01\x00\x01\x00\x03\x00"}, "twice"),
        ({Key.MODULES: b"\x01\x00\x02\x00\x03"}, "indices"),
        ({Key.MODULES: b""}, "indices"),
        ({Key.CHANNELS: b"\x00\x00\x06"}, "channel above"),
        ({Key.REGISTERS: bytes(11)}, "expected 12"),
        ({Key.INTERVALS: 25}, "inflate to the 150 bytes"),
        ({Key.INTERVALS: 60_000}, "60000 intervals"),
        ({Key.INTERVALS: 745}, "more than 31 days"),
        ({Key.INTERVAL_S: 600}, "interval of 600"),
        ({Key.DELTA_BYTES: 3}, "deltas of 3"),
        ({Key.DELTAS: zlib.compress(bytes(144)) + b"x"}, "inflate"),
        ({Key.DELTAS: zlib.compress(bytes(144))[:-3]}, "inflate"),
        ({Key.DELTAS: b"nonsense"}, "does not inflate"),
        ({Key.STATUS: b"nonsense"}, "status"),
        ({Key.FIRST_HOUR: -1}, "first_hour"),
        ({Key.FIRST_HOUR: True}, "first_hour"),
    ],
)
def test_each_fault_is_refused_with_its_reason(changes: dict[Key, Any], reason: str) -> None:
    """The reason goes into quarantine with the bytes."""
    block = {**profile.encode(usual()), **{int(key): value for key, value in changes.items()}}
    refused = profile_decode.decode(block)

    assert isinstance(refused, Rejected)
    assert refused.reason is Reject.BLOCK
    assert reason in refused.detail


def test_a_zlib_bomb_is_never_inflated() -> None:
    """4 KB that would become 4 MB: refused, and no more than the block's own size was made of it."""
    bomb = zlib.compress(bytes(4_000_000), 9)
    block = {**profile.encode(usual()), int(Key.DELTAS): bomb}
    tracemalloc.start()
    try:
        refused = profile_decode.decode(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(refused, Rejected)
    assert len(bomb) < 4096
    assert peak < 100_000


def test_missing_is_told_from_zero_and_from_the_largest_delta() -> None:
    """All ones mean missing; 65,534 still takes two bytes, 65,535 takes four."""
    for largest, width in ((65_534, 2), (65_535, 4)):
        counts = np.array([[0, MISSING, largest]], dtype=np.int64)
        one = np.zeros(1, dtype=np.int64)
        sent = Profile(1, one.astype(np.uint16) + 1, one.astype(np.uint8), one, counts, np.zeros((1, 3), np.uint8))
        block = profile.encode(sent)

        assert block.get(int(Key.DELTA_BYTES), 2) == width
        assert same(profile_decode.decode(block), sent)


@given(st.integers(1, 720), st.sampled_from([900, 4000]))
@settings(max_examples=20, deadline=None)
def test_a_day_is_split_by_channel_into_blocks_that_fit(n: int, room: int) -> None:
    """Nothing is lost or doubled, and every block fits its frame."""
    rng = np.random.default_rng(n)
    whole = Profile(
        490_896, (np.arange(n) // 3 + 1).astype(np.uint16), (np.arange(n) % 3).astype(np.uint8),
        rng.integers(0, 2**32, n), rng.integers(0, 3000, (n, 24)), np.zeros((n, 24), np.uint8),
    )
    blocks = profile.split(whole, room)
    parts = [profile_decode.decode(block) for block in blocks]

    assert all(len(wire.pack(block)) <= room for block in blocks)
    for name in ("index", "channel", "register", "counts"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


def test_quarter_hours_are_numbered_by_their_own_length() -> None:
    """`first` counts intervals since 1970 in the block's interval."""
    assert attrs.evolve(usual(), interval_s=900).first == 490_896 * 4
