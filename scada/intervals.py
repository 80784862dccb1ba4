"""Interval data: registers and pulses of many channels, the currency of metering.

What is stored are pulses. Only `metering` turns them into kWh or m³, on reading, with the constant valid then.
"""

from enum import IntFlag
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
class Mark:
    """What a commit changed: the news that metering, balancing and replicas live from."""

    slots: NDArray[np.int64]            # (n,) permanent slots whose intervals changed
    first: int                          # interval number
    intervals: int
    interval_s: int = HOURLY


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
