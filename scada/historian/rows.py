"""A block of the store as the row of a table, with a check sum over all of it."""

import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.dense import SLOTS, Dense, columns_of
from scada.historian.packing import narrow, pack, unpack
from scada.intervals import MISSING

COLUMNS: Final = "version, crc, columns, counts, status, registers"
BY_KEY: Final = f"SELECT {COLUMNS} FROM block WHERE interval_s=? AND day=? AND block=?"
DAMAGED: Final = "do not match their check sum"
BlockKey = tuple[int, int, int]                     # interval_s, day since 1970, block


def encode_block(block: Dense) -> tuple[Any, ...]:
    """The values of `COLUMNS`; what says nothing is left out."""
    columns = pack(narrow(block.column_version))
    counts = pack(narrow(block.counts))
    status = pack(block.status) if block.status.any() else None
    registers = pack(narrow(block.registers)) if (block.registers != MISSING).any() else None
    return block.version, crc_of(columns, counts, status, registers), columns, counts, status, registers


def decode_block(
    interval_s: int, version: int, crc: int, columns: bytes, counts: bytes, status: bytes | None, registers: bytes | None
) -> Dense:
    """The block of a row; raises `ValueError` when its bytes are not what was written."""
    if why := check_block(version, crc, columns, counts, status, registers):
        raise ValueError(f"the bytes {why}")
    width = columns_of(interval_s)
    size, shape = SLOTS * width, (SLOTS, width)
    return Dense(
        unpack(counts, size).astype(np.int64).reshape(shape),
        np.zeros(shape, np.uint8) if status is None else unpack(status, size).astype(np.uint8).reshape(shape),
        np.full(shape, MISSING, np.int64) if registers is None else unpack(registers, size).astype(np.int64).reshape(shape),
        unpack(columns, width).astype(np.int64),
        version,
    )


def decode_counts(
    interval_s: int, version: int, crc: int, columns: bytes, counts: bytes, status: bytes | None, registers: bytes | None
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Pulses as they were stored, and status bits, None where there are none, of a row; raises `ValueError` likewise."""
    if why := check_block(version, crc, columns, counts, status, registers):
        raise ValueError(f"the bytes {why}")
    shape = SLOTS, columns_of(interval_s)
    size = shape[0] * shape[1]
    bits = None if status is None else unpack(status, size).astype(np.uint8, copy=False).reshape(shape)
    return unpack(counts, size).reshape(shape), bits


def check_block(
    version: int, crc: int, columns: bytes, counts: bytes, status: bytes | None, registers: bytes | None
) -> str:
    """What is wrong with the bytes of a row, "" = nothing."""
    return "" if crc_of(columns, counts, status, registers) == crc else DAMAGED


def crc_of(*blobs: bytes | None) -> int:
    """The check sum of a row: columns, counts, status, registers."""
    value = 0
    for blob in blobs:
        value = zlib.crc32(blob or b"", value)
    return value
