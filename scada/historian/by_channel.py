"""Any history backend through the ports that read the embedded store, for who wants another one's numbers."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.finer import bits_in_hours, in_hours
from scada.intervals import HOURLY, MISSING, IntervalSeries
from scada.ports import Historian, TagHistory
from scada.series import Instant
from scada.tags import Quality

SHORTER: Final = (1800, 900)                        # of which hours are made where no hours were delivered


class ChannelReader:
    """Implements `ports.IntervalReader`; its slots are its own, and every channel has one."""

    def __init__(self, place: Historian) -> None:
        self._place = place
        self._slots: dict[tuple[int, int], int] = {}

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        named = zip(eui.tolist(), channel.tolist(), strict=True)
        return np.array([self._slots.setdefault(one, len(self._slots)) for one in named], dtype=np.int64)

    def slot_bound(self) -> int:
        return len(self._slots)

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        known = list(self._slots)
        named = [known[slot] for slot in slots.tolist()]
        return np.array([eui for eui, _ in named], np.uint64), np.array([channel for _, channel in named], np.uint8)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        found = self._place.intervals(*self.channels(slots), first_hour, hours)
        for interval_s in SHORTER:
            lines = np.flatnonzero((found.counts == MISSING).any(axis=1))
            if not len(lines):
                break
            per_hour = HOURLY // interval_s
            parts = self._place.intervals(
                *self.channels(slots[lines]), first_hour * per_hour, hours * per_hour, interval_s
            )
            counts, status = in_hours(parts.counts, interval_s), bits_in_hours(parts.status, interval_s)
            found.counts[lines] = np.where(found.counts[lines] == MISSING, counts, found.counts[lines])
            found.status[lines] |= status
        return found

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        return self._place.registers(*self.channels(slots), hour)


class TagReader:
    """Implements `ports.LiveReader`."""

    def __init__(self, place: Historian) -> None:
        self._place = place

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        return self._place.tag(tag, first, last, limit)

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        at, values = np.zeros(len(tags), np.int64), np.full(len(tags), np.nan)
        quality = np.full(len(tags), Quality.BAD_WAITING, np.uint8)
        for line, tag in enumerate(tags):
            newest = self._place.tag(tag, instant - back, instant + 1, 1)
            if len(newest.at):
                at[line], values[line], quality[line] = newest.at[0], newest.values[0], newest.quality[0]
        return Instant(at, values, quality)
