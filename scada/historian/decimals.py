"""Float64 values as small bytes, every one exact: integers scaled by a power of ten where the values are decimals.

What a device says as 230.1 is the float64 nearest to 2301 / 10, and dividing gives that very float64 back; so a column of
such values is stored as integers. Where one value is not (a float32, an angle, -0.0, an infinity), the column stays floats:
of 32 bits where those hold all of it, else of 64. NaN keeps its place, not its payload.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.packing import narrow, pack, unpack

Floats = NDArray[np.float64]
DIGITS: Final = (0, 1, 2, 3, 4, 5, 6)   # behind the point
SCALED: Final = 32                      # first byte: this + digits behind the point; numbers are never reused
SCALED_NAN: Final = 48                  # the same, and the smallest integer stands for NaN
PLAIN: Final = 64                       # floats as they are
_LARGEST: Final = 2**31 - 2             # of a scaled value; larger ones are no smaller than floats
_FIRST: Final = 32                      # values looked at before all are


def pack_floats(values: Floats) -> bytes:
    """Bytes from which `unpack_floats` makes the same values."""
    given = np.ascontiguousarray(values, dtype=np.float64)
    nan = np.isnan(given)
    some = bool(nan.any())
    known = given[~nan] if some else given
    for digits in DIGITS:
        if _exact(known[:_FIRST], digits) is not None and (found := _exact(known, digits)) is not None:
            integers = np.full(len(given), (int(found.min()) if len(found) else 0) - 1, np.int64)
            integers[~nan] = found
            return bytes((digits + (SCALED_NAN if some else SCALED),)) + pack(narrow(integers))
    with np.errstate(over="ignore"):
        half = given.astype(np.float32)
    same = np.array_equal(half.astype(np.float64).view(np.int64)[~nan], given.view(np.int64)[~nan])
    return bytes((PLAIN,)) + pack(half if same else given)


def unpack_floats(blob: bytes, size: int) -> Floats:
    """The values that `pack_floats` took, or `pack` in an earlier version; raises `ValueError` for anything else."""
    kind = blob[0] if blob else 0
    inner = unpack(blob if kind < SCALED else blob[1:], size)
    if kind < SCALED or kind == PLAIN:
        plain: Floats = inner.astype(np.float64)
        plain[np.isnan(plain)] = np.nan                 # one NaN, so that the same sample kept twice is the same
        return plain
    digits = kind - (SCALED_NAN if kind >= SCALED_NAN else SCALED)
    if digits not in DIGITS or inner.dtype.kind != "i":
        raise ValueError(f"not packed values: kind {kind}")
    values: Floats = inner / _power(digits)
    if kind >= SCALED_NAN:
        values[inner == inner.min()] = np.nan
    return values


def _exact(values: Floats, digits: int) -> NDArray[np.int64] | None:
    """The integers that stand for values, None where one of them would come back otherwise."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * _power(digits))
    if not (np.abs(scaled) <= _LARGEST).all():
        return None
    integers = scaled.astype(np.int64)
    back: NDArray[Any] = integers / _power(digits)
    return integers if np.array_equal(back.view(np.int64), values.view(np.int64)) else None


def _power(digits: int) -> float:
    return float(10**digits)
