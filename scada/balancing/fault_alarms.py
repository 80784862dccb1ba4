"""Faults of the inner network as alarms: what the watch over all meters finds, told as it begins and ends.

What held before a restart is in the book of alarms and goes on holding. What had only begun starts over: nothing was read
meanwhile, so nobody knows that the sign was there all the time, and the times it must be seen for are there to keep the
start of a motor from being called a fault. It costs the alarm a minute at most (`fault_watch.BEGINS_NS`). Its end starts
over for the same reason: time in which nothing was read is not time without the sign.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.fault_watch import FAULTS, FaultWatch
from scada.balancing.meters import Meters, meters
from scada.ports import AlarmGroups
from scada.tags import UNCERTAIN, Device, Snapshot

MOST_CHANGES: Final = 50                # alarms of one look; the rest follow at the next
PREFIX: Final = "safety_"               # how the kinds of these alarms begin
KINDS: Final = tuple(PREFIX + fault.value for fault in FAULTS)


class FaultAlarms:
    """Of every three-phase meter of the bus."""

    def __init__(self, alarms: AlarmGroups) -> None:
        self._alarms = alarms
        self._meters = Meters((), (), np.empty((0, 6), dtype=np.intp))
        self._place: dict[str, int] = {}
        self._watch = FaultWatch(np.zeros((0, len(FAULTS)), dtype=np.bool_))
        self._told = self._watch.holding.copy()

    @property
    def count(self) -> int:
        return len(self._meters.names)

    @property
    def faults(self) -> int:
        return int(self._watch.holding.sum())

    def arrange(self, devices: Mapping[str, Device], snapshot: Snapshot, areas: Mapping[str, str]) -> None:
        """There may be other meters than before: what is known of those that stay is kept."""
        before, place = self._meters.names, self._place
        self._meters = meters(devices, snapshot.index, areas)
        if self._meters.names == before:
            return
        self._place = {name: row for row, name in enumerate(self._meters.names)}
        told = np.zeros((len(self._place), len(KINDS)), dtype=np.bool_)
        for source, kind in self._alarms.held(PREFIX):
            if kind in KINDS and source in self._place:
                told[self._place[source], KINDS.index(kind)] = True
        holding = told.copy()
        kept = np.array([place.get(name, -1) for name in self._meters.names], dtype=np.intp)
        holding[kept >= 0] = self._watch.holding[kept[kept >= 0]]
        self._told, self._watch = told, FaultWatch(holding)

    def look(self, snapshot: Snapshot) -> None:
        value, quality, at = self._meters.read(snapshot)
        current = np.where(quality[:, 3:] < UNCERTAIN, value[:, 3:], np.nan)
        good: NDArray[np.bool_] = quality[:, :3].max(axis=1, initial=0) < UNCERTAIN
        holding = self._watch.look(value[:, :3], current, good, at)
        for row, column in np.argwhere(holding != self._told)[:MOST_CHANGES]:
            name, kind = self._meters.names[row], KINDS[column]
            if holding[row, column]:
                since = int(self._watch.since[row, column]) or snapshot.taken
                detail = ", ".join(f"L{n + 1} {volts:.1f} V" for n, volts in enumerate(value[row, :3]))
                self._alarms.hold(name, kind, self._meters.areas[row], since, (), detail)
            else:
                self._alarms.let_go(name, kind)
            self._told[row, column] = holding[row, column]

    def let_go_of_strangers(self) -> None:
        """An alarm of a meter that is not there any more is over."""
        for source, kind in self._alarms.held(PREFIX):
            if source not in self._place:
                self._alarms.let_go(source, kind)
