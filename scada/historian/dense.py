"""One block in memory: 256 slots x one day of intervals, and the rules by which delivered pulses enter it.

The rules do not depend on the order of delivery, nor on how often a thing is delivered; conflicts alone do, where the
first value stays. Pulses: an interval that is missing takes the value that came; another value for a held one is a
conflict and changes nothing. Status bits are joined. Registers (pulses, modulo 2**32) are kept where they cannot be
worked out from an earlier one of the same day and the pulses between.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.arrivals import Arrivals, Whence, run_of
from scada.intervals import MISSING

SLOTS: Final = 256
DAY_S: Final = 86_400
WRAP: Final = 2**32


def columns_of(interval_s: int) -> int:
    """Intervals in a day."""
    return DAY_S // interval_s


@attrs.define(eq=False)
class Dense:
    """A block, decoded; `column_version` says in which version of the block an interval last changed."""

    counts: NDArray[np.int64]           # (256, columns)
    status: NDArray[np.uint8]           # (256, columns)
    registers: NDArray[np.int64]        # (256, columns), at the start of the interval
    column_version: NDArray[np.int64]   # (columns,)
    version: int = 0
    touched: bool = False               # counts or status differ from what is on disk
    arrivals: Arrivals | None = None    # who brought what; None where nobody notes it

    @classmethod
    def empty(cls, columns: int, version: int = 0) -> "Dense":
        shape = (SLOTS, columns)
        return cls(
            np.full(shape, MISSING, np.int64), np.zeros(shape, np.uint8), np.full(shape, MISSING, np.int64),
            np.zeros(columns, np.int64), version,
        )


@attrs.frozen
class Conflict:
    """A second, different value for something held already."""

    row: int
    column: int
    kind: str                           # "pulses" or "register"
    kept: int
    value: int


def enter(
    block: Dense, rows: NDArray[np.int64], column: int, counts: NDArray[np.int64], status: NDArray[np.uint8] | None,
    whence: Whence | None = None,
) -> tuple[NDArray[np.bool_], list[Conflict]]:
    """Enter (n, k) pulses of n different rows from `column` on; returns which rows changed, and the conflicts."""
    columns, lines = slice(column, column + counts.shape[1]), run_of(rows)
    held = block.counts[lines, columns]
    missing = held == MISSING
    delivered = counts != MISSING
    fresh = missing & delivered
    clash = delivered & ~missing & (held != counts)
    changed = fresh
    noting = block.arrivals if whence is not None else None
    if fresh.any():
        block.counts[lines, columns] = np.where(fresh, counts, held)
        if noting is not None and whence is not None:
            noting.pulses_came(rows, columns, fresh, whence)
    if status is not None:
        bits = block.status[lines, columns]
        joined = bits | np.where(clash, np.uint8(0), status)
        more = joined != bits
        changed = fresh | more
        if noting is not None and whence is not None and (late := more & ~(fresh & (bits == 0))).any():
            noting.bits_came(rows, column, bits, joined, whence, late)
        block.status[lines, columns] = joined
    conflicts = []
    if clash.any():
        conflicts = [
            Conflict(int(rows[row]), column + int(one), "pulses", int(held[row, one]), int(counts[row, one]))
            for row, one in zip(*np.nonzero(clash), strict=True)
        ]
    if changed.any():
        if not block.touched:
            block.touched = True
            block.version += 1
        block.column_version[columns][changed.any(axis=0)] = block.version
    return changed.any(axis=1), conflicts


def enter_registers(
    block: Dense, rows: NDArray[np.int64], column: int, registers: NDArray[np.int64], whence: Whence | None = None
) -> list[Conflict]:
    """
    Enter the registers of n different rows at the start of interval `column`.

    One that contradicts what follows from an earlier base (which was thinned out) is a conflict, and the base from there on
    all the same: a register that was reset contradicts once, and what comes after it agrees again.
    """
    held = block.registers[rows, column]
    fresh = (held == MISSING) & (registers != MISSING)
    unheld = np.flatnonzero(fresh)
    if column and len(unheld):
        held = held.copy()
        held[unheld] = register_at(block, rows[unheld], column)[0]
    clash = (held != MISSING) & (registers != MISSING) & (held != registers)
    if fresh.any():
        block.registers[rows[fresh], column] = registers[fresh]
        if block.arrivals is not None and whence is not None:
            block.arrivals.registers_came(rows, column, fresh, whence)
    return [
        Conflict(int(rows[row]), column, "register", int(held[row]), int(registers[row])) for row in np.flatnonzero(clash)
    ]


def pulses_before(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pulses and missing intervals of each row before each interval, both (n, k + 1)."""
    n, k = counts.shape
    pulses, gaps = np.zeros((n, k + 1), np.int64), np.zeros((n, k + 1), np.int64)
    missing = counts == MISSING
    np.cumsum(np.where(missing, 0, counts), axis=1, out=pulses[:, 1:])
    np.cumsum(missing, axis=1, out=gaps[:, 1:])
    return pulses, gaps


def thinned(registers: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Registers without those that follow from the one before and the pulses between."""
    held = registers != MISSING
    if not held[:, 1:].any():
        return registers
    pulses, gaps = pulses_before(counts)
    base = (registers - pulses[:, :-1]) % WRAP
    last = np.maximum.accumulate(np.where(held, np.arange(registers.shape[1]), -1), axis=1)
    before = np.concatenate((np.full((len(last), 1), -1), last[:, :-1]), axis=1)
    at = np.maximum(before, 0)
    follows = (
        held & (before >= 0)
        & (np.take_along_axis(base, at, axis=1) == base)
        & (np.take_along_axis(gaps, at, axis=1) == gaps[:, :-1])
    )
    return np.where(follows, MISSING, registers)


def register_at(block: Dense, rows: NDArray[np.int64], column: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """
    Register of rows at the start of interval `column` (which may be the end of the day).

    Returns
    -------
    register : ndarray of int64, shape (n,)
        MISSING where pulses between the last known register and `column` are missing, or there is no register. [pulses]
    settled : ndarray of bool, shape (n,)
        Whether an earlier day could not say more.
    """
    counts = block.counts[rows, :column]
    registers = block.registers[rows, :column + 1]
    held = registers != MISSING
    pulses, gaps = pulses_before(counts)
    place = held.shape[1] - 1 - np.argmax(held[:, ::-1], axis=1)
    some = held.any(axis=1)
    line = np.arange(len(rows))
    whole = gaps[line, -1] == gaps[line, place]
    value = (registers[line, place] + pulses[line, -1] - pulses[line, place]) % WRAP
    broken = gaps[:, -1] > 0
    return np.where(some & whole, value, MISSING), some | broken
