"""Interval data: registers and pulses of many channels, the currency of metering.

What is stored are pulses. Only `metering` turns them into kWh or m³, on reading, with the constant valid then.
"""

from collections.abc import Iterator, Sequence
from enum import IntFlag, StrEnum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

MISSING: Final = -1                     # in `counts`: this interval was not delivered
HOURLY: Final = 3600


class IntervalStatus(IntFlag):
    """What the module noticed during an interval (dmlp.md, PROFILE field 7)."""

    OPEN_CIRCUIT = 1
    SHORT_CIRCUIT = 2
    MAGNET = 4
    COVER = 8
    BATTERY_LOW = 16
    CLOCK_ADJUSTED = 32
    CLOCK_INVALID = 64
    POWER_DOWN = 128


@attrs.frozen
class Provenance:
    """Where a block came from, so that the archive cursor is as durable as the data."""

    link_id: int
    archive_id: int                     # 0 when the block was asked for and moves no cursor
    record: int                         # 0 when the block was asked for and moves no cursor


@attrs.frozen(eq=False)
class IntervalBlock:
    """Pulses of n channels over h equal intervals, as a concentrator delivered them."""

    eui: NDArray[np.uint64]             # (n,)
    channel: NDArray[np.uint8]          # (n,)
    first: int                          # number of the first interval: start in s since 1970 // interval_s
    counts: NDArray[np.int64]           # (n, h) pulses; MISSING where not delivered
    register: NDArray[np.int64]         # (n,) pulses at the start of the first interval, modulo 2**32; MISSING if unknown
    status: NDArray[np.uint8]           # (n, h) `IntervalStatus`
    provenance: Provenance
    received: int                       # ns, site time
    interval_s: int = HOURLY

    def __attrs_post_init__(self) -> None:
        n, h = self.counts.shape
        if not (len(self.eui) == len(self.channel) == len(self.register) == n and self.status.shape == (n, h)):
            raise ValueError(f"block of {n} x {h}: eui, channel, register or status do not fit")


@attrs.frozen(eq=False)
class IntervalBatch:
    """Blocks of as many intervals each, one below the other: what many concentrators deliver at about the same time."""

    sizes: NDArray[np.int64]            # (b,) channels of each block
    first: NDArray[np.int64]            # (b,) number of the first interval of each
    provenance: Sequence[Provenance]    # b
    eui: NDArray[np.uint64]             # (n,)
    channel: NDArray[np.uint8]          # (n,)
    counts: NDArray[np.int64]           # (n, h) as in `IntervalBlock`, and so on
    register: NDArray[np.int64]         # (n,)
    status: NDArray[np.uint8]           # (n, h)
    received: int
    interval_s: int = HOURLY

    def __attrs_post_init__(self) -> None:
        n, h = self.counts.shape
        if not (len(self.eui) == len(self.channel) == len(self.register) == n and self.status.shape == (n, h)):
            raise ValueError(f"batch of {n} x {h}: eui, channel, register or status do not fit")
        if not (len(self.sizes) == len(self.first) == len(self.provenance) and int(self.sizes.sum()) == n):
            raise ValueError(f"batch of {len(self.sizes)} blocks in {n} rows: sizes, first or provenance do not fit")

    @classmethod
    def of(cls, block: IntervalBlock) -> "IntervalBatch":
        """A batch of one."""
        return cls(
            np.array([len(block.eui)]), np.array([block.first]), (block.provenance,), block.eui, block.channel,
            block.counts, block.register, block.status, block.received, block.interval_s,
        )

    @property
    def links(self) -> NDArray[np.int64]:
        """(n,) link id of each row's concentrator."""
        return np.repeat(np.array([one.link_id for one in self.provenance], dtype=np.int64), self.sizes)

    def rows_by_first(self) -> "Iterator[tuple[int, slice | NDArray[np.int64]]]":
        """Each first interval that occurs, in the order of their coming, and the rows that begin with it."""
        if not len(self.first):
            return
        if (self.first == self.first[0]).all():
            yield int(self.first[0]), slice(None)
            return
        of_row = np.repeat(self.first, self.sizes)
        for first in dict.fromkeys(self.first.tolist()):
            yield first, np.flatnonzero(of_row == first)

    def blocks(self) -> Iterator[IntervalBlock]:
        """One by one."""
        ends = np.cumsum(self.sizes).tolist()
        for number, (end, size) in enumerate(zip(ends, self.sizes.tolist(), strict=True)):
            rows = slice(end - size, end)
            yield IntervalBlock(
                self.eui[rows], self.channel[rows], int(self.first[number]), self.counts[rows], self.register[rows],
                self.status[rows], self.provenance[number], self.received, self.interval_s,
            )


@attrs.frozen(eq=False)
class Mark:
    """What a commit changed: the news that metering, balancing and replicas live from."""

    slots: NDArray[np.int64]            # (n,) permanent slots whose intervals changed
    first: int                          # interval number
    intervals: int
    interval_s: int = HOURLY


@attrs.frozen(eq=False)
class News:
    """What one merge changed, or several that were joined; a later one has a larger number."""

    number: int
    marks: tuple[Mark, ...]
    older: bool = False                 # merged before he who follows it came


class ChangeKind(StrEnum):
    """Why an interval says something else than before."""

    DELIVERED = "delivered"             # a count where none was held
    JOINED = "joined"                   # status bits beside what was held, or beside nothing
    REFUSED = "refused"                 # another count for a held one: the first stays
    REGISTER_REFUSED = "register_refused"                       # a register that contradicts the pulses


@attrs.frozen
class IntervalChange:
    """One step in the history of an interval of one channel."""

    interval: int                       # number of the interval
    interval_s: int
    kind: ChangeKind
    at: int                             # ms since 1970, site time; 0 = it was not noted
    before: int                         # pulses, MISSING where none were held; for JOINED the status bits
    after: int                          # what came; for what was refused, what would have replaced it
    provenance: Provenance | None       # None where it was not noted


@attrs.frozen(eq=False)
class Quarantined:
    """A delivered block that cannot be used, kept with its reason."""

    provenance: Provenance
    reason: str
    body: bytes
    received: int


@attrs.frozen(eq=False)
class IntervalSeries:
    """What the store holds for some channels over some intervals."""

    first: int                          # interval number
    interval_s: int
    counts: NDArray[np.int64]           # (n, h) pulses, MISSING where not held
    status: NDArray[np.uint8]           # (n, h)

    @property
    def hours(self) -> NDArray[np.int64]:
        return self.first + np.arange(self.counts.shape[1], dtype=np.int64)
