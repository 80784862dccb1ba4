"""Blocks of a day that nobody holds yet, as rows of a month file: many at once, because calls cost more than bytes.

They are, to the byte, what entering them one by one into empty blocks gives.
"""

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.arrivals import Arrivals, Whence
from scada.historian.dense import SLOTS, columns_of, thinned
from scada.historian.packing import narrow, pack, pack_each
from scada.historian.rows import crc_of
from scada.intervals import HOURLY, MISSING

AT_ONCE: Final = 64                     # blocks: of more, the processor's cache does not hold what is worked on


@attrs.frozen(eq=False)
class WholeDay:
    """One day of b blocks, 256 channels each."""

    day: int                            # since 1970, UTC
    numbers: NDArray[np.int64]          # (b,) blocks, each once: slot // 256
    counts: NDArray[np.int64]           # (b, 256, intervals of a day) pulses, MISSING where there are none
    registers: NDArray[np.int64]        # (b, 256) pulses at the day's start, modulo 2**32, MISSING where unknown;
                                        # or (b, 256, intervals of a day), at the start of each
    interval_s: int = HOURLY
    status: NDArray[np.uint8] | None = None             # (b, 256, intervals of a day); None: no bits
    sources: NDArray[np.int64] | None = None            # (m, 4) who brought it, and when: `arrivals.Source`
    source_of: NDArray[np.int64] | None = None          # (b, 256) index into `sources`; None: nobody notes that

    def __attrs_post_init__(self) -> None:
        b, width = len(self.numbers), columns_of(self.interval_s)
        cells, lines = (b, SLOTS, width), (b, SLOTS)
        if self.counts.shape != cells or self.registers.shape not in (lines, cells):
            raise ValueError(f"a day of {b} blocks: counts {self.counts.shape}, registers {self.registers.shape}; expected "
                             f"{cells} and {lines}")
        for name, shape in (("status", cells), ("source_of", lines)):
            if (array := getattr(self, name)) is not None and array.shape != shape:
                raise ValueError(f"a day of {b} blocks: {name} {array.shape}; expected {shape}")

    def part(self, places: NDArray[np.int64]) -> "WholeDay":
        """Some of its blocks, by their ascending places; not copied where they are neighbours."""
        if len(places) == len(self.numbers):
            return self
        near = len(places) and int(places[-1] - places[0]) + 1 == len(places)
        some = slice(int(places[0]), int(places[-1]) + 1) if near else places
        return attrs.evolve(
            self, numbers=self.numbers[some], counts=self.counts[some], registers=self.registers[some],
            status=None if self.status is None else self.status[some],
            source_of=None if self.source_of is None else self.source_of[some],
        )


@attrs.frozen
class Made:
    """Rows of the table of blocks, and who brought what of those of which it is noted, by block."""

    rows: list[tuple[Any, ...]]
    arrivals: dict[int, Arrivals]


def made_of(whole: WholeDay, version: int) -> Made:
    """Blocks in their first version; none of one that would hold nothing."""
    counts, status, width = whole.counts, whole.status, whole.counts.shape[2]
    came = counts.max(axis=1) != MISSING                # (b, width) whether anything of an interval came
    bits: dict[int, bytes] = {}
    if status is not None:
        came |= status.any(axis=1)
        bits = {place: pack(status[place]) for place in np.flatnonzero(status.any(axis=(1, 2))).tolist()}
    known = (whole.registers != MISSING).reshape(len(counts), -1).any(axis=1)
    some = known | came.any(axis=1)
    if not some.all():
        return made_of(whole.part(np.flatnonzero(some)), version) if some.any() else Made([], {})
    all_came = pack(narrow(np.full(width, version)))
    columns = _by_place(~came.all(axis=1), lambda which: pack_each(np.where(came[which], version, 0)))
    registers = _by_place(known, lambda which: _registers(whole.registers[which], counts, which))
    rows = []
    for place, pulses in enumerate(pack_each(counts.reshape(len(counts), -1))):
        blobs = columns.get(place, all_came), pulses, bits.get(place), registers.get(place)
        rows.append((whole.interval_s, whole.day, int(whole.numbers[place]), version, crc_of(*blobs), *blobs))
    noted = range(len(counts)) if whole.source_of is not None else ()
    return Made(rows, {int(whole.numbers[place]): _arrivals(whole, place) for place in noted})


# ---------------------------------------------------------------------- private
def _by_place(mask: NDArray[np.bool_], packed: Any) -> dict[int, bytes]:
    which = np.flatnonzero(mask)
    return dict(zip(which.tolist(), packed(which), strict=True))


def _registers(registers: NDArray[np.int64], counts: NDArray[np.int64], which: NDArray[np.int64]) -> list[bytes]:
    """Of the day's start alone, or of every interval of which it does not follow."""
    width = counts.shape[2]
    if registers.ndim == 2:
        return pack_each(registers, width)
    left = thinned(registers.reshape(-1, width), counts[which].reshape(-1, width))
    return pack_each(left.reshape(len(registers), SLOTS * width))


def _arrivals(whole: WholeDay, place: int) -> Arrivals:
    """By the rules of a delivery into an empty block, all of it at once."""
    assert whole.sources is not None
    assert whole.source_of is not None
    counts, registers = whole.counts[place], whole.registers[place].reshape(SLOTS, -1)
    arrivals, rows = Arrivals.empty(counts.shape), np.arange(SLOTS)
    whence, came = Whence(whole.sources, whole.source_of[place]), counts != MISSING
    arrivals.touched = True
    if came.any():
        arrivals.pulses_came(rows, slice(None), came, whence)
    fresh = registers != MISSING
    for column in np.flatnonzero(fresh.any(axis=0)).tolist():
        arrivals.registers_came(rows, column, fresh[:, column], whence)
    if whole.status is not None and (alone := (whole.status[place] != 0) & ~came).any():
        status = whole.status[place]
        arrivals.bits_came(rows, 0, np.zeros_like(status), status, whence, alone)
    return arrivals
