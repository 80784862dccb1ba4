"""What stands in a journal record: delivered blocks with their slots, a quarantined one, or a gap that will not be filled.

A record is a fixed head and raw little-endian arrays: it is written once and read only after a crash, so that speed of
writing counts and nothing is compressed.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.packing import narrow, type_code, type_of
from scada.intervals import IntervalBatch, IntervalBlock, Provenance, Quarantined


class Kind(IntEnum):
    """First byte of a record; numbers are never reused."""

    BLOCK = 1                                       # one block; read, but not written any more
    QUARANTINED = 2
    GAP = 3
    BATCH = 4


_KINDS: Final = frozenset(Kind)
_SOURCE: Final = struct.Struct("<BIQQq")            # kind, link, archive, record, received
_SHAPE: Final = struct.Struct("<qIIIBB")            # first, interval_s, n, h, type of counts, 1 if there are status bits
_BATCH: Final = struct.Struct("<BqIIIIBB")          # kind, received, interval_s, blocks, n, h, type of counts, 1 if status
_REASON: Final = struct.Struct("<I")
LINK_MAX: Final = 2**32 - 1
NUMBER_MAX: Final = 2**63 - 1                       # SQLite's integers end here


@attrs.frozen(eq=False)
class BatchRecord:
    """Delivered blocks, and the permanent slots of their channels."""

    batch: IntervalBatch
    slots: NDArray[np.int64]

    @classmethod
    def of(cls, block: IntervalBlock, slots: NDArray[np.int64]) -> "BatchRecord":
        """One block."""
        return cls(IntervalBatch.of(block), slots)


@attrs.frozen
class GapRecord:
    """The concentrator holds nothing below `provenance.record` any more: the cursor may pass."""

    provenance: Provenance
    received: int


Record = BatchRecord | Quarantined | GapRecord


class UnknownKind(ValueError):
    """A sound record of a kind that a later version wrote: it is no damage, and must not be passed over."""


def provenances_of(record: Record) -> Sequence[Provenance]:
    return record.batch.provenance if isinstance(record, BatchRecord) else (record.provenance,)


def encode(record: Record) -> bytes:
    """Record to bytes."""
    if isinstance(record, GapRecord):
        return _head(Kind.GAP, record.provenance, record.received)
    if isinstance(record, Quarantined):
        reason = record.reason.encode()
        head = _head(Kind.QUARANTINED, record.provenance, record.received)
        return head + _REASON.pack(len(reason)) + reason + record.body
    batch = record.batch
    n, h = batch.counts.shape
    counts = narrow(batch.counts)
    status = batch.status.any()
    return b"".join((
        _BATCH.pack(
            Kind.BATCH, batch.received, batch.interval_s, len(batch.sizes), n, h, type_code(counts), int(status)
        ),
        np.array([one.link_id for one in batch.provenance], dtype="<u4").tobytes(),
        np.array([one.archive_id for one in batch.provenance], dtype="<u8").tobytes(),
        np.array([one.record for one in batch.provenance], dtype="<u8").tobytes(),
        batch.first.astype("<i8", copy=False).tobytes(),
        batch.sizes.astype("<u4").tobytes(),
        batch.eui.astype("<u8", copy=False).tobytes(),
        batch.channel.tobytes(),
        record.slots.astype("<u4").tobytes(),
        batch.register.astype("<i8", copy=False).tobytes(),
        counts.tobytes(),
        batch.status.tobytes() if status else b"",
    ))


def decode(body: bytes) -> Record:
    """Bytes to record; raises `ValueError` for what `encode` never wrote, `UnknownKind` for what a later one may have."""
    if body and body[0] not in _KINDS:
        raise UnknownKind(f"a record of kind {body[0]}, which this version does not know")
    try:
        if body[:1] == bytes((Kind.BATCH,)):
            return _batch(body)
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
        first, interval_s, n, h, code, has_status = _SHAPE.unpack_from(body, offset)
        arrays = _Arrays(body, offset + _SHAPE.size)
        eui, channel, slots = arrays.take("<u8", n), arrays.take("u1", n), arrays.take("<u4", n)
        register = arrays.take("<i8", n)
        counts = arrays.take(type_of(code), n * h).reshape(n, h)
        status = arrays.take("u1", n * h).reshape(n, h) if has_status else np.zeros((n, h), np.uint8)
        block = IntervalBlock(eui, channel, first, counts.astype(np.int64), register, status, source, received, interval_s)
        return BatchRecord.of(block, slots.astype(np.int64))
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"not a journal record: {error}") from None


def received_of(body: bytes) -> int:
    """When a record was received [ns, site time], without the rest of it; 0 for what cannot be read."""
    try:
        head: tuple[int, ...] = (_BATCH if body[:1] == bytes((Kind.BATCH,)) else _SOURCE).unpack_from(body)
    except struct.error:
        return 0
    return head[1] if head[0] == Kind.BATCH else head[4]


def _batch(body: bytes) -> BatchRecord:
    _, received, interval_s, b, n, h, code, has_status = _BATCH.unpack_from(body)
    arrays = _Arrays(body, _BATCH.size)
    link, archive, number = arrays.take("<u4", b), arrays.take("<u8", b), arrays.take("<u8", b)
    if b and max(int(archive.max()), int(number.max())) > NUMBER_MAX:
        raise ValueError("an archive or record number that no file can hold")
    source = tuple(Provenance(*one) for one in zip(link.tolist(), archive.tolist(), number.tolist(), strict=True))
    first, sizes = arrays.take("<i8", b), arrays.take("<u4", b).astype(np.int64)
    eui, channel, slots = arrays.take("<u8", n), arrays.take("u1", n), arrays.take("<u4", n)
    register = arrays.take("<i8", n)
    counts = arrays.take(type_of(code), n * h).reshape(n, h)
    status = arrays.take("u1", n * h).reshape(n, h) if has_status else np.zeros((n, h), np.uint8)
    batch = IntervalBatch(
        sizes, first, source, eui, channel, counts.astype(np.int64), register, status, received, interval_s
    )
    return BatchRecord(batch, slots.astype(np.int64))


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
