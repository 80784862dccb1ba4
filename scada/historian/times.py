"""Times of samples as small bytes: in the coarsest unit that is exact, and as steps, which repeat themselves."""

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.packing import narrow, pack, unpack

STEPS: Final = 32                       # first byte of this form; those of `pack` are other ones
UNITS: Final = (1_000_000_000, 1_000_000, 1_000, 1)     # ns
_HEAD: Final = struct.Struct("<BBq")


def pack_times(at: NDArray[np.int64]) -> bytes:
    """(n,) [ns], in any order, exactly."""
    if len(at) < 2:
        return pack(at)
    place, unit = next((place, unit) for place, unit in enumerate(UNITS) if not (at % unit).any())
    whole = at // unit
    steps = np.diff(whole)
    if not np.array_equal(whole[0] + np.cumsum(steps), whole[1:]):
        return pack(at)                                     # a difference that int64 does not hold
    return _HEAD.pack(STEPS, place, int(whole[0])) + pack(narrow(steps))


def unpack_times(blob: bytes, n: int) -> NDArray[np.int64]:
    """What `pack_times`, or `pack` in older files, took; raises `ValueError` for anything else."""
    if not blob or blob[0] != STEPS:
        return unpack(blob, n).astype(np.int64, copy=False)
    try:
        _, place, first = _HEAD.unpack_from(blob)
        unit = UNITS[place]
    except (struct.error, IndexError) as error:
        raise ValueError(f"not packed times: {error}") from None
    steps = unpack(blob[_HEAD.size:], n - 1).astype(np.int64)
    return unit * np.concatenate(([first], first + np.cumsum(steps)))
