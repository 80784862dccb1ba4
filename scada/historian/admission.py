"""What can be stored at all: the rest is refused before it reaches the journal, where it would stop everybody's merging."""

from typing import Final

from scada.clock import HOUR_S
from scada.historian.dense import DAY_S, WRAP
from scada.historian.records import LINK_MAX, NUMBER_MAX
from scada.intervals import MISSING, IntervalBatch, Provenance

LAST_SECOND: Final = 7_258_118_400                  # the year 2200: what lies beyond is a clock gone mad


def unusable(batch: IntervalBatch) -> str:
    """Why a batch cannot be stored at all; "" when it can."""
    if batch.interval_s <= 0 or HOUR_S % batch.interval_s or DAY_S % batch.interval_s:
        return f"intervals of {batch.interval_s} s; expected a whole part of an hour"
    h = batch.counts.shape[1]
    for first in (int(batch.first.min(initial=0)), int(batch.first.max(initial=0))):
        if first < 0 or (first + h) * batch.interval_s > LAST_SECOND:
            return f"interval number {first}; expected a time between 1970 and 2200"
    for source in batch.provenance:
        if reason := unusable_source(source):
            return reason
    if batch.counts.size and int(batch.counts.min()) < MISSING:
        return "negative pulses"
    if len(batch.register) and not (int(batch.register.min()) >= MISSING and int(batch.register.max()) < WRAP):
        return "a register outside 32 bits"
    return ""


def unusable_source(source: Provenance) -> str:
    """Why a provenance cannot be stored; "" when it can."""
    if 0 <= source.link_id <= LINK_MAX and 0 <= source.archive_id <= NUMBER_MAX and 0 <= source.record <= NUMBER_MAX:
        return ""
    return f"provenance {source}; expected a 32-bit link, a 63-bit archive and a 63-bit record"
