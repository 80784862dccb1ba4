"""Delivered blocks put together: what many records bring for the same intervals enters the store as one table.

A concentrator delivers some twenty channels a record; entering them one record at a time costs more than the data. The
order of records matters only where two of them speak of the same interval of the same channel: those are kept apart.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.arrivals import Whence, received_ms
from scada.historian.records import BatchRecord
from scada.intervals import IntervalBatch


@attrs.frozen(eq=False)
class Delivery:
    """Channels that bring the same intervals, each channel once; by slot, ascending."""

    first: int                          # interval number
    interval_s: int
    slots: NDArray[np.int64]            # (n,)
    counts: NDArray[np.int64]           # (n, h)
    status: NDArray[np.uint8] | None    # (n, h); None where nobody has a status bit
    register: NDArray[np.int64]         # (n,)
    received: NDArray[np.int64]         # (n,) ns, site time
    whence: Whence                      # of each channel

    @property
    def intervals(self) -> int:
        return int(self.counts.shape[1])


@attrs.frozen(eq=False)
class _Part:
    """Rows of a batch that begin with the same interval."""

    first: int
    slots: NDArray[np.int64]
    batch: IntervalBatch
    rows: slice | NDArray[np.int64]

    @property
    def shape(self) -> "Shape":
        return self.batch.interval_s, self.first, self.batch.counts.shape[1]


T = TypeVar("T", bound=np.generic)
Shape = tuple[int, int, int]            # (interval_s, first, intervals)


def deliveries(records: Sequence[BatchRecord]) -> Iterator[Delivery]:
    """The records as few tables, in an order that gives what entering one block after the other would give."""
    of_shape: dict[Shape, list[_Part]] = {}
    for record in records:
        for first, rows in record.batch.rows_by_first():
            part = _Part(first, record.slots[rows], record.batch, rows)
            of_shape.setdefault(part.shape, []).append(part)
    if _overlapping(of_shape):
        for part in _one_by_one(records):
            yield from _tables([part])
    else:
        for same in of_shape.values():
            yield from _tables(same)


def _one_by_one(records: Iterable[BatchRecord]) -> Iterator[_Part]:
    """Every block by itself, in the order of their coming."""
    for record in records:
        batch, end = record.batch, 0
        for first, size in zip(batch.first.tolist(), batch.sizes.tolist(), strict=True):
            rows, end = slice(end, end + size), end + size
            yield _Part(first, record.slots[rows], batch, rows)


def _overlapping(shapes: Iterable[Shape]) -> bool:
    """Whether different shapes share an interval (of the same length: others never meet in a block)."""
    spans = sorted(shapes)
    return any(
        one[0] == other[0] and other[1] < one[1] + one[2] for one, other in itertools.pairwise(spans)
    )


def _tables(parts: Sequence[_Part]) -> Iterator[Delivery]:
    """Parts of one shape: one table, and another one for each further time that a channel stands in them."""
    slots = _joined([part.slots for part in parts])
    if not len(slots):
        return
    counts = _joined([part.batch.counts[part.rows] for part in parts])
    register = _joined([part.batch.register[part.rows] for part in parts])
    received = np.repeat([part.batch.received for part in parts], [len(part.slots) for part in parts])
    whence = _whence(parts)
    flags = [part.batch.status[part.rows] for part in parts]
    status = _joined(flags) if any(one.any() for one in flags) else None
    order = np.argsort(slots, kind="stable")
    again = np.concatenate(([False], slots[order][1:] == slots[order][:-1]))
    for lines in _layers(order, again):
        yield Delivery(
            parts[0].first, parts[0].batch.interval_s, slots[lines], counts[lines],
            None if status is None else status[lines], register[lines], received[lines],
            Whence(whence.sources, whence.of_row[lines]),
        )


def _whence(parts: Sequence[_Part]) -> Whence:
    """Who brought each row of some parts, one part after the other."""
    sources: list[tuple[int, int, int, int]] = []
    begin: dict[int, int] = {}          # of a batch's sources, by the batch
    of_row = []
    for part in parts:
        batch = part.batch
        if id(batch) not in begin:
            begin[id(batch)] = len(sources)
            at = received_ms(batch.received)
            sources += [(at, one.link_id, one.archive_id, one.record) for one in batch.provenance]
        block = np.repeat(np.arange(len(batch.sizes)), batch.sizes)
        of_row.append(block[part.rows] + begin[id(batch)])
    return Whence(np.array(sources, dtype=np.int64), _joined(of_row))


def _layers(order: NDArray[np.int64], again: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Lines by slot: first the first of each slot, then the second of those that have one, and so on."""
    if not again.any():
        yield order
        return
    run = np.arange(len(order)) - np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))
    for number in range(int(run.max()) + 1):
        yield order[run == number]


def _joined(parts: list[NDArray[T]]) -> NDArray[T]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
