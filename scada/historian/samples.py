"""Samples of live tags as columns: packed into a blob with its check sum, sorted, joined without repeats."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.decimals import pack_floats, unpack_floats
from scada.historian.packing import pack, unpack
from scada.historian.times import pack_times, unpack_times

_LENGTHS: Final = struct.Struct("<IIII")


@attrs.frozen(eq=False)
class Samples:
    """n samples: number of the tag, source time [ns], value, quality."""

    tag: NDArray[np.int32]
    at: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, which: Any) -> "Samples":
        return Samples(self.tag[which], self.at[which], self.values[which], self.quality[which])


EMPTY: Final = Samples(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))


def join(parts: Sequence[Samples]) -> Samples:
    """Parts one after the other."""
    if not parts:
        return EMPTY
    return Samples(
        np.concatenate([part.tag for part in parts]), np.concatenate([part.at for part in parts]),
        np.concatenate([part.values for part in parts]), np.concatenate([part.quality for part in parts]),
    )


def in_order(samples: Samples) -> Samples:
    """Sorted by tag and source time, what came first first; the very same sample only once."""
    if not len(samples):
        return samples
    ordered = samples.take(np.lexsort((samples.at, samples.tag)))
    values = ordered.values.view(np.int64)                      # NaN equals NaN here
    same = (
        (np.diff(ordered.tag) == 0) & (np.diff(ordered.at) == 0) & (values[1:] == values[:-1])
        & (ordered.quality[1:] == ordered.quality[:-1])
    )
    return ordered.take(np.concatenate(([True], ~same))) if same.any() else ordered


def encode(samples: Samples) -> tuple[int, bytes]:
    """(CRC, blob)."""
    parts = [pack(samples.tag), pack_times(samples.at), pack_floats(samples.values), pack(samples.quality)]
    blob = _LENGTHS.pack(*(len(part) for part in parts)) + b"".join(parts)
    return zlib.crc32(blob), blob


def decode(n: int, crc: int, blob: bytes, only: int | None = None) -> Samples:
    """The samples of a blob, or those of one tag; raises `ValueError` when its bytes are not what was written."""
    if zlib.crc32(blob) != crc:
        raise ValueError("the bytes do not match their check sum")
    parts, offset = [], _LENGTHS.size
    for length in _LENGTHS.unpack_from(blob):
        parts.append(blob[offset:offset + length])
        offset += length
    tag = unpack(parts[0], n)
    which: Any = slice(None)
    if only is not None:
        which = np.flatnonzero(tag == only)
        if not len(which):
            return EMPTY
    return Samples(
        tag[which], unpack_times(parts[1], n)[which], unpack_floats(parts[2], n)[which], unpack(parts[3], n)[which]
    )
