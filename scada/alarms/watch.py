"""Brings the book to what all tags show at one instant: limits that are passed, devices that are silent."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.alarms import communication, limits
from scada.alarms.book import Book, Condition
from scada.alarms.tags import source_device
from scada.clock import SiteClock
from scada.ports import Alarm, TagSource
from scada.tags import Snapshot

MOST_CHANGES: Final = 500               # of one look; a flood is taken in over several seconds, the loop stays free


class Watch:
    """`area_of` says which area a device lies in."""

    def __init__(self, bus: TagSource, clock: SiteClock, area_of: Callable[[str], str]) -> None:
        self._bus, self._clock, self._area_of = bus, clock, area_of
        self._outdated = True
        self._limits = limits.limit_table((), {})
        self._devices = communication.device_table((), {})

    def devices_changed(self) -> None:
        self._outdated = True

    def look(self, book: Book) -> list[Alarm]:
        """One look at all tags; returns what it changed in the book."""
        snapshot = self._bus.snapshot()
        changes: list[Alarm] = []
        if self._outdated:
            devices = tuple(self._bus.devices().values())
            self._limits = limits.limit_table(devices, snapshot.index)
            self._devices = communication.device_table(devices, snapshot.index)
            self._outdated = False
            changes += self._limits_taken_away(book)
        changes += self._settle(
            book, self._limits.tags, limits.KINDS,
            lambda holding: limits.evaluate(self._limits, snapshot, holding),
            lambda row, column: self._passed(snapshot, row, column),
        )
        changes += self._settle(
            book, self._devices.devices, communication.KINDS,
            lambda holding: communication.evaluate(self._devices, snapshot, holding),
            self._silent,
        )
        return changes

    def has_no_source(self, alarm: Alarm) -> bool:
        """Whether a look would have to find out when this alarm ends, and never will: its device is gone."""
        watched = alarm.kind in limits.KINDS or alarm.kind in communication.KINDS
        return watched and source_device(alarm) not in self._bus.devices()

    def _passed(self, snapshot: Snapshot, row: int, column: int) -> Condition:
        table = self._limits
        return Condition(
            table.tags[row], limits.KINDS[column], float(snapshot.values[table.position[row]]),
            float(table.limit[row, column]), table.units[row], self._area_of(table.devices[row]),
        )

    def _silent(self, row: int, column: int) -> Condition:
        device = self._devices.devices[row]
        return Condition(device, communication.KINDS[column], area=self._area_of(device))

    def _settle(
        self,
        book: Book,
        sources: Sequence[str],
        kinds: Sequence[str],
        evaluate: Callable[[NDArray[np.bool_]], NDArray[np.bool_]],
        condition: Callable[[int, int], Condition],
    ) -> list[Alarm]:
        """Bring the book to what a look shows; of a flood only a part, the rest at the next look."""
        holding = _holding(book, sources, kinds)
        now, changes = self._clock.now(), []
        fresh = evaluate(holding)
        for row, column in np.argwhere(fresh != holding)[:MOST_CHANGES]:
            if fresh[row, column]:
                changed = book.raised(condition(int(row), int(column)), now)
            else:
                changed = book.cleared(f"{sources[row]}:{kinds[column]}", now)
            if changed is not None:
                changes.append(changed)
        return changes

    def _limits_taken_away(self, book: Book) -> list[Alarm]:
        """A limit nobody sets any more cannot be passed: its alarm is over."""
        known, devices, now = set(self._limits.tags), self._bus.devices(), self._clock.now()
        gone = [
            book.cleared(alarm.id, now)
            for alarm in book.active()
            if alarm.kind in limits.KINDS and alarm.source not in known and source_device(alarm) in devices
        ]
        return [alarm for alarm in gone if alarm is not None]


def _holding(book: Book, sources: Sequence[str], kinds: Sequence[str]) -> NDArray[np.bool_]:
    """Which conditions the book holds; read from its few alarms, not asked for every tag."""
    holding = np.zeros((len(sources), len(kinds)), dtype=np.bool_)
    if book.active():
        row_of = {source: row for row, source in enumerate(sources)}
        for alarm in book.active():
            if alarm.kind in kinds and alarm.source in row_of:
                holding[row_of[alarm.source], kinds.index(alarm.kind)] = book.holds(alarm.id)
    return holding
