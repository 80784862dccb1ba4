"""What damaged blocks have lost, brought back from other backends: only what is missing here, as deliveries.

What the field delivered is never replaced, for it is not asked for, and the rules of entering stand behind that. A
repair that found InfluxDB asleep is simply made again.
"""

import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import numpy as np

from scada.clock import NS
from scada.errors import StorageError
from scada.historian.holes import Hole, Missing, holes
from scada.intervals import MISSING, IntervalBlock, Provenance
from scada.ports import Historian

AT_ONCE: Final = 500                                # blocks entered together
NO_CONCENTRATOR: Final = 0                          # link id of what did not come from the field


@attrs.define
class Refetched:
    """What came of it."""

    looked_for: int = 0                             # intervals that were missing
    brought: dict[str, int] = attrs.field(factory=dict)         # intervals, by the backend's name
    trouble: list[str] = attrs.field(factory=list)              # of backends that could not be asked
    left: list[Missing] = attrs.field(factory=list)

    @property
    def missing(self) -> int:
        """Intervals that no backend had."""
        return sum(one.intervals for one in self.left)


def source_of(name: str) -> Provenance:
    """Where an interval came from that the backend of this name gave back: the link and the archive of no concentrator."""
    return Provenance(NO_CONCENTRATOR, 1 << 32 | zlib.crc32(name.encode()), 0)


def refetch(
    directory: Path, sources: Sequence[tuple[str, Historian]], target: Historian, now: int,
    advance: Callable[[str, float], None] = lambda what, share: None,
) -> Refetched:
    """Ask each backend in turn for what the ones before it did not have; durable when it returns. `now`: site time [ns]."""
    done, waiting, asked = Refetched(), list[IntervalBlock](), list(sources)
    for hole, share in holes(directory, now // NS):
        day = _day(hole) if hole else ""
        done.looked_for += int(hole.due.sum()) if hole else 0
        for one in tuple(asked):
            if hole is None:
                break
            try:
                hole = _asked(hole, *one, now, done, waiting)
            except StorageError as error:
                done.trouble.append(str(error))
                asked.remove(one)                   # it would say so of every block
        if hole is not None:
            done.left.append(hole.brief())
        if len(waiting) >= AT_ONCE:
            target.write(waiting)
            waiting.clear()
        advance(day, share)
    if waiting:
        target.write(waiting)
    return done


# ---------------------------------------------------------------------- private
def _asked(
    hole: Hole, name: str, source: Historian, now: int, done: Refetched, waiting: list[IntervalBlock]
) -> Hole | None:
    """What is left of a hole when a backend was asked; what it gave waits to be entered."""
    series = hole.series
    found = source.intervals(hole.eui, hole.channel, series.first, series.counts.shape[1], series.interval_s)
    given = hole.due & (found.counts != MISSING)
    lines = np.flatnonzero(given.any(axis=1))
    if not len(lines):
        return hole
    taken = given[lines]
    waiting.append(IntervalBlock(
        hole.eui[lines], hole.channel[lines], series.first, np.where(taken, found.counts[lines], MISSING),
        np.full(len(lines), MISSING), np.where(taken, found.status[lines], 0).astype(np.uint8), source_of(name), now,
        series.interval_s,
    ))
    done.brought[name] = done.brought.get(name, 0) + int(given.sum())
    return hole.without(given)


def _day(hole: Hole) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=hole.key[1]):%Y-%m-%d}"
