"""A segment of the journal as bytes: records one behind the other, and how to find the next one after some that rot.

A segment is a magic and records; a record is a marker, length, CRC-32 of the body, CRC-32 of this head, body. A record
that rots is named and stepped over: the next is found by its marker.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import attrs

MAGIC: Final = b"SCJRNL1\n"
MARKER: Final = b"\xa7JR\x1e"
_HEAD: Final = struct.Struct("<4sIII")              # marker, length, CRC of the body, CRC of the 12 bytes before
HEAD_BYTES: Final = _HEAD.size
TORN: Final = "torn record: it was being written, and was never acknowledged"


@attrs.frozen
class Sound:
    """One whole record."""

    end: int                                        # the place just behind it
    body: bytes


@attrs.frozen
class Rotten:
    """Bytes that are no record."""

    offset: int
    length: int
    reason: str


def head_of(body: bytes) -> bytes:
    """What stands before a body in a segment."""
    head = MARKER + struct.pack("<II", len(body), zlib.crc32(body))
    return head + struct.pack("<I", zlib.crc32(head))


def scan(data: bytes) -> Iterator[Sound | Rotten]:
    """Every sound record of a segment, and what lies between them."""
    offset = len(MAGIC) if data.startswith(MAGIC) else 0
    if offset == 0 and data:
        yield Rotten(0, min(len(MAGIC), len(data)), "the segment does not begin as one")
        offset = min(len(MAGIC), len(data))
    while offset < len(data):
        end = _record_end(data, offset)
        if end is not None and zlib.crc32(data[offset + HEAD_BYTES:end]) == _HEAD.unpack_from(data, offset)[2]:
            yield Sound(end, data[offset + HEAD_BYTES:end])
            offset = end
            continue
        following = _next_record(data, offset + 1)
        if following is not None:
            yield Rotten(offset, following - offset, "the bytes do not match their check sum")
            offset = following
            continue
        torn = end is None and _begins_as_record(data, offset)
        yield Rotten(offset, len(data) - offset, TORN if torn else "the bytes do not match their check sum")
        return


def _record_end(data: bytes, offset: int) -> int | None:
    """Where the record at `offset` ends, if its head is sound and its bytes are all there."""
    if offset + HEAD_BYTES > len(data):
        return None
    marker, length, _, check = _HEAD.unpack_from(data, offset)
    if marker != MARKER or zlib.crc32(data[offset:offset + 12]) != check:
        return None
    end = offset + HEAD_BYTES + int(length)
    return end if end <= len(data) else None


def _begins_as_record(data: bytes, offset: int) -> bool:
    """Whether the last bytes of a segment are the beginning of a sound record: a write the power or a kill cut short."""
    head = data[offset:offset + HEAD_BYTES]
    if len(head) < HEAD_BYTES:
        return MARKER.startswith(head[:4]) or head.startswith(MARKER)
    return head.startswith(MARKER) and zlib.crc32(head[:12]) == _HEAD.unpack(head)[3]


def _next_record(data: bytes, offset: int) -> int | None:
    """Start of the next record whose head and body are sound."""
    while (offset := data.find(MARKER, offset)) >= 0:
        end = _record_end(data, offset)
        if end is not None and zlib.crc32(data[offset + HEAD_BYTES:end]) == _HEAD.unpack_from(data, offset)[2]:
            return offset
        offset += 1
    return None
