"""PROFILE blocks <-> arrays, without a loop per reading (docs/dmlp.md, "PROFILE").

`decode` is one pure function from the block's map to arrays; what it refuses goes to quarantine with its reason.
"""

import itertools
import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh import wire
from scada.drivers.dmesh.numbers import MAX_CHANNELS, MAX_MODULES
from scada.drivers.dmesh.rejected import Reject, Rejected
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


def decode(block: Any) -> Profile | Rejected:
    """
    Arrays of a PROFILE block.

    Parameters
    ----------
    block : mapping
        The map under key 1 of a PROFILE, as it came out of CBOR; any value is allowed.

    Returns
    -------
    profile : Profile or Rejected
    """
    try:
        return _decode(block)
    except wire.Malformed as problem:
        return Rejected(Reject.BLOCK, str(problem))


def _decode(block: Any) -> Profile:
    if not isinstance(block, Mapping):
        raise wire.Malformed("the block is not a map")
    first_hour = _integer(block, Key.FIRST_HOUR, 0, 0x0FFF_FFFF)
    h = _integer(block, Key.INTERVALS, 1, MAX_CELLS)
    interval_s = _integer(block, Key.INTERVAL_S, 1, HOURLY, HOURLY)
    width = _integer(block, Key.DELTA_BYTES, 1, 4, 2)
    deflated = _integer(block, Key.DEFLATED, 0, 1, 0)
    generation = _integer(block, Key.GENERATION, 0, 0xFFFF_FFFF, 0)
    if interval_s not in INTERVALS:
        raise wire.Malformed(f"interval of {interval_s} s; 3600, 1800 and 900 are known")
    if h * interval_s > MAX_DAYS * 86_400:
        raise wire.Malformed(f"{h} intervals of {interval_s} s are more than {MAX_DAYS} days")
    if width not in (2, 4):
        raise wire.Malformed(f"deltas of {width} bytes; 2 and 4 are known")

    modules = _octets(block, Key.MODULES)
    n, rest = divmod(len(modules), 2)
    if rest or not 1 <= n <= MAX_ROWS or n * h > MAX_CELLS:
        raise wire.Malformed(f"{len(modules)} bytes of module indices x {h} intervals")
    index = np.frombuffer(modules, dtype="<u2")
    channel = np.frombuffer(_sized(block, Key.CHANNELS, n), dtype=np.uint8)
    register = np.frombuffer(_sized(block, Key.REGISTERS, 4 * n), dtype="<u4").astype(np.int64)
    if index.min() < 1 or index.max() > MAX_MODULES:
        raise wire.Malformed("a module index outside 1-240")
    if channel.max() >= MAX_CHANNELS:
        raise wire.Malformed(f"a channel above {MAX_CHANNELS - 1}")
    place = index.astype(np.int32) * MAX_CHANNELS + channel
    if not (place[1:] > place[:-1]).all() and len(np.unique(place)) < n:    # in order, as they usually are: quicker to see
        raise wire.Malformed("a channel stands twice in the block")

    raw = np.frombuffer(_inflated(block, Key.DELTAS, n * h * width, deflated), dtype=f"<u{width}")
    counts = raw.astype(np.int64)
    counts[raw == (0xFFFF if width == 2 else 0xFFFF_FFFF)] = MISSING
    if Key.STATUS in block:
        status = np.frombuffer(_inflated(block, Key.STATUS, n * h, deflated), dtype=np.uint8).reshape(n, h)
    else:
        status = np.zeros((n, h), dtype=np.uint8)
    return Profile(first_hour, index, channel, register, counts.reshape(n, h), status, interval_s, generation)


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


def _integer(block: Mapping[Any, Any], key: Key, low: int, high: int, default: int | None = None) -> int:
    value = block.get(int(key), default)
    if type(value) is not int or not low <= value <= high:
        raise wire.Malformed(f"{key.name.lower()}: expected an integer from {low} to {high}")
    return value


def _octets(block: Mapping[Any, Any], key: Key) -> bytes:
    value = block.get(int(key))
    if type(value) is not bytes:
        raise wire.Malformed(f"{key.name.lower()}: expected bytes")
    return value


def _sized(block: Mapping[Any, Any], key: Key, size: int) -> bytes:
    value = _octets(block, key)
    if len(value) != size:
        raise wire.Malformed(f"{key.name.lower()}: {len(value)} bytes; expected {size}")
    return value


def _inflated(block: Mapping[Any, Any], key: Key, size: int, deflated: int) -> bytes:
    """A field that may be zlib-deflated; never inflates beyond what the block's own shape allows."""
    if not deflated:
        return _sized(block, key, size)
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(_octets(block, key), size + 1)
    except zlib.error:
        raise wire.Malformed(f"{key.name.lower()}: does not inflate") from None
    if len(plain) != size or not inflater.eof or inflater.unused_data:
        raise wire.Malformed(f"{key.name.lower()}: does not inflate to the {size} bytes that its shape allows")
    return plain
