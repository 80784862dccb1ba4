"""A check sum behind the values of each row of results, reckoned for all rows at once.

A row is the values of its columns as little-endian doubles, and then its sum. The sum is of the place as well (series,
start, names of the columns), so that a row which stands elsewhere than it was put does not match. Rows from before there
were sums are shorter by one value; `results.open_results` gives them theirs.

Each step of the sum can be undone: one word that is not what was written always shows, several with all but 2^-64.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

VALUE_BYTES: Final = 8
# Shape and bytes of a row, whatever type the disk has made of them.
STORED: Final = "ifnull(CAST(shape AS INTEGER), 0), ifnull(CAST(row AS BLOB), x'')"
_BEGIN: Final = np.uint64(0x243F6A8885A308D3)       # of pi and of the golden ratio: no more than numbers without a pattern
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)      # odd, so that nothing is lost in multiplying
_SHIFT: Final = np.uint64(29)


def of_table(name: str) -> str:
    """`STORED` where several tables have such columns."""
    return STORED.replace("shape", f"{name}.shape").replace("row ", f"{name}.row ")


@attrs.frozen(eq=False)
class Sound:
    """Of n rows those of one shape whose bytes are what was written."""

    lines: NDArray[np.intp]
    values: NDArray[np.float64]                     # (lines, columns)


def summed(
    series: NDArray[np.int64], start: NDArray[np.int64], columns: Sequence[str], values: NDArray[np.float64]
) -> bytes:
    """Rows of one shape as they are stored, one after the other; `values` is (n, columns)."""
    rows = np.empty((len(values), values.shape[1] + 1), "<f8")
    rows[:, :-1] = values
    rows.view("<u8")[:, -1] = _sums(series, start, columns, rows[:, :-1])
    return rows.tobytes()


def sound(
    series: NDArray[np.int64], start: NDArray[np.int64], shape: NDArray[np.int64], rows: Sequence[bytes],
    columns: Mapping[int, Sequence[str]], older: bool = False,
) -> dict[int, Sound]:
    """What can be believed of n rows, by shape; `columns` are the names of each. `older`: some may have no sum yet."""
    sizes = np.fromiter(map(len, rows), np.int64, len(rows))
    found: dict[int, Sound] = {}
    for one in np.unique(shape).tolist():
        if (names := columns.get(one)) is None:
            continue
        count = len(names)
        lines = np.flatnonzero((shape == one) & (sizes == VALUE_BYTES * (count + 1)))
        block = np.frombuffer(b"".join([rows[line] for line in lines.tolist()]), "<f8").reshape(len(lines), count + 1)
        right = _sums(series[lines], start[lines], names, block[:, :-1]) == block.view("<u8")[:, -1]
        early = np.flatnonzero((shape == one) & (sizes == VALUE_BYTES * count)) if older else lines[:0]
        values = block[right, :-1]
        if len(early):
            their = np.frombuffer(b"".join([rows[line] for line in early.tolist()]), "<f8").reshape(len(early), count)
            values = np.concatenate((values, their))
        found[one] = Sound(np.concatenate((lines[right], early)), values)
    return found


def _sums(
    series: NDArray[np.int64], start: NDArray[np.int64], columns: Sequence[str], values: NDArray[np.float64]
) -> NDArray[np.uint64]:
    """A sum for each row, a step for each column."""
    names = np.uint64(zlib.crc32("\n".join(columns).encode()))
    total = np.full(len(values), _BEGIN)
    words = np.ascontiguousarray(values.T, "<f8").view("<u8")
    for word in (series.view(np.uint64), start.view(np.uint64), names, *words):
        total = (total ^ word) * _FACTOR
        total ^= total >> _SHIFT
    return total
