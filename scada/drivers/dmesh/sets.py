"""Sets of modules as bitmaps of 30 bytes: bit i-1, least significant first, is subnet index i."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from scada.columns import Pairs
from scada.drivers.dmesh.numbers import BITMAP, MAX_MODULES


def bitmap(indices: Iterable[int] | NDArray[np.uint8]) -> bytes:
    """The bitmap of subnet indices 1-240."""
    bits = np.zeros(BITMAP * 8, dtype=np.uint8)
    chosen = indices.astype(np.int64) if isinstance(indices, np.ndarray) else np.fromiter(indices, dtype=np.int64)
    if len(chosen) and (chosen.min() < 1 or chosen.max() > MAX_MODULES):
        raise ValueError("subnet indices are 1-240")
    bits[chosen - 1] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def flags(members: bytes) -> NDArray[np.bool_]:
    """Of each subnet index from 1 on, whether it is in a bitmap."""
    return np.unpackbits(np.frombuffer(members, dtype=np.uint8), bitorder="little").astype(bool)


def indices(members: bytes) -> tuple[int, ...]:
    """The subnet indices of a bitmap, ascending."""
    return tuple((np.flatnonzero(flags(members)) + 1).tolist())


def members_digest(members: Iterable[tuple[int, int]]) -> bytes:
    """SHA-256 over the EUIs (8 bytes, big-endian) of (index, EUI) pairs in ascending order of index."""
    pairs = Pairs.of(members)
    order = np.argsort(pairs.indices, kind="stable")
    return hashlib.sha256(pairs.euis[order].astype(">u8").tobytes()).digest()
