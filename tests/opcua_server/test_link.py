"""Frames of the local link: whole, in pieces, broken; and values that come back as they went."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.opcua_server.link import (
    MAX_TO_MAIN,
    BadFrame,
    Decoder,
    Frame,
    decode_batches,
    decode_device,
    encode,
    encode_batches,
    encode_device,
)
from scada.tags import Batch, Device, Limits, TagDef

TWO = encode({"t": "a", "n": 1}, b"body") + encode({"t": "b"})


@given(st.lists(st.integers(1, 20), max_size=40))
def test_frames_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    """Whole, byte by byte or in any pieces: the same two frames."""
    decoder, frames, rest = Decoder(1000), [], TWO
    for cut in [*cuts, len(TWO)]:
        frames += list(decoder.feed(rest[:cut]))
        rest = rest[cut:]

    assert frames == [Frame({"t": "a", "n": 1}, b"body"), Frame({"t": "b"})]


def test_a_frame_above_the_limit_is_refused_before_it_is_there() -> None:
    """The process that faces the network cannot make the main process hold more than a megabyte."""
    header = (5).to_bytes(4, "big") + MAX_TO_MAIN.to_bytes(4, "big")

    with pytest.raises(BadFrame, match="limit"):
        list(Decoder(MAX_TO_MAIN).feed(header))


@pytest.mark.parametrize("raw", [b"\xff\xff", b"\x01", b"\xa0", b"\xa1\x61t\x01"])
def test_a_header_that_is_no_message_is_refused(raw: bytes) -> None:
    """Not CBOR, not a map, no kind, a kind that is no text."""
    with pytest.raises(BadFrame):
        list(Decoder(100).feed(len(raw).to_bytes(4, "big") + bytes(4) + raw))


def test_batches_come_back_as_they_went() -> None:
    """Values to the last bit, NaN included, with quality and source time, of several devices in one frame."""
    first = Batch("T01", np.array([1.5, np.nan, -0.0]), np.array([0, 33, 16], dtype=np.uint8), 123, 456)
    second = Batch("C01-017", np.array([2.0**0.5]), np.array([0], dtype=np.uint8), 124, 456)
    empty = Batch("X", np.array([]), np.array([], dtype=np.uint8), 0, 0)
    (frame,) = Decoder(10_000).feed(encode_batches([first, empty, second]))

    back = list(decode_batches(frame))

    assert [(one.device, one.at) for one in back] == [("T01", 123), ("X", 0), ("C01-017", 124)]
    for before, after in zip([first, empty, second], back, strict=True):
        np.testing.assert_array_equal(before.values, after.values)
        np.testing.assert_array_equal(before.quality, after.quality)


def test_values_that_do_not_fit_their_header_are_refused() -> None:
    """A short body must not shift values to the wrong tags."""
    (frame,) = Decoder(10_000).feed(encode_batches([Batch("T01", np.zeros(3), np.zeros(3, dtype=np.uint8), 0, 0)]))

    with pytest.raises(BadFrame, match="expected 27"):
        list(decode_batches(Frame(frame.header, frame.body[:-1])))


def test_a_device_comes_back_as_it_went() -> None:
    """Everything that OPC UA shows; what only the main process needs does not travel."""
    device = Device("T01", (TagDef("p", "W", "Power", -1.0, 1.0), TagDef("q")), ("A", "B"), "Title", "north")
    stale = attrs.evolve(device.tags[0], stale_after=5, limits=Limits(high=2.0), digits=2, historise=False)
    sent = attrs.evolve(device, tags=(stale, device.tags[1]))
    (frame,) = Decoder(10_000).feed(encode({"t": "devices", "devices": [encode_device(sent)]}))

    assert decode_device(frame.header["devices"][0]) == device
