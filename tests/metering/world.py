"""Interval data and a registry in memory, for whatever computes from pulses."""

from collections.abc import Callable, Iterable

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, succeed

from scada.intervals import MISSING, IntervalSeries, Mark, News
from scada.site import Concentrator, Consumer, Directory, Medium, MeterPeriod, Module, ModuleState, Point, Site

HOUR = 490_909                          # 2026-01-01T13:00Z, some hour


class FixedRegistry:
    """A registry whose content a test replaces."""

    def __init__(self, site: Site) -> None:
        self.directory = Directory(site)
        self._listeners: list[Callable[[Directory], None]] = []

    def subscribe(self, listener: Callable[[Directory], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def replace(self, site: Site) -> None:
        self.directory = Directory(site)
        for listener in self._listeners:
            listener(self.directory)


class MemoryIntervals:
    """Reader and store at once: pulses by (EUI, channel) and hour."""

    def __init__(self) -> None:
        self._slots: dict[tuple[int, int], int] = {}
        self._held: dict[tuple[int, int], tuple[int, int]] = {}             # (slot, hour) -> (pulses, status)
        self._base: dict[int, tuple[int, int]] = {}                         # slot -> (hour, register)
        self._listeners: list[Callable[[Mark], None]] = []
        self.news: list[News] = []                                          # since the beginning
        self.places: dict[str, int] = {}                                    # by follower
        self.reads = 0

    def subscribe(self, listener: Callable[[Mark], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def follow(self, name: str, listener: Callable[[News], None]) -> "MemoryFollowing":
        stop = self.subscribe(lambda mark: listener(self.news[-1]))
        return MemoryFollowing(name, self, stop)

    def since(self) -> int | None:
        return min((hour for _, hour in self._held), default=None)

    def base(self, eui: int, channel: int, hour: int, register: int) -> None:
        self._base[self._slot(eui, channel)] = (hour, register)

    def deliver(self, eui: int, channel: int, first: int, pulses: Iterable[int], status: int = 0) -> None:
        """Hold pulses of consecutive hours, and tell the listeners."""
        slot, counts = self._slot(eui, channel), list(pulses)
        for offset, count in enumerate(counts):
            if count != MISSING:
                self._held[slot, first + offset] = (count, status)
        mark = Mark(np.array([slot]), first, len(counts))
        self.news.append(News(len(self.news) + 1, (mark,)))
        for listener in tuple(self._listeners):
            listener(mark)

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        pairs = zip(eui.tolist(), channel.tolist(), strict=True)
        return np.array([self._slots.get(pair, -1) for pair in pairs], dtype=np.int64)

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        back = {slot: pair for pair, slot in self._slots.items()}
        pairs = [back[slot] for slot in slots.tolist()]
        return np.array([pair[0] for pair in pairs], dtype=np.uint64), np.array([pair[1] for pair in pairs], dtype=np.uint8)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        self.reads += 1
        counts = np.full((len(slots), hours), MISSING, dtype=np.int64)
        status = np.zeros((len(slots), hours), dtype=np.uint8)
        for row, slot in enumerate(slots.tolist()):
            for column in range(hours):
                held = self._held.get((slot, first_hour + column))
                if held is not None:
                    counts[row, column], status[row, column] = held
        return IntervalSeries(first_hour, 3600, counts, status)

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        found = np.full(len(slots), MISSING, dtype=np.int64)
        for row, slot in enumerate(slots.tolist()):
            if slot in self._base and self._base[slot][0] <= hour:
                first, base = self._base[slot]
                found[row] = base + sum(self._held.get((slot, one), (0, 0))[0] for one in range(first, hour))
        return found

    def _slot(self, eui: int, channel: int) -> int:
        return self._slots.setdefault((eui, channel), len(self._slots))


class MemoryFollowing:
    """A place that survives whoever follows."""

    def __init__(self, name: str, store: MemoryIntervals, stop: Callable[[], None]) -> None:
        self.stop, self._store, self._name = stop, store, name
        self._older = store.news[store.places.get(name, 0):]
        self._left = list(self._older)
        self._newer = 0

    @property
    def days(self) -> int:
        return len(self._left)

    def older(self) -> "Deferred[News | None]":
        return succeed(attrs.evolve(self._left.pop(0), older=True) if self._left else None)

    def dealt(self, news: News) -> None:
        if not news.older:
            self._newer = news.number
        last = self._older[-1].number if self._older else 0
        place = self._store.places.get(self._name, 0)
        if news.older:
            place = news.number
        if not self._left and place >= last:
            place = max(place, self._newer)
        self._store.places[self._name] = place


def house(count: int = 2, per_unit: float = 1000.0, medium: Medium = Medium.ELECTRICITY) -> Site:
    """`count` flats, each with one module of one channel; points P0, P1 …, EUIs 1, 2 …"""
    numbers = range(count)
    return Site(
        concentrators=(Concentrator("C01", 1, area="north"),),
        modules=tuple(Module(n + 1, f"C01-{n + 1:03}", "C01", n + 1, ModuleState.ACTIVE) for n in numbers),
        consumers=tuple(Consumer(f"F{n}", f"Flat {n}") for n in numbers),
        points=tuple(Point(f"P{n}", medium, f"F{n}") for n in numbers),
        meters=tuple(MeterPeriod(f"S{n}", f"P{n}", n + 1, 0, per_unit, HOUR - 1000) for n in numbers),
    )
