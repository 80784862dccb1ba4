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

from scada.historian.records import BlockRecord


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

    @property
    def intervals(self) -> int:
        return int(self.counts.shape[1])


T = TypeVar("T", bound=np.generic)
Shape = tuple[int, int, int]            # (interval_s, first, intervals)


def deliveries(records: Sequence[BlockRecord]) -> Iterator[Delivery]:
    """The records as few tables, in an order that gives what entering one record after the other would give."""
    of_shape: dict[Shape, list[BlockRecord]] = {}
    for record in records:
        block = record.block
        of_shape.setdefault((block.interval_s, block.first, block.counts.shape[1]), []).append(record)
    if _overlapping(of_shape):
        for record in records:
            yield from _tables([record])
    else:
        for same in of_shape.values():
            yield from _tables(same)


def _overlapping(shapes: Iterable[Shape]) -> bool:
    """Whether different shapes share an interval (of the same length: others never meet in a block)."""
    spans = sorted(shapes)
    return any(
        one[0] == other[0] and other[1] < one[1] + one[2] for one, other in itertools.pairwise(spans)
    )


def _tables(records: Sequence[BlockRecord]) -> Iterator[Delivery]:
    """Records of one shape: one table, and another one for each further time that a channel stands in them."""
    blocks = [record.block for record in records]
    slots = _joined([record.slots for record in records])
    if not len(slots):
        return
    counts, register = _joined([block.counts for block in blocks]), _joined([block.register for block in blocks])
    received = np.repeat([block.received for block in blocks], [len(block.eui) for block in blocks])
    flagged = any(block.status.any() for block in blocks)
    status = _joined([block.status for block in blocks]) if flagged else None
    order = np.argsort(slots, kind="stable")
    again = np.concatenate(([False], slots[order][1:] == slots[order][:-1]))
    for lines in _layers(order, again):
        yield Delivery(
            blocks[0].first, blocks[0].interval_s, slots[lines], counts[lines],
            None if status is None else status[lines], register[lines], received[lines],
        )


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
