"""PROFILE blocks -> arrays: many blocks at once, whoever they come from (docs/dmlp.md, "PROFILE").

A block holds some twenty channels. The steps over arrays cost more in the calling than in the work, so blocks of one
shape are put together first, and looked at one by one only to say what is wrong with one.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh import wire
from scada.drivers.dmesh.numbers import MAX_CHANNELS, MAX_MODULES
from scada.drivers.dmesh.profile import INTERVALS, MAX_CELLS, MAX_DAYS, MAX_ROWS, Key, Profile
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.intervals import HOURLY, MISSING

ALL_ONES: Final = {2: 0xFFFF, 4: 0xFFFF_FFFF}       # a delta that was not measured, by its width in bytes
Shape = tuple[int, int, int]                        # (intervals, interval_s, bytes of a delta)


@attrs.frozen(eq=False)
class Profiles:
    """Blocks of one shape, one below the other; `Profile` says what the columns are."""

    places: NDArray[np.int64]           # (b,) where each block stood among those that were given
    sizes: NDArray[np.int64]            # (b,) channels of each
    first_hour: NDArray[np.int64]       # (b,)
    generation: NDArray[np.int64]       # (b,)
    index: NDArray[np.uint16]           # (n,)
    channel: NDArray[np.uint8]          # (n,)
    register: NDArray[np.int64]         # (n,)
    counts: NDArray[np.int64]           # (n, h)
    status: NDArray[np.uint8]           # (n, h)
    interval_s: int

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first row of each block."""
        ends: NDArray[np.int64] = np.cumsum(self.sizes)
        return ends - self.sizes

    def without(self, bad: NDArray[np.bool_]) -> "Profiles":
        """Those blocks only that are not `bad`, (b,)."""
        if not bad.any():
            return self
        good, rows = ~bad, np.repeat(~bad, self.sizes)
        return Profiles(
            self.places[good], self.sizes[good], self.first_hour[good], self.generation[good], self.index[rows],
            self.channel[rows], self.register[rows], self.counts[rows], self.status[rows], self.interval_s,
        )


@attrs.frozen(eq=False)
class _Raw:
    """A block whose fields have their sizes; what stands in them is not looked at yet."""

    place: int
    first_hour: int
    generation: int
    channels: int
    fields: tuple[bytes, bytes, bytes, bytes, bytes | None]     # indices, channels, registers, deltas, status


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
    found, refused = decode_many([block])
    if refused:
        return refused[0]
    one = found[0]
    return Profile(
        int(one.first_hour[0]), one.index, one.channel, one.register, one.counts, one.status, one.interval_s,
        int(one.generation[0]),
    )


def decode_many(blocks: Sequence[Any]) -> tuple[list[Profiles], dict[int, Rejected]]:
    """
    Arrays of many PROFILE blocks.

    Parameters
    ----------
    blocks : sequence of mapping
        Any values are allowed.

    Returns
    -------
    found : list of Profiles
        One for each shape that occurs.
    refused : dict of int to Rejected
        What is wrong with each of the others, by its place in `blocks`.
    """
    shapes: dict[Shape, list[_Raw]] = {}
    refused: dict[int, Rejected] = {}
    for place, block in enumerate(blocks):
        try:
            shape, raw = _read(place, block)
        except wire.Malformed as problem:
            refused[place] = Rejected(Reject.BLOCK, str(problem))
        else:
            shapes.setdefault(shape, []).append(raw)
    found = []
    for shape, raws in shapes.items():
        together = _together(shape, raws)
        bad = np.zeros(len(raws), np.bool_)
        for at, reason in _faults(together):
            bad[at] = True
            refused[raws[at].place] = Rejected(Reject.BLOCK, reason)
        if not bad.all():
            found.append(together.without(bad))
    return found, refused


def _read(place: int, block: Any) -> tuple[Shape, _Raw]:
    """One block's fields, with their sizes checked; raises `Malformed`."""
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
    if width not in ALL_ONES:
        raise wire.Malformed(f"deltas of {width} bytes; 2 and 4 are known")
    modules = _octets(block, Key.MODULES)
    n, rest = divmod(len(modules), 2)
    if rest or not 1 <= n <= MAX_ROWS or n * h > MAX_CELLS:
        raise wire.Malformed(f"{len(modules)} bytes of module indices x {h} intervals")
    fields = (
        modules, _sized(block, Key.CHANNELS, n), _sized(block, Key.REGISTERS, 4 * n),
        _inflated(block, Key.DELTAS, n * h * width, deflated),
        _inflated(block, Key.STATUS, n * h, deflated) if Key.STATUS in block else None,
    )
    return (h, interval_s, width), _Raw(place, first_hour, generation, n, fields)


def _together(shape: Shape, raws: list[_Raw]) -> Profiles:
    """Blocks of one shape as one table; nothing in it has been looked at."""
    h, interval_s, width = shape
    modules, channels, registers, deltas, status = zip(*(raw.fields for raw in raws), strict=True)
    sizes = np.array([raw.channels for raw in raws], dtype=np.int64)
    raw_counts = np.frombuffer(b"".join(deltas), dtype=f"<u{width}")
    counts = raw_counts.astype(np.int64)
    counts[raw_counts == ALL_ONES[width]] = MISSING
    if any(status):
        flags = [one or bytes(raw.channels * h) for one, raw in zip(status, raws, strict=True)]
        bits = np.frombuffer(b"".join(flags), dtype=np.uint8)
    else:
        bits = np.zeros(counts.shape, dtype=np.uint8)
    return Profiles(
        np.array([raw.place for raw in raws], dtype=np.int64), sizes,
        np.array([raw.first_hour for raw in raws], dtype=np.int64),
        np.array([raw.generation for raw in raws], dtype=np.int64),
        np.frombuffer(b"".join(modules), dtype="<u2"), np.frombuffer(b"".join(channels), dtype=np.uint8),
        np.frombuffer(b"".join(registers), dtype="<u4").astype(np.int64), counts.reshape(-1, h), bits.reshape(-1, h),
        interval_s,
    )


def _faults(all_: Profiles) -> Iterator[tuple[int, str]]:
    """The blocks that cannot be, and why."""
    index, channel, starts = all_.index, all_.channel, all_.starts
    place = index.astype(np.int32) * MAX_CHANNELS + channel
    rising = place[1:] > place[:-1]
    rising[starts[1:] - 1] = True                   # from one block to the next anything goes
    if index.min() >= 1 and index.max() <= MAX_MODULES and channel.max() < MAX_CHANNELS and rising.all():
        return                                      # as it usually is, and quicker to see
    for at, (start, size) in enumerate(zip(starts.tolist(), all_.sizes.tolist(), strict=True)):
        rows = slice(start, start + size)
        if index[rows].min() < 1 or index[rows].max() > MAX_MODULES:
            yield at, "a module index outside 1-240"
        elif channel[rows].max() >= MAX_CHANNELS:
            yield at, f"a channel above {MAX_CHANNELS - 1}"
        elif len(np.unique(place[rows])) < size:
            yield at, "a channel stands twice in the block"


def _integer(block: Mapping[Any, Any], key: Key, low: int, high: int, default: int | None = None) -> int:
    value = block.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise wire.Malformed(f"{key.name.lower()}: expected an integer from {low} to {high}")
    return value


def _octets(block: Mapping[Any, Any], key: Key) -> bytes:
    value = block.get(key)
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
