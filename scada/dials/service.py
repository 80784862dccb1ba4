"""Follows dial readings and the registry: compares in a worker thread, raises an alarm for every dial that disagrees."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.dial import DialTable, Verdict
from scada.dials.photos import PhotoStore
from scada.dials.readings import Readings, grown
from scada.dials.reckon import Anchored, Meters, dial_at, due, meters, reckon
from scada.dials.tags import SUMMARY, summary
from scada.errors import StorageError
from scada.intervals import Mark
from scada.ports import (
    AlarmGroups,
    ChannelPulses,
    Health,
    IntervalReader,
    IntervalStore,
    Registry,
    TagSink,
    Unsubscribe,
)
from scada.settings import DialSettings
from scada.site import Directory, Site
from scada.tags import Batch

EVERY_S: Final = 2.0                    # real time between two looks for something new
AGAIN_S: Final = 30.0                   # and between two looks at readings whose hours have not come
ROWS: Final = 50_000                    # readings taken from the registry at once
PER_TURN: Final = 50                    # alarms raised or ended in one turn of the loop
KIND: Final = "dial_mismatch"
FOLDER: Final = "photos"


class DialService:
    """Implements `ports.Dials` and `ports.HealthSource`."""

    log = Logger()

    def __init__(
        self, settings: DialSettings, registry: Registry, intervals: IntervalReader, store: IntervalStore,
        alarms: AlarmGroups, sink: TagSink, clock: SiteClock, reactor: Any, data_dir: Path, pool: ThreadPool,
    ) -> None:
        self._settings, self._registry, self._intervals, self._store = settings, registry, intervals, store
        self._alarms, self._sink = alarms, sink
        self._clock, self._reactor, self._pool = clock, reactor, pool
        self._photos = PhotoStore(data_dir / FOLDER, settings.photos_mb << 20)
        self._readings = Readings()
        self._directory = Directory(Site())
        self._meters: Meters = meters(self._directory)
        self._found: Anchored = reckon(
            self._meters, self._readings, intervals, settings.class_percent, settings.every_days, settings.soon_days, 0
        )
        self._came = False                                  # hours were committed since readings that wait were looked at
        self._waited_at = 0.0
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor
        self._looking: Deferred[None] | None = None
        self._unsubscribe: list[Unsubscribe] = []
        self._fault = ""

    def start(self) -> "Deferred[None]":
        self._sink.add_device(SUMMARY)
        self._unsubscribe = [self._store.subscribe(self._committed)]
        self._ticker.start(EVERY_S, now=True)
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._ticker.running:
            self._ticker.stop()
        if self._looking is not None:
            await self._looking

    def health(self) -> Iterable[Health]:
        table = self._found.table
        bad = int(np.count_nonzero(table.comparison.verdict == Verdict.MISMATCH))
        text = self._fault or f"{len(self._readings.number)} dial readings, {bad} do not agree with the count"
        yield Health("dials", not self._fault, text, {
            "meters": float(len(table.periods)), "readings": float(len(self._readings.number)), "mismatch": float(bad),
        })

    # ------------------------------------------------------------------ Dials
    def table(self) -> DialTable:
        return self._found.table

    def dial(self, points: Sequence[str], hour: int) -> NDArray[np.float64]:
        return dial_at(self._found, points, hour, self._intervals)

    def pulses(self, eui: int, channels: int, hours: int = 24) -> ChannelPulses:
        hour = self._clock.hour()
        slots = self._intervals.slots(np.full(channels, eui, dtype=np.uint64), np.arange(channels, dtype=np.uint8))
        series = self._intervals.read(slots, hour - hours, hours)
        return ChannelPulses(self._intervals.register(slots, hour), series.counts, series.first)

    def keep_photo(self, data: bytes) -> str:
        return self._photos.keep(data)

    def photo(self, name: str) -> bytes | None:
        return self._photos.photo(name)

    # ------------------------------------------------------------------ following
    def _committed(self, _mark: Mark) -> None:
        self._came = True

    def _tick(self) -> None:
        if self._looking is None or self._looking.called:   # one that takes longer than a period is not overtaken
            self._looking = Deferred.fromCoroutine(self._look()).addErrback(self._failed)

    async def _look(self) -> None:
        directory, real = self._registry.directory, self._clock.monotonic()
        rows = await self._run(self._registry.dials.after, self._readings.newest, ROWS)
        again = self._found.waiting and self._came and real >= self._waited_at + AGAIN_S / max(self._clock.rate, 1.0)
        if rows or again or directory is not self._directory:
            self._came, self._waited_at = False, real
            if directory is not self._directory:
                self._meters = await self._run(meters, directory)
                self._directory = directory
            self._readings = await self._run(grown, self._readings, rows)
            self._found = await self._run(self._reckon)
            await self._show_alarms(self._found.table)
        self._found, counts = await self._run(self._as_of_now, self._found)
        self._sink.publish(counts)
        self._fault = ""

    def _as_of_now(self, found: Anchored) -> tuple[Anchored, Batch]:
        """What is due moves with time alone."""
        now, table = self._clock.now(), found.table
        shown = attrs.evolve(table, due=due(table.due_at, now, self._settings.soon_days), as_of=now)
        return attrs.evolve(found, table=shown), summary(shown, now)

    def _run(self, work: Any, *args: Any) -> "Deferred[Any]":
        return deferToThreadPool(self._reactor, self._pool, work, *args)

    def _reckon(self) -> Anchored:
        settings = self._settings
        return reckon(
            self._meters, self._readings, self._intervals, settings.class_percent, settings.every_days, settings.soon_days,
            self._clock.now(), self._found.registers,
        )

    async def _show_alarms(self, table: DialTable) -> None:
        """One alarm a channel; many at once (a wrong file of readings) take several turns of the loop."""
        wrong = np.flatnonzero(table.comparison.verdict == Verdict.MISMATCH).tolist()
        now = {table.devices[row]: row for row in wrong}
        held = {source for source, _ in self._alarms.held(KIND)}
        changes = [*((device, -1) for device in sorted(held - now.keys())),
                   *((device, row) for device, row in now.items() if device not in held)]
        for number, (device, row) in enumerate(changes, start=1):
            if row < 0:
                self._alarms.let_go(device, KIND)
            else:
                self._alarms.hold(device, KIND, table.areas[row], int(table.last_at[row]), ())
            if number % PER_TURN == 0:
                await deferLater(self._reactor, 0)

    def _failed(self, failure: Failure) -> None:
        if not self._fault:
            if failure.check(StorageError):
                self.log.error("{reason}", reason=failure.getErrorMessage())
            else:
                self.log.failure("dials could not be compared; it is tried again", failure)
        self._fault = "dials could not be compared; it is tried again"
