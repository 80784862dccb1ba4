"""Integer and float arrays as small bytes: narrowed where exact, byte-shuffled, zstd-compressed."""

import threading
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

LEVEL: Final = 1
_NARROW: Final = (np.int8, np.int16, np.int32, np.int64)
_TYPES: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype("i1"), 2: np.dtype("<i2"), 3: np.dtype("<i4"), 4: np.dtype("<i8"), 5: np.dtype("<f8"), 6: np.dtype("u1"),
    7: np.dtype("<f4"),
}
_WORDS: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
_CODES: Final = {dtype: code for code, dtype in _TYPES.items()}
_local = threading.local()


def narrow(values: NDArray[np.int64]) -> NDArray[Any]:
    """The same integers in the fewest bytes that hold all of them."""
    if values.size == 0:
        return values.astype(np.int8)
    low, high = int(values.min()), int(values.max())
    for kind in _NARROW:
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return values.astype(kind)
    return values


def type_code(array: NDArray[Any]) -> int:
    """The number that stands for an array's type in files; never reused."""
    return _CODES[array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype]


def type_of(code: int) -> np.dtype[Any]:
    return _TYPES[code]


def pack(array: NDArray[Any]) -> bytes:
    """One byte of type, then the array's bytes: all first bytes, all second bytes …, compressed."""
    contiguous = np.ascontiguousarray(array)
    planes = b"".join(_planes(contiguous.reshape(-1)))
    return bytes((type_code(contiguous),)) + bytes(_compressor().compress(planes))


def pack_each(values: NDArray[np.int64], width: int = 1) -> list[bytes]:
    """
    `pack(narrow(...))` of each of b arrays, (b, n), to the byte: for many small ones, calls cost more than bytes.

    Each value may stand for `width` of them: the first, and -1 for the others.
    """
    packed = [b""] * len(values)
    if not values.size:
        return packed
    low, high = values.min(axis=1), values.max(axis=1)
    wide = np.zeros(len(values), np.int64)              # which of `_NARROW` holds all of an array
    for kind in _NARROW[:-1]:
        wide += (low < np.iinfo(kind).min) | (high > np.iinfo(kind).max)
    compress = _compressor().compress
    for number in np.unique(wide).tolist():
        which = np.flatnonzero(wide == number)
        code = number + 1
        small = values[which].astype(_TYPES[code])
        shape = len(which), small.itemsize, values.shape[1], width
        planes = np.full(shape, 0xFF, np.uint8) if width > 1 else np.empty(shape, np.uint8)
        planes[..., 0] = small.view(np.uint8).reshape(*small.shape, -1).transpose(0, 2, 1)
        head = bytes((code,))
        for place, one in zip(which.tolist(), planes.reshape(len(which), -1), strict=True):
            packed[place] = head + compress(one.data)
    return packed


def unpack(blob: bytes, size: int) -> NDArray[Any]:
    """The flat array of `size` elements that `pack` took; raises `ValueError` for anything else."""
    try:
        dtype = _TYPES[blob[0]]
        raw = _decompressor().decompress(blob[1:], max_output_size=size * dtype.itemsize)
    except (KeyError, IndexError, zstandard.ZstdError) as error:
        raise ValueError(f"not a packed array: {error}") from None
    if len(raw) != size * dtype.itemsize:
        raise ValueError(f"packed array of {len(raw)} bytes, expected {size} x {dtype.itemsize}")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(dtype.itemsize, size)
    word = _WORDS[dtype.itemsize]
    values: NDArray[Any] = planes[0].astype(word)
    for place, plane in enumerate(planes[1:], 1):           # several times as fast as a transposition of bytes
        values |= plane.astype(word) << word.type(8 * place)
    found: NDArray[Any] = values.view(dtype)
    return found


def _planes(values: NDArray[Any]) -> list[bytes]:
    """All first bytes, all second bytes …, the lowest first."""
    word = _WORDS[values.itemsize]
    bits = values.view(word)
    return [(bits >> word.type(8 * place)).astype(np.uint8).tobytes() for place in range(values.itemsize)]


def _compressor() -> zstandard.ZstdCompressor:
    """zstd's contexts must not be shared between threads."""
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=LEVEL)
    compressor: zstandard.ZstdCompressor = _local.compressor
    return compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _local.decompressor
    return decompressor
