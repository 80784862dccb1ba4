"""Sets of modules as bitmaps of 30 bytes: bit i-1, least significant first, is subnet index i."""

import hashlib
from collections.abc import Iterable

import numpy as np

from scada.drivers.dmesh.numbers import BITMAP, MAX_MODULES


def bitmap(indices: Iterable[int]) -> bytes:
    """The bitmap of subnet indices 1-240."""
    bits = np.zeros(BITMAP * 8, dtype=np.uint8)
    chosen = np.fromiter(indices, dtype=np.int64)
    if len(chosen) and (chosen.min() < 1 or chosen.max() > MAX_MODULES):
        raise ValueError("subnet indices are 1-240")
    bits[chosen - 1] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def indices(members: bytes) -> tuple[int, ...]:
    """The subnet indices of a bitmap, ascending."""
    bits = np.unpackbits(np.frombuffer(members, dtype=np.uint8), bitorder="little")
    return tuple(int(one) + 1 for one in np.flatnonzero(bits))


def members_digest(euis: Iterable[tuple[int, int]]) -> bytes:
    """SHA-256 over the EUIs (8 bytes, big-endian) of (index, EUI) pairs in ascending order of index."""
    return hashlib.sha256(b"".join(eui.to_bytes(8, "big") for _, eui in sorted(euis))).digest()
