"""What stands in a journal record: a delivered block with its slots, a quarantined one, or a gap that will not be filled.

A record is a fixed head and raw little-endian arrays: it is written once a block and read only after a crash, so
that speed of writing counts and nothing is compressed.
"""

import struct
from enum import IntEnum
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.packing import narrow, type_code, type_of
from scada.intervals import IntervalBlock, Provenance, Quarantined


class Kind(IntEnum):
    """First byte of a record; numbers are never reused."""

    BLOCK = 1
    QUARANTINED = 2
    GAP = 3


_SOURCE: Final = struct.Struct("<BIQQq")            # kind, link, archive, record, received
_SHAPE: Final = struct.Struct("<qIIIBB")            # first, interval_s, n, h, type of counts, 1 if there are status bits
_REASON: Final = struct.Struct("<I")
LINK_MAX: Final = 2**32 - 1
NUMBER_MAX: Final = 2**63 - 1                       # SQLite's integers end here


@attrs.frozen(eq=False)
class BlockRecord:
    """A delivered block, and the permanent slots of its channels."""

    block: IntervalBlock
    slots: NDArray[np.int64]


@attrs.frozen
class GapRecord:
    """The concentrator holds nothing below `provenance.record` any more: the cursor may pass."""

    provenance: Provenance
    received: int


Record = BlockRecord | Quarantined | GapRecord


def provenance_of(record: Record) -> Provenance:
    return record.block.provenance if isinstance(record, BlockRecord) else record.provenance


def encode(record: Record) -> bytes:
    """Record to bytes."""
    source = provenance_of(record)
    if isinstance(record, GapRecord):
        return _head(Kind.GAP, source, record.received)
    if isinstance(record, Quarantined):
        reason = record.reason.encode()
        return _head(Kind.QUARANTINED, source, record.received) + _REASON.pack(len(reason)) + reason + record.body
    block = record.block
    n, h = block.counts.shape
    counts = narrow(block.counts)
    status = block.status.any()
    return b"".join((
        _head(Kind.BLOCK, source, block.received),
        _SHAPE.pack(block.first, block.interval_s, n, h, type_code(counts), int(status)),
        block.eui.astype("<u8", copy=False).tobytes(),
        block.channel.tobytes(),
        record.slots.astype("<u4").tobytes(),
        block.register.astype("<i8", copy=False).tobytes(),
        counts.tobytes(),
        block.status.tobytes() if status else b"",
    ))


def decode(body: bytes) -> Record:
    """Bytes to record; raises `ValueError` for what `encode` never wrote."""
    try:
        kind, link, archive, number, received = _SOURCE.unpack_from(body)
        if max(archive, number) > NUMBER_MAX:
            raise ValueError(f"archive {archive}, record {number}: no file can hold such a number")
        source = Provenance(link, archive, number)
        offset = _SOURCE.size
        if kind == Kind.GAP:
            return GapRecord(source, received)
        if kind == Kind.QUARANTINED:
            (length,) = _REASON.unpack_from(body, offset)
            text = offset + _REASON.size
            return Quarantined(source, body[text:text + length].decode(), body[text + length:], received)
        if kind != Kind.BLOCK:
            raise ValueError(f"unknown kind of record {kind}")
        first, interval_s, n, h, code, has_status = _SHAPE.unpack_from(body, offset)
        arrays = _Arrays(body, offset + _SHAPE.size)
        eui, channel, slots = arrays.take("<u8", n), arrays.take("u1", n), arrays.take("<u4", n)
        register = arrays.take("<i8", n)
        counts = arrays.take(type_of(code), n * h).reshape(n, h)
        status = arrays.take("u1", n * h).reshape(n, h) if has_status else np.zeros((n, h), np.uint8)
        block = IntervalBlock(eui, channel, first, counts.astype(np.int64), register, status, source, received, interval_s)
        return BlockRecord(block, slots.astype(np.int64))
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"not a journal record: {error}") from None


def _head(kind: Kind, source: Provenance, received: int) -> bytes:
    return _SOURCE.pack(kind, source.link_id, source.archive_id, source.record, received)


class _Arrays:
    """Takes arrays one after the other out of bytes."""

    def __init__(self, body: bytes, offset: int) -> None:
        self._body, self._offset = body, offset

    def take(self, dtype: Any, count: int) -> NDArray[Any]:
        array = np.frombuffer(self._body, dtype=dtype, count=count, offset=self._offset)
        self._offset += array.nbytes
        return array
