"""PROFILE blocks: their shape, and arrays -> blocks, without a loop per reading (docs/dmlp.md, "PROFILE").

The way back is `profile_decode`.
"""

import itertools
import zlib
from enum import IntEnum
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh import wire
from scada.drivers.dmesh.numbers import MAX_CHANNELS, MAX_MODULES
from scada.intervals import HOURLY, MISSING

MAX_ROWS: Final = MAX_MODULES * MAX_CHANNELS
MAX_CELLS: Final = MAX_MODULES * 3 * 24 * 4     # a day of quarter-hours of a full subnet: what one block may inflate to
MAX_DAYS: Final = 31                            # one block may span: a store works day by day
INTERVALS: Final = (3600, 1800, 900)            # s
WRAP: Final = 2**32                             # registers count modulo this


class Key(IntEnum):
    """Map keys of the block."""

    FIRST_HOUR = 0
    INTERVALS = 1
    MODULES = 2
    CHANNELS = 3
    REGISTERS = 4
    DELTAS = 5
    DEFLATED = 6
    STATUS = 7
    DELTA_BYTES = 8
    INTERVAL_S = 9
    GENERATION = 10


@attrs.frozen(eq=False)
class Profile:
    """Pulses of n channels over h intervals, still by subnet index."""

    first_hour: int                     # h since 1970, UTC
    index: NDArray[np.uint16]           # (n,) subnet index 1-240
    channel: NDArray[np.uint8]          # (n,) 0-based
    register: NDArray[np.int64]         # (n,) pulses at the start of the first interval, modulo 2**32
    counts: NDArray[np.int64]           # (n, h) pulses; MISSING where not measured
    status: NDArray[np.uint8]           # (n, h) `IntervalStatus`
    interval_s: int = HOURLY
    generation: int = 0                 # of the module list the indices belong to

    @property
    def first(self) -> int:
        """Number of the first interval: its start [s since 1970] // interval_s."""
        return self.first_hour * HOURLY // self.interval_s


def encode(profile: Profile, *, deflate: bool = True) -> dict[int, Any]:
    """The map of a PROFILE block; deltas take 4 bytes only where 2 do not hold them. Raises `ValueError`."""
    most = int(profile.counts.max(initial=0))
    width = 2 if most < 0xFFFF else 4
    if profile.counts.min(initial=0) < MISSING or most >= 0xFFFF_FFFF:
        raise ValueError("deltas must fit 32 bits; missing is MISSING")
    missing = (1 << (8 * width)) - 1
    deltas = np.where(profile.counts == MISSING, missing, profile.counts).astype(f"<u{width}").tobytes()
    block: dict[int, Any] = {
        Key.FIRST_HOUR: profile.first_hour,
        Key.INTERVALS: profile.counts.shape[1],
        Key.MODULES: profile.index.astype("<u2").tobytes(),
        Key.CHANNELS: profile.channel.astype(np.uint8).tobytes(),
        Key.REGISTERS: (profile.register % WRAP).astype("<u4").tobytes(),
        Key.DELTAS: zlib.compress(deltas, 9) if deflate else deltas,
    }
    if deflate:
        block[Key.DEFLATED] = 1
    if profile.status.any():
        status = profile.status.astype(np.uint8).tobytes()
        block[Key.STATUS] = zlib.compress(status, 9) if deflate else status
    if width != 2:
        block[Key.DELTA_BYTES] = width
    if profile.interval_s != HOURLY:
        block[Key.INTERVAL_S] = profile.interval_s
    if profile.generation:
        block[Key.GENERATION] = profile.generation
    return {int(key): value for key, value in block.items()}


def split(profile: Profile, room: int) -> list[dict[int, Any]]:
    """
    The profile as blocks of at most `room` bytes of CBOR each, split by channel.

    Into as many parts of equal length as its size suggests; some more where one of them is too large, for parts deflate
    less well than the whole. That fills frames and takes few steps.
    """
    n, parts = len(profile.index), 1
    while True:
        bounds = [n * part // parts for part in range(parts + 1)]
        blocks = [encode(_rows(profile, slice(first, last))) for first, last in itertools.pairwise(bounds)]
        size = sum(len(wire.pack(block)) for block in blocks)
        if max(len(wire.pack(block)) for block in blocks) <= room and profile.counts.size <= MAX_CELLS * parts:
            return blocks
        if parts == n:
            raise ValueError(f"one channel of {profile.counts.shape[1]} intervals does not fit {room} bytes")
        enough = max(-(-size // room), -(-profile.counts.size // MAX_CELLS), parts + max(1, parts // 12))
        parts = min(n, enough)


def _rows(profile: Profile, part: slice) -> Profile:
    return attrs.evolve(
        profile,
        index=profile.index[part],
        channel=profile.channel[part],
        register=profile.register[part],
        counts=profile.counts[part],
        status=profile.status[part],
    )
