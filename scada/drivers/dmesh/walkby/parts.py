"""What a file of the hand-held collector is made of once it is read: blocks for the store, and what was wrong."""

from collections.abc import Iterable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.errors import Problem
from scada.intervals import HOURLY, MISSING, IntervalBlock, Provenance

FROM_A_WALK: Final = Provenance(0, 0, 0)        # link id 0 is no concentrator's, and record 0 moves no cursor
MAX_FILE: Final = 8 << 20                       # bytes of one file
MAX_FILES: Final = 64                           # at once
MAX_CELLS: Final = 2_000_000                    # intervals of one file: a full subnet for 115 days
MAX_PROBLEMS: Final = 1000                      # named of one file; more are counted
FIRST_YEAR_H: Final = 262_968                   # 2000-01-01T00Z: no pulse module is older


@attrs.frozen(eq=False)
class Read:
    """One file: its name, what could be used of it, and every problem of the rest."""

    name: str
    blocks: tuple[IntervalBlock, ...]
    problems: tuple[Problem, ...]


class Complaints:
    """Problems of one file; bounded, and says how many it does not name."""

    def __init__(self, name: str) -> None:
        self._name, self._named, self._more = name, list[Problem](), 0

    def add(self, key: str, expected: str, line: int | None = None) -> None:
        if len(self._named) < MAX_PROBLEMS:
            self._named.append(Problem(self._name, key, expected, line))
        else:
            self._more += 1

    def all(self) -> tuple[Problem, ...]:
        more = [Problem(self._name, "", f"and {self._more} more")] if self._more else []
        return (*self._named, *more)


def ill_timed(first_hour: int, end_hour: int, now_hour: int | None) -> str:
    """Why hours cannot be; "" if they can. `now_hour` is None where our own time is not trusted."""
    if first_hour < FIRST_YEAR_H:
        return "lies before the year 2000"
    if now_hour is not None and end_hour > now_hour + DAY_H:
        return "lies more than a day in the future"
    return ""


def block_of(
    keys: Iterable[tuple[int, int]], first: int, counts: NDArray[np.int64], register: NDArray[np.int64],
    status: NDArray[np.uint8], received: int, interval_s: int = HOURLY,
) -> IntervalBlock:
    """A block of channels, given as (EUI, channel) of each row."""
    pairs = list(keys)
    return IntervalBlock(
        np.array([eui for eui, _ in pairs], dtype=np.uint64), np.array([one for _, one in pairs], dtype=np.uint8),
        first, counts, register, status, FROM_A_WALK, received, interval_s,
    )


def in_hours(block: IntervalBlock) -> tuple[int, NDArray[np.int64]]:
    """First hour and (n, hours) pulses; an hour of shorter intervals counts where all of them are given."""
    per_hour = HOURLY // block.interval_s
    if per_hour == 1:
        return block.first, block.counts
    before = block.first % per_hour
    after = -(before + block.counts.shape[1]) % per_hour
    padded = np.pad(block.counts, ((0, 0), (before, after)), constant_values=MISSING)
    parts = padded.reshape(len(padded), -1, per_hour)
    whole = (parts != MISSING).all(axis=2)
    return block.first // per_hour, np.where(whole, parts.sum(axis=2), MISSING)
