"""Every second: the heat of transformers, faults of the network at three-phase meters, and voltages of ten minutes.

Implements the port HealthSource. Figures are tags of the devices "T01.thermal", "T01.voltage" and "T01.unbalance"; faults
are alarms. A look sees one instant and takes several turns of the loop, for a thousand transformers are published by it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import heat_file
from scada.balancing.fault_alarms import FaultAlarms
from scada.balancing.heat import Heat
from scada.balancing.heat_history import HOLDS_NS, REACH_NS, replayed
from scada.balancing.meters import CURRENT, VOLTAGE
from scada.balancing.transformer_watch import TransformerWatch
from scada.clock import SiteClock
from scada.errors import StorageError
from scada.piecemeal import in_turns
from scada.ports import AlarmGroups, Health, LiveReader, Registry, TagHistory, TagSink, TagSource, Unsubscribe
from scada.settings import TransformerSettings
from scada.site import Directory
from scada.tags import BAD, Device, Snapshot

EVERY_S: Final = 1.0                    # real time between two looks
PER_TURN: Final = 25                    # batches, or new devices, of one turn of the loop
SAVED: Final = 60                       # looks between two savings
ORPHANS: Final = 900                    # looks after which an alarm of a meter that is not there is over
T = TypeVar("T")


class WatchService:
    """A bad look is said and counted; the next one is made all the same."""

    log = Logger()

    def __init__(
        self, settings: TransformerSettings, registry: Registry, bus: TagSource, alarms: AlarmGroups, sink: TagSink,
        clock: SiteClock, reactor: Any, data_dir: Path, pool: ThreadPool, live: LiveReader | None = None,
    ) -> None:
        self._settings, self._registry, self._bus, self._sink, self._live = settings, registry, bus, sink, live
        self._clock, self._reactor, self._path, self._pool = clock, reactor, data_dir / heat_file.FILE, pool
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._tick()))
        self._loop.clock = reactor
        self._unsubscribe: list[Unsubscribe] = []
        self._outdated, self._failing, self._looks, self._failures = True, False, 0, 0
        self._running: Deferred[Any] | None = None
        self._saving: Deferred[None] | None = None
        self._replaying: Deferred[None] | None = None
        self._stopping = False
        self._transformers, self._faults = TransformerWatch(clock.rate), FaultAlarms(alarms)

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        found = await self._blocking(heat_file.load, self._path)
        if found is not None:
            self._transformers.remember(*found)
        self._unsubscribe = [
            self._registry.subscribe(self._registry_changed), self._bus.on_devices(self._device_added),
        ]
        self._running = self._loop.start(EVERY_S, now=False)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._loop.running:
            self._loop.stop()
        for waited in (self._replaying, self._saving):
            if waited is not None:
                await waited
        await self._save()

    def health(self) -> Iterable[Health]:
        transformers, meters = len(self._transformers.rated.names), self._faults.count
        text = "the last look at the transformers failed; see the log" if self._failing else (
            f"{transformers} transformers and {meters} three-phase meters are watched"
        )
        yield Health("watching", not self._failing, text, {
            "transformers": transformers, "meters": meters, "faults": self._faults.faults, "failures": self._failures,
        })

    # ------------------------------------------------------------------ every second
    def _registry_changed(self, directory: Directory) -> None:
        self._outdated = True

    def _device_added(self, added: Device) -> None:
        self._outdated |= set(VOLTAGE) <= set(added.points) or set(CURRENT) <= set(added.points)

    async def _tick(self) -> None:
        try:
            await self._look()
            self._failing = False
        except Exception:                                  # one bad look must not end all that follow
            self._failures += 1
            self._failing = True
            self.log.failure("a look at the transformers failed")

    async def _look(self) -> None:
        snapshot = self._bus.snapshot()
        if self._outdated:
            await self._arrange(snapshot)
        self._looks += 1
        if not len(snapshot.ids):
            return
        heat = self._transformers.heat_of(snapshot, self._ambient(snapshot))
        await in_turns(self._reactor, self._sink.publish, heat, PER_TURN)
        await self._next_turn()
        await in_turns(self._reactor, self._sink.publish, self._transformers.unbalance_of(snapshot), PER_TURN)
        self._faults.look(snapshot)
        await self._next_turn()
        await in_turns(self._reactor, self._sink.publish, self._transformers.voltages_of(snapshot), PER_TURN)
        self._work_out_the_past()
        if self._looks % SAVED == 0 and (self._saving is None or self._saving.called):
            self._saving = Deferred.fromCoroutine(self._save())
        if self._looks % SAVED == 0 and self._looks >= ORPHANS:
            self._faults.let_go_of_strangers()

    async def _arrange(self, snapshot: Snapshot) -> None:
        """What there is to watch has changed: what is known of it is kept."""
        self._outdated = False
        transformers, devices = self._registry.directory.site.transformers, self._bus.devices()
        fresh = self._transformers.arrange(transformers, devices, snapshot)
        await in_turns(self._reactor, self._sink.add_device, fresh, PER_TURN)
        await self._next_turn()
        self._faults.arrange(devices, snapshot, {one.meter: one.area for one in transformers})
        await self._next_turn()

    def _ambient(self, snapshot: Snapshot) -> float:
        if self._settings.ambient_tag:
            value, quality, _at = snapshot.get(self._settings.ambient_tag)
            if quality < BAD and np.isfinite(value):
                return value
        return self._settings.ambient_celsius

    # ------------------------------------------------------------------ turns of the loop
    def _next_turn(self) -> "Deferred[None]":
        return deferLater(self._reactor, 0)

    # ------------------------------------------------------------------ what history knows of the heat
    def _work_out_the_past(self) -> None:
        """Of those nothing was known of at the start, or nothing new enough."""
        idle = self._replaying is None or self._replaying.called
        if self._live is not None and self._transformers.wanting and idle:
            self._replaying = Deferred.fromCoroutine(self._replay(self._live))

    async def _replay(self, live: LiveReader) -> None:
        """One transformer at a time, in a thread, while its heat goes on from what is known."""
        while self._transformers.wanting and not self._stopping:
            name, known = self._transformers.wanting.popitem()
            transformer = self._registry.directory.transformer.get(name)
            if transformer is None:
                continue
            try:
                found = await self._blocking(self._past, live, transformer.meter, self._transformers.rated_of(name), known)
            except StorageError as error:
                self.log.warn("the load of {name} in history cannot be read: {reason}", name=name, reason=str(error))
                continue
            self._transformers.enter(name, found)

    def _past(self, live: LiveReader, meter: str, rated: float, known: Heat) -> Heat:
        now = self._clock.now()
        first = max(int(known.at[0]), now - REACH_NS)

        def history(tag: str) -> TagHistory:
            return live.read(tag, first - HOLDS_NS, now)

        air = self._settings.ambient_tag
        ambient = history(air) if air else self._settings.ambient_celsius
        phases = [history(f"{meter}/{point}") for point in CURRENT]
        return replayed(known, phases, rated, ambient, self._settings.ambient_celsius, first, now)

    # ------------------------------------------------------------------ the file
    async def _save(self) -> None:
        try:
            await self._blocking(
                heat_file.save, self._path, self._transformers.rated.names, self._transformers.heat
            )
        except OSError:
            self._save_failed(Failure())

    def _save_failed(self, failure: Failure) -> None:
        self.log.warn("the heat of transformers was not saved: {reason}", reason=failure.getErrorMessage())

    def _blocking(self, function: Callable[..., T], *arguments: object) -> "Deferred[T]":
        answer: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer
