"""What can be stored at all: the rest is refused before it reaches the journal, where it would stop everybody's merging."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S
from scada.historian.dense import DAY_S, WRAP
from scada.historian.records import LINK_MAX, NUMBER_MAX
from scada.intervals import MISSING, IntervalBatch, Provenance

LAST_SECOND: Final = 7_258_118_400                  # the year 2200: what lies beyond is a clock gone mad


def unusable(batch: IntervalBatch) -> str:
    """Why a batch cannot be stored at all; "" when it can."""
    reason = unusable_intervals(batch.interval_s, batch.first, batch.counts, batch.register)
    return reason or next(filter(None, map(unusable_source, batch.provenance)), "")


def unusable_intervals(
    interval_s: int, first: NDArray[np.int64], counts: NDArray[np.int64], register: NDArray[np.int64]
) -> str:
    """The same of what it holds: (n, h) pulses from interval numbers `first` on, in any order, and registers."""
    if interval_s <= 0 or HOUR_S % interval_s or DAY_S % interval_s:
        return f"intervals of {interval_s} s; expected a whole part of an hour"
    for one in (int(first.min(initial=0)), int(first.max(initial=0))):
        if one < 0 or (one + counts.shape[1]) * interval_s > LAST_SECOND:
            return f"interval number {one}; expected a time between 1970 and 2200"
    if counts.size and int(counts.min()) < MISSING:
        return "negative pulses"
    if len(register) and not (int(register.min()) >= MISSING and int(register.max()) < WRAP):
        return "a register outside 32 bits"
    return ""


def unusable_source(source: Provenance) -> str:
    """Why a provenance cannot be stored; "" when it can."""
    if 0 <= source.link_id <= LINK_MAX and 0 <= source.archive_id <= NUMBER_MAX and 0 <= source.record <= NUMBER_MAX:
        return ""
    return f"provenance {source}; expected a 32-bit link, a 63-bit archive and a 63-bit record"
