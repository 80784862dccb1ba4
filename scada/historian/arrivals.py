"""Which delivery brought what a block holds, so that a block can be read as it was known at an instant. Pure.

A count is never replaced, so its delivery says all; status bits may be joined to what is held, and each joining is a row of
its own. What was stored before arrivals were noted has number 0, and counts as known from the beginning.
"""

import zlib
from typing import Any, Final, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import NS_PER_MS
from scada.historian.packing import pack, unpack

NOT_NOTED: Final = 0
_FIELDS: Final = 4                      # of a source


class Source(NamedTuple):
    """A delivery: when it was received, from whom, as which record of his archive."""

    at: int                             # ms since 1970, site time, rounded up
    link_id: int
    archive_id: int
    record: int


def received_ms(received: int) -> int:
    """`Source.at` of what was received at [ns]."""
    return -(-received // NS_PER_MS)


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

    sources: NDArray[np.int64]          # (m, 4) the fields of `Source`
    of_row: NDArray[np.int64]           # (n,) index into `sources`

    def part(self, lines: slice) -> "Whence":
        return Whence(self.sources, self.of_row[lines])


def _no_sources() -> NDArray[np.int64]:
    return np.empty((0, _FIELDS), np.int64)


@attrs.define(eq=False)
class Arrivals:
    """Of one block. A number is given to a delivery that brought something new, so there are fewer than 2 x cells."""

    pulses: NDArray[np.uint16]          # (256, columns) number of the delivery that brought the count
    registers: NDArray[np.uint16]       # the same of registers, also of those thinned out since
    sources: NDArray[np.int64] = attrs.field(factory=_no_sources)   # (m, 4) the fields of `Source`, number 1 first
    joined: list[Joined] = attrs.field(factory=list)            # not on disk yet
    touched: bool = False               # differs from what is on disk
    _last: tuple[Whence | None, NDArray[np.uint16]] = (None, np.empty(0, np.uint16))

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> "Arrivals":
        return cls(np.zeros(shape, np.uint16), np.zeros(shape, np.uint16))

    @property
    def times(self) -> NDArray[np.int64]:
        """By number; what was not noted was always there. [ms since 1970]"""
        return np.concatenate(([0], self.sources[:, 0]))

    def source(self, number: int) -> Source | None:
        """The delivery of a number; None of what was not noted."""
        return Source(*self.sources[number - 1].tolist()) if number else None

    def pulses_came(
        self, rows: NDArray[np.int64], columns: slice, fresh: NDArray[np.bool_], whence: Whence
    ) -> None:
        """Note who brought the counts that are `fresh`, (n, k)."""
        self.touched = True
        if fresh.all():
            numbers = self._number(whence, slice(None))
            self.pulses[run_of(rows), columns] = numbers[:, None]
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
            source = Source(*whence.sources[whence.of_row[row]].tolist())
            self.joined.append(
                Joined(int(rows[row]), column + one, int(before[row, one]), int(after[row, one]), source)
            )

    def _number(self, whence: Whence, lines: Any) -> NDArray[np.uint16]:
        """The numbers of rows' deliveries, new ones given."""
        used, place = np.unique(whence.of_row[lines], return_inverse=True)
        wanted = whence.sources[used]
        known = self._known(wanted)
        fresh = np.flatnonzero(known == NOT_NOTED)
        known[fresh] = len(self.sources) + 1 + np.arange(len(fresh))
        self.sources = np.concatenate((self.sources, wanted[fresh]))
        return known.astype(np.uint16)[place]

    def _known(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Their numbers; 0 for those that have none yet. What is younger than all that is held cannot be known."""
        numbers = np.zeros(len(wanted), np.int64)
        same_age = np.flatnonzero(self.sources[:, 0] >= wanted[:, 0].min())
        if len(same_age):
            held = {tuple(self.sources[one].tolist()): one + 1 for one in same_age.tolist()}
            numbers[:] = [held.get(tuple(one), NOT_NOTED) for one in wanted.tolist()]
        return numbers


def run_of(rows: NDArray[np.int64]) -> "slice | NDArray[np.int64]":
    """Rows that follow on each other as a slice, which numpy reads and writes several times as fast; others as they are."""
    n = len(rows)
    if n and rows[-1] - rows[0] == n - 1 and (rows[1:] - rows[:-1] == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def encode_arrivals(arrivals: Arrivals) -> tuple[int, int, bytes]:
    """
    (CRC, deliveries, notes): numbers in as many bytes as they need, then the deliveries, as one blob.

    Where each row came at once, which is the rule, it has one number for its pulses and one for its first register, and the
    deliveries are counted negatively; else each cell has its two.
    """
    n = len(arrivals.sources)
    pulses, registers = arrivals.pulses, arrivals.registers
    by_row = n > 0 and bool((pulses[:, 1:] == pulses[:, :1]).all()) and not registers[:, 1:].any()
    if by_row:
        pulses, registers = pulses[:, :1], registers[:, :1]
    cells = np.stack((pulses, registers)).astype(_cell_type(n), copy=False)
    steps = np.diff(arrivals.sources, axis=0, prepend=0).T
    notes = pack(np.concatenate((_planes(cells), _planes(steps))))
    return zlib.crc32(notes), -n if by_row else n, notes


def decode_arrivals(shape: tuple[int, int], crc: int, n: int, notes: bytes) -> Arrivals:
    """Raises `ValueError` for bytes that are not what was written."""
    if zlib.crc32(notes) != crc:
        raise ValueError("the bytes of its arrivals do not match their check sum")
    arrivals, by_row, n = Arrivals.empty(shape), n < 0, abs(n)
    noted = (2, shape[0], 1 if by_row else shape[1])
    cell, size = np.dtype(_cell_type(n)), noted[0] * noted[1] * noted[2]
    body = unpack(notes, size * cell.itemsize + n * _FIELDS * 8).view(np.uint8)
    pulses, registers = _unplaned(body[:size * cell.itemsize], cell).reshape(noted)
    arrivals.pulses[:] = pulses
    arrivals.registers[:, :noted[2]] = registers
    arrivals.sources = np.cumsum(_unplaned(body[size * cell.itemsize:], np.dtype("<i8")).reshape(_FIELDS, n), axis=1).T
    return arrivals


def _cell_type(deliveries: int) -> str:
    return "u1" if deliveries < 256 else "<u2"


def _planes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """All first bytes, then all second bytes, and so on."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).reshape(-1, flat.itemsize).T.reshape(-1)


def _unplaned(body: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(body.reshape(dtype.itemsize, -1).T).view(dtype).reshape(-1)
