"""Every second: the heat of transformers, faults of the network at three-phase meters, and voltages of ten minutes.

Implements the port HealthSource. Figures are tags of the devices "T01.thermal" and "T01.voltage"; faults are alarms.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import heat, heat_file, ten_minutes
from scada.balancing.fault_watch import FAULTS, FaultWatch
from scada.balancing.meters import CURRENT, VOLTAGE, Meters, Rated, meters, rated, thermal_device, voltage_device
from scada.clock import SiteClock
from scada.ports import AlarmGroups, Health, Registry, TagSink, TagSource, Unsubscribe
from scada.settings import TransformerSettings
from scada.site import Directory
from scada.tags import BAD, UNCERTAIN, Batch, Device, Quality, Snapshot

EVERY_S: Final = 1.0                    # real time between two looks
TURNS: Final = 10                       # looks in which the heat of all is published once
SAVED: Final = 60                       # looks between two savings
ORPHANS: Final = 900                    # looks after which an alarm of a meter that is not there is over
MOST_CHANGES: Final = 200               # alarms of one look; the rest follow at the next
PREFIX: Final = "safety_"               # how the kinds of these alarms begin
KINDS: Final = tuple(PREFIX + fault.value for fault in FAULTS)


class WatchService:
    """A bad look is said and counted; the next one is made all the same."""

    log = Logger()

    def __init__(
        self, settings: TransformerSettings, registry: Registry, bus: TagSource, alarms: AlarmGroups, sink: TagSink,
        clock: SiteClock, reactor: Any, data_dir: Path, pool: ThreadPool,
    ) -> None:
        self._settings, self._registry, self._bus, self._alarms, self._sink = settings, registry, bus, alarms, sink
        self._clock, self._reactor, self._path, self._pool = clock, reactor, data_dir / heat_file.FILE, pool
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor
        self._unsubscribe: list[Unsubscribe] = []
        self._outdated, self._failing, self._looks, self._failures = True, False, 0, 0
        self._saving: Deferred[None] | None = None
        self._rated, self._heat = Rated((), (), np.empty((0, 6), dtype=np.intp), np.empty(0)), heat.unknown(0)
        self._meters = Meters((), (), np.empty((0, 6), dtype=np.intp))
        self._faults = FaultWatch(np.zeros((0, len(FAULTS)), dtype=np.bool_))
        self._told = self._faults.holding.copy()
        self._means = ten_minutes.TenMinutes(0)

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        found = await deferToThreadPool(self._reactor, self._pool, heat_file.load, self._path)
        if found is not None:
            names, self._heat = found
            self._rated = Rated(names, (), np.empty((len(names), 6), dtype=np.intp), np.empty(len(names)))
        self._unsubscribe = [
            self._registry.subscribe(self._registry_changed), self._bus.on_devices(self._device_added),
        ]
        self._loop.start(EVERY_S, now=False)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._loop.running:
            self._loop.stop()
        if self._saving is not None:
            await self._saving
        await self._save()

    def health(self) -> Iterable[Health]:
        text = "the last look at the transformers failed; see the log" if self._failing else (
            f"{len(self._rated.names)} transformers and {len(self._meters.names)} three-phase meters are watched"
        )
        yield Health("watching", not self._failing, text, {
            "transformers": len(self._rated.names), "meters": len(self._meters.names),
            "faults": int(self._faults.holding.sum()), "failures": self._failures,
        })

    # ------------------------------------------------------------------ every second
    def _registry_changed(self, directory: Directory) -> None:
        self._outdated = True

    def _device_added(self, added: Device) -> None:
        self._outdated |= set(VOLTAGE) <= set(added.points) or set(CURRENT) <= set(added.points)

    def _tick(self) -> None:
        try:
            self._look()
            self._failing = False
        except Exception:                                  # one bad look must not end all that follow
            self._failures += 1
            self._failing = True
            self.log.failure("a look at the transformers failed")

    def _look(self) -> None:
        snapshot = self._bus.snapshot()
        if self._outdated:
            self._arrange(snapshot)
        self._looks += 1
        if not len(snapshot.ids):
            return
        self._look_at_heat(snapshot)
        self._look_at_voltages(snapshot)
        self._look_at_faults(snapshot)
        if self._looks % SAVED == 0 and (self._saving is None or self._saving.called):
            self._saving = Deferred.fromCoroutine(self._save())
        if self._looks % SAVED == 0 and self._looks >= ORPHANS:
            for source, kind in self._alarms.held(PREFIX):
                if source not in self._meters.names:
                    self._alarms.let_go(source, kind)

    def _arrange(self, snapshot: Snapshot) -> None:
        """What there is to watch has changed: what is known of it is kept."""
        devices, before = self._bus.devices(), self._rated.names
        self._rated = rated(self._registry.directory.site.transformers, devices, snapshot.index)
        if self._rated.names != before or not len(self._rated.areas):
            empty = heat.unknown(len(self._rated.names))
            self._heat = heat_file.arranged(self._rated.names, before, self._heat, empty)
        if self._rated.names != before or self._means.size != len(before):     # after a start `before` is from the file
            self._means = ten_minutes.TenMinutes(len(self._rated.names))
        for name, area in zip(self._rated.names, self._rated.areas, strict=True):
            for one in (thermal_device(name, area), voltage_device(name, area)):
                if devices.get(one.name) != one:
                    self._sink.add_device(one)
        known = {(name, k): self._faults.holding[n, k]
                 for n, name in enumerate(self._meters.names) for k in range(len(KINDS))}
        watched = self._meters.names
        areas = {one.meter: one.area for one in self._registry.directory.site.transformers}
        self._meters = meters(devices, snapshot.index, areas)
        if self._meters.names != watched:
            held = {(source, KINDS.index(kind)) for source, kind in self._alarms.held(PREFIX) if kind in KINDS}
            self._told = np.array(
                [[(name, k) in held for k in range(len(KINDS))] for name in self._meters.names], dtype=np.bool_
            ).reshape(-1, len(KINDS))
            holding = np.array(
                [[known.get((name, k), self._told[n, k]) for k in range(len(KINDS))]
                 for n, name in enumerate(self._meters.names)], dtype=np.bool_,
            ).reshape(-1, len(KINDS))
            self._faults = FaultWatch(holding)
        self._outdated = False

    def _look_at_heat(self, snapshot: Snapshot) -> None:
        value, quality, at = self._rated.read(snapshot)
        worst = quality[:, 3:].max(axis=1, initial=0)
        load = np.where(worst < BAD, np.abs(value[:, 3:]).max(axis=1, initial=0.0) / self._rated.current, np.nan)
        ambient = self._ambient(snapshot)
        self._heat = heat.stepped(self._heat, load, ambient, snapshot.taken)
        rows = np.arange(self._looks % TURNS, len(load), TURNS)
        if not len(rows):
            return
        values, qualities = heat.shown(self._heat, ambient, worst)
        for row in rows[at[rows] > 0]:
            self._sink.publish(Batch(
                f"{self._rated.names[row]}.thermal", values[row], qualities[row], snapshot.taken, snapshot.taken
            ))

    def _ambient(self, snapshot: Snapshot) -> float:
        if self._settings.ambient_tag:
            value, quality, _at = snapshot.get(self._settings.ambient_tag)
            if quality < BAD and np.isfinite(value):
                return value
        return self._settings.ambient_celsius

    def _look_at_voltages(self, snapshot: Snapshot) -> None:
        value, quality, _at = self._rated.read(snapshot)
        over = self._means.look(value[:, :3], quality[:, :3] < UNCERTAIN, snapshot.taken)
        if over is None:
            return
        end, means = over
        qualities = np.where(np.isnan(means), Quality.BAD_STALE, Quality.GOOD).astype(np.uint8)
        for row, name in enumerate(self._rated.names):
            self._sink.publish(Batch(f"{name}.voltage", means[row], qualities[row], end, snapshot.taken))

    def _look_at_faults(self, snapshot: Snapshot) -> None:
        value, quality, at = self._meters.read(snapshot)
        current = np.where(quality[:, 3:] < UNCERTAIN, value[:, 3:], np.nan)
        good: NDArray[np.bool_] = quality[:, :3].max(axis=1, initial=0) < UNCERTAIN
        holding = self._faults.look(value[:, :3], current, good, at)
        for row, column in np.argwhere(holding != self._told)[:MOST_CHANGES]:
            name, kind = self._meters.names[row], KINDS[column]
            if holding[row, column]:
                since = int(self._faults.since[row, column]) or snapshot.taken
                detail = ", ".join(f"L{n + 1} {volts:.1f} V" for n, volts in enumerate(value[row, :3]))
                self._alarms.hold(name, kind, self._meters.areas[row], since, (), detail)
            else:
                self._alarms.let_go(name, kind)
            self._told[row, column] = holding[row, column]

    # ------------------------------------------------------------------ the file
    async def _save(self) -> None:
        try:
            await deferToThreadPool(
                self._reactor, self._pool, heat_file.save, self._path, self._rated.names, self._heat
            )
        except OSError:
            self._save_failed(Failure())

    def _save_failed(self, failure: Failure) -> None:
        self.log.warn("the heat of transformers was not saved: {reason}", reason=failure.getErrorMessage())
