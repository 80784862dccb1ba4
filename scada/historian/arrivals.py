"""Which delivery brought what a block holds, so that a block can be read as it was known at an instant. Pure.

A count is never replaced, so its delivery says all; status bits may be joined to what is held, and each joining is a row of
its own. What was stored before arrivals were noted has number 0, and counts as known from the beginning.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import NS_PER_MS
from scada.historian.packing import pack, unpack

NOT_NOTED: Final = 0
_FIELDS: Final = 4                      # of a source


class Source(NamedTuple):
    """A delivery: when it was received, from whom, as which record of his archive. A tuple: it is hashed very often."""

    at: int                             # ms since 1970, site time, rounded up
    link_id: int
    archive_id: int
    record: int

    @classmethod
    def of(cls, received: int, link_id: int, archive_id: int, record: int) -> "Source":
        """`received` in ns."""
        return cls(-(-received // NS_PER_MS), link_id, archive_id, record)


@attrs.frozen
class Joined:
    """Status bits that were joined to an interval after its count, or before it."""

    row: int
    column: int
    before: int
    after: int
    source: Source


@attrs.frozen(eq=False)
class Whence:
    """Who brought each row of a table."""

    sources: Sequence[Source]
    of_row: NDArray[np.int64]           # (n,) index into `sources`

    def part(self, lines: slice) -> "Whence":
        return Whence(self.sources, self.of_row[lines])


@attrs.define(eq=False)
class Arrivals:
    """Of one block. A number is given to a delivery that brought something new, so there are fewer than 2 x cells."""

    pulses: NDArray[np.uint16]          # (256, columns) number of the delivery that brought the count
    registers: NDArray[np.uint16]       # the same of registers, also of those thinned out since
    sources: list[Source] = attrs.field(factory=list)           # number 1 first
    joined: list[Joined] = attrs.field(factory=list)            # not on disk yet
    touched: bool = False               # differs from what is on disk
    _numbers: dict[Source, int] = attrs.field(factory=dict)
    _last: tuple[Whence | None, NDArray[np.uint16]] = (None, np.empty(0, np.uint16))

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> "Arrivals":
        return cls(np.zeros(shape, np.uint16), np.zeros(shape, np.uint16))

    @property
    def times(self) -> NDArray[np.int64]:
        """By number; what was not noted was always there. [ms since 1970]"""
        return np.array([0, *(one.at for one in self.sources)], dtype=np.int64)

    def pulses_came(
        self, rows: NDArray[np.int64], columns: slice, fresh: NDArray[np.bool_], whence: Whence
    ) -> None:
        """Note who brought the counts that are `fresh`, (n, k)."""
        self.touched = True
        if fresh.all():
            numbers = self._number(whence, slice(None))
            self.pulses[rows, columns] = numbers[:, None]
            self._last = whence, numbers
            return
        news = np.flatnonzero(fresh.any(axis=1))
        held = self.pulses[rows[news], columns]
        self.pulses[rows[news], columns] = np.where(fresh[news], self._number(whence, news)[:, None], held)

    def registers_came(
        self, rows: NDArray[np.int64], column: int, fresh: NDArray[np.bool_], whence: Whence
    ) -> None:
        """Note who brought the registers that are `fresh`, (n,); who brought one first stays."""
        news = np.flatnonzero(fresh & (self.registers[rows, column] == NOT_NOTED))
        if len(news):
            self.touched = True
            last, numbers = self._last                      # usually the pulses of the same delivery came just now
            self.registers[rows[news], column] = numbers[news] if last is whence else self._number(whence, news)

    def bits_came(
        self, rows: NDArray[np.int64], column: int, before: NDArray[np.uint8], after: NDArray[np.uint8], whence: Whence,
        late: NDArray[np.bool_],
    ) -> None:
        """Note status bits joined where `late`, (n, k); `column` is the first of k."""
        for row, one in zip(*(where.tolist() for where in np.nonzero(late)), strict=True):
            source = whence.sources[int(whence.of_row[row])]
            self.joined.append(
                Joined(int(rows[row]), column + one, int(before[row, one]), int(after[row, one]), source)
            )

    def _number(self, whence: Whence, lines: Any) -> NDArray[np.uint16]:
        """The numbers of rows' deliveries, new ones given."""
        of_row = whence.of_row[lines]
        runs = np.concatenate(([0], np.flatnonzero(of_row[1:] != of_row[:-1]) + 1, [len(of_row)]))
        numbers = []
        for one in of_row[runs[:-1]].tolist():
            source = whence.sources[one]
            number = self._numbers.get(source)
            if number is None:
                self.sources.append(source)
                number = self._numbers[source] = len(self.sources)
            numbers.append(number)
        return np.repeat(np.array(numbers, dtype=np.uint16), runs[1:] - runs[:-1])


def encode_arrivals(arrivals: Arrivals) -> tuple[int, int, bytes]:
    """(CRC, deliveries, notes): numbers of all cells in as many bytes as they need, then the deliveries, as one blob."""
    n = len(arrivals.sources)
    table = np.array(arrivals.sources, dtype=np.int64)
    cells = np.stack((arrivals.pulses, arrivals.registers)).astype(_cell_type(n), copy=False)
    steps = np.diff(table.reshape(n, _FIELDS), axis=0, prepend=0).T
    notes = pack(np.concatenate((_planes(cells), _planes(steps))))
    return zlib.crc32(notes), n, notes


def decode_arrivals(shape: tuple[int, int], crc: int, n: int, notes: bytes) -> Arrivals:
    """Raises `ValueError` for bytes that are not what was written."""
    if zlib.crc32(notes) != crc:
        raise ValueError("the bytes of its arrivals do not match their check sum")
    cell, size = np.dtype(_cell_type(n)), 2 * shape[0] * shape[1]
    body = unpack(notes, size * cell.itemsize + n * _FIELDS * 8).view(np.uint8)
    pulses, registers = _unplaned(body[:size * cell.itemsize], cell).reshape(2, *shape).astype(np.uint16)
    table = np.cumsum(_unplaned(body[size * cell.itemsize:], np.dtype("<i8")).reshape(_FIELDS, n), axis=1).T
    found = [Source(*one) for one in table.tolist()]
    return Arrivals(pulses, registers, found, numbers={source: number for number, source in enumerate(found, 1)})


def _cell_type(deliveries: int) -> str:
    return "u1" if deliveries < 256 else "<u2"


def _planes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """All first bytes, then all second bytes, and so on."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).reshape(-1, flat.itemsize).T.reshape(-1)


def _unplaned(body: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(body.reshape(dtype.itemsize, -1).T).view(dtype).reshape(-1)
