"""Frames: what is sent is found again, whatever stands around it and however it is cut."""

import binascii
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.drivers.dmesh.frame import DEFAULT_MAX_FRAME, Frame, FrameDecoder, encode
from scada.drivers.dmesh.rejected import Reject, Rejected

FRAMES = st.builds(Frame, st.integers(0, 2**32 - 1), st.binary(max_size=300), st.booleans())
PING = Frame(7, b"\x83\x06\x07\xa1\x00\x00")


def found(data: bytes, sizes: int = 0) -> list[Frame | Rejected]:
    """What a decoder finds in a stream, fed whole or in pieces."""
    decoder = FrameDecoder()
    if not sizes:
        return decoder.feed(data)
    return [event for at in range(0, len(data), sizes) for event in decoder.feed(data[at:at + sizes])]


def frames(events: list[Frame | Rejected]) -> list[Frame]:
    return [event for event in events if isinstance(event, Frame)]


def head(version: int = 0x10, flags: int = 0, length: int = 0, link_id: int = 7) -> bytes:
    """A header whose own CRC holds, whatever it says."""
    fields = struct.pack(">2sBBHI", b"DM", version, flags, length, link_id)
    return fields + struct.pack(">H", binascii.crc_hqx(fields, 0xFFFF))


@given(st.lists(FRAMES, max_size=5), st.sampled_from([0, 1, 2, 7, 64]))
def test_frames_are_found_whole_byte_by_byte_and_in_pieces(sent: list[Frame], sizes: int) -> None:
    """A stream of frames gives exactly these frames."""
    assert found(b"".join(encode(one) for one in sent), sizes) == sent


@given(FRAMES, st.binary(max_size=100), st.binary(max_size=100), st.sampled_from([0, 1, 5]))
def test_a_frame_amid_noise_is_found(sent: Frame, before: bytes, after: bytes, sizes: int) -> None:
    """Noise before and behind costs nothing but counters; a longer run flushes a false beginning."""
    data = before.replace(b"D", b"d") + encode(sent) + after.replace(b"D", b"d")

    assert frames(found(data, sizes)) == [sent]


@given(st.binary(max_size=2000), st.sampled_from([0, 1, 13]))
def test_any_bytes_are_taken_without_raising(data: bytes, sizes: int) -> None:
    """Whatever comes, it ends as events."""
    assert all(isinstance(event, Frame | Rejected) for event in found(data, sizes))


@given(FRAMES, st.data())
def test_a_flipped_bit_never_gives_a_frame(sent: Frame, data: st.DataObject) -> None:
    """One bit wrong anywhere: no frame comes out."""
    good = bytearray(encode(sent))
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    good[bit // 8] ^= 1 << bit % 8

    assert sent not in frames(found(bytes(good) + bytes(2 * DEFAULT_MAX_FRAME)))


def test_a_false_magic_just_before_a_frame_does_not_hide_it() -> None:
    """`DMDM…`: the search goes on one byte after a magic whose header CRC is wrong."""
    assert frames(found(b"DM" + encode(PING))) == [PING]
    assert frames(found(b"D" + encode(PING))) == [PING]


def test_a_frame_inside_a_false_body_is_found() -> None:
    """A true header with a wrong frame CRC around a whole frame: the search resumes two bytes after its magic."""
    inner = encode(PING)
    data = head(length=len(inner)) + inner + b"\0\0\0\0"

    assert frames(found(data)) == [PING]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (head(version=0x20), Reject.VERSION),
        (head(flags=0x01), Reject.FLAGS),
        (head(length=DEFAULT_MAX_FRAME + 1), Reject.TOO_LONG),
        (head() + b"\0\0\0\0", Reject.FRAME_CRC),
        (b"DM" + bytes(10), Reject.HEADER_CRC),
    ],
)
def test_each_fault_has_its_name(data: bytes, reason: Reject) -> None:
    """Counters tell what kind of trouble a line has; the next frame is found all the same."""
    events = found(data + encode(PING))

    assert reason in [event.reason for event in events if isinstance(event, Rejected)]
    assert frames(events) == [PING]


def test_the_length_is_not_believed_before_the_header_crc_holds() -> None:
    """A false header that claims 4,096 bytes does not make the decoder wait for them."""
    false = bytearray(head(length=DEFAULT_MAX_FRAME))
    false[10] ^= 1

    assert frames(found(bytes(false) + encode(PING))) == [PING]


def test_the_buffer_is_bounded_whatever_comes() -> None:
    """A megabyte of the beginnings of longest frames never holds more than 2 x max_frame."""
    decoder = FrameDecoder(1024)
    largest = 0
    for _ in range(1000):
        decoder.feed(head(length=1024) * 80)
        largest = max(largest, decoder.pending)

    assert 0 < largest <= 2048


def test_one_large_chunk_is_taken_in_small_bites() -> None:
    """Eight megabytes in one call never stand in the buffer at once."""
    data = bytes(8_000_000)
    tracemalloc.start()
    try:
        FrameDecoder(1024).feed(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2_000_000


def test_a_flood_of_false_beginnings_is_few_events() -> None:
    """What a stranger sends by the megabyte must not become an object a byte; all of it is counted."""
    events = found(b"DM" * 32_768)

    assert len(events) < 100
    assert sum(event.count for event in events if event.reason is Reject.HEADER_CRC) > 32_000


def test_noise_is_counted_in_bytes() -> None:
    """Every byte that is in no frame is in exactly one noise count or other refusal."""
    events = found(b"x" * 10 + encode(PING) + b"y" * 5)

    assert sum(event.count for event in events if isinstance(event, Rejected)) == 15


def test_silence_on_a_serial_line_drops_what_is_half_there() -> None:
    """After 100 ms of silence the rest of a frame will not come; the next frame is found at once."""
    decoder = FrameDecoder()
    decoder.feed(encode(PING)[:-3])
    dropped = decoder.silence()

    assert [event.count for event in dropped if isinstance(event, Rejected)] == [len(encode(PING)) - 3]
    assert decoder.feed(encode(PING)) == [PING]


def test_a_body_nobody_may_accept_is_not_sent() -> None:
    """Longer than 16,384 bytes is a programming error."""
    with pytest.raises(ValueError, match="16384"):
        encode(Frame(1, bytes(16385)))
