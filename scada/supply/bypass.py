"""Asks the meters behind supplies that are off, whenever hours have come; what still counts is an alarm."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.intervals import MISSING
from scada.ports import AlarmGroups, IntervalReader, Registry
from scada.site import Directory
from scada.supplies import Effect, SupplyState
from scada.supply import record as steps
from scada.supply import watch
from scada.supply.book import Book
from scada.supply.record import Record
from scada.supply.show import device_name
from scada.supply.store import News

KIND: Final = "bypass"


@attrs.frozen(eq=False)
class Asked:
    """Which meters are asked, (n,) each."""

    points: tuple[str, ...]
    eui: NDArray[np.uint64]
    channel: NDArray[np.uint8]
    first: NDArray[np.int64]            # h since 1970: the first hour that counts


class BypassWatch:
    def __init__(
        self, book: Book, registry: Registry, reader: IntervalReader, alarms: AlarmGroups, clock: SiteClock, reactor: Any,
        pool: ThreadPool,
    ) -> None:
        self._book, self._registry, self._reader, self._alarms = book, registry, reader, alarms
        self._clock, self._reactor, self._pool = clock, reactor, pool

    async def look(self) -> None:
        """One look at all supplies that are off; raises `StorageError`."""
        asked = meters(self._registry.directory, self._book.records)
        if asked.points:
            last = self._clock.hour() - 1
            begin = max(int(asked.first.min()), last - watch.LOOK_H + 1)
            if begin <= last:
                effects, pulses = await deferToThreadPool(
                    self._reactor, self._pool, partial(self._judge, asked, begin, last - begin + 1)
                )
                for number, point in enumerate(asked.points):
                    await self._enter(point, effects[number], int(pulses[number]))
        self.show()

    def show(self) -> None:
        """Bring the alarms to what the supplies say; also what a restart left over."""
        modules = self._registry.directory.module_of_eui
        supplies = self._registry.directory.supply_of_point
        wanted: dict[str, tuple[str, int]] = {}
        for point, record in self._book.records.items():
            module = modules.get(supplies[point].eui) if point in supplies else None
            if module is not None and record.effect is Effect.BYPASS:
                concentrator = self._registry.directory.concentrator.get(module.concentrator)
                wanted[device_name(module.name)] = (concentrator.area if concentrator else "", record.since)
        holding = {source for source, kind in self._alarms.held(KIND) if kind == KIND}
        for source in wanted.keys() - holding:
            area, _ = wanted[source]
            self._alarms.hold(source, KIND, area, self._clock.now(), ())
        for source in holding - wanted.keys():
            self._alarms.let_go(source, KIND)

    def _judge(self, asked: Asked, begin: int, hours: int) -> tuple[list[Effect], NDArray[np.int64]]:
        """In a worker thread."""
        slots = self._reader.slots(asked.eui, asked.channel)
        known = slots >= 0
        pulses = np.full((len(slots), hours), MISSING, dtype=np.int64)
        if known.any():
            pulses[known] = self._reader.read(slots[known], begin, hours).counts
        return watch.verdicts(pulses, pulses == MISSING, np.arange(begin, begin + hours), asked.first)

    async def _enter(self, point: str, effect: Effect, pulses: int) -> None:
        def take(record: Record, now: int) -> tuple[Record, list[News]]:
            if record.state is not SupplyState.OFF or (record.effect, record.effect_pulses) == (effect, pulses):
                return record, []
            if effect is Effect.WAITING:                    # what was known of earlier hours is not unlearned
                return record, []
            after = steps.counted(record, effect, pulses)
            return after, [News(effect.value, detail=str(pulses))] if record.effect is not effect else []

        known = self._book.get(point)
        if (known.effect, known.effect_pulses) != (effect, pulses):
            await self._book.change(point, take)


def meters(directory: Directory, records: Mapping[str, Record]) -> Asked:
    """The meters that hang behind supplies that are off."""
    found = []
    for point, record in records.items():
        if record.state is SupplyState.OFF:
            period = next((one for one in directory.meters_of_point.get(point, ()) if one.valid_to is None), None)
            if period is not None:
                found.append((point, period.eui, period.channel, record.since))
    return Asked(
        tuple(point for point, *_ in found),
        np.array([eui for _, eui, _, _ in found], dtype=np.uint64),
        np.array([channel for _, _, channel, _ in found], dtype=np.uint8),
        watch.first_hours(np.array([since for *_, since in found], dtype=np.int64)),
    )
