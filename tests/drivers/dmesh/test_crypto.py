"""Seals: what opens, what does not, and that no key is ever shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.drivers.dmesh import crypto
from scada.drivers.dmesh.crypto import Channel
from scada.drivers.dmesh.frame import Frame
from scada.drivers.dmesh.rejected import Reject, Rejected

KEY = bytes(range(16))
KEYS = crypto.session_keys(KEY, b"c" * 16, b"s" * 16)


def pair() -> tuple[Channel, Channel]:
    """(server, concentrator)"""
    return Channel(KEYS, 9, server=True), Channel(KEYS, 9, server=False)


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_each_end_opens_what_the_other_sealed(bodies: list[bytes]) -> None:
    """Both directions, in order."""
    server, concentrator = pair()

    assert [server.open(concentrator.seal(body)) for body in bodies] == bodies
    assert [concentrator.open(server.seal(body)) for body in bodies] == bodies


@given(st.binary(max_size=60), st.data())
def test_a_changed_sealed_frame_does_not_open(body: bytes, data: st.DataObject) -> None:
    """One bit anywhere, key id and counter included."""
    server, concentrator = pair()
    sealed = bytearray(concentrator.seal(body).body)
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8

    assert isinstance(server.open(Frame(9, bytes(sealed), secured=True)), Rejected)


@given(st.binary(max_size=100), st.booleans())
def test_any_bytes_are_refused_without_raising(body: bytes, secured: bool) -> None:
    """Fuzz of the opener."""
    server, _ = pair()

    assert isinstance(server.open(Frame(9, body, secured)), Rejected)


def test_a_frame_of_another_link_does_not_open() -> None:
    """The link id in the header is part of nonce and associated data."""
    server, concentrator = pair()

    assert isinstance(server.open(Frame(10, concentrator.seal(b"x").body, secured=True)), Rejected)


def test_a_frame_sent_back_to_its_sender_does_not_open() -> None:
    """Directions have keys and nonces of their own."""
    server, _ = pair()

    assert isinstance(server.open(server.seal(b"x")), Rejected)


def test_a_counter_that_does_not_grow_is_a_replay() -> None:
    """Also an older frame that was never seen."""
    server, concentrator = pair()
    first, second = concentrator.seal(b"1"), concentrator.seal(b"2")

    assert server.open(second) == b"2"
    for old in (first, second):
        refused = server.open(old)
        assert isinstance(refused, Rejected)
        assert refused.reason is Reject.REPLAY


def test_a_wrapped_key_opens_only_under_its_own_link_key() -> None:
    """KEY_PUT of another concentrator is refused, as a value."""
    wrapped = crypto.wrap(KEY, b"k" * 16)

    assert crypto.unwrap(KEY, wrapped) == b"k" * 16
    assert isinstance(crypto.unwrap(bytes(16), wrapped), Rejected)
    assert isinstance(crypto.unwrap(KEY, b"short"), Rejected)


def test_no_key_stands_in_a_repr() -> None:
    """Log lines and tracebacks show reprs."""
    shown = repr(KEYS)

    assert KEYS.to_server.hex() not in shown
    assert repr(KEYS.to_server) not in shown


def test_a_cmac_is_the_one_of_sp_800_38b() -> None:
    """Example 2 of NIST SP 800-38B, D.1 (AES-128, 16 bytes)."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")

    assert crypto.cmac(key, bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex() == "070a16b46b4d4144f79bdd9dd04a287c"


def test_a_session_ends_before_a_counter_repeats() -> None:
    """2**32 frames: `exhausted` says so, and nothing can be sealed with a counter used before."""
    server, _ = pair()
    server._next = crypto.LAST_COUNTER
    server.seal(b"last")

    assert server.exhausted
    with pytest.raises(Exception, match=r"format|range|int"):
        server.seal(b"one too many")
