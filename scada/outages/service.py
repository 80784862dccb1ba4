"""Watches for outages: gathers the evidence, asks for causes, keeps what is open, and stands for it with one alarm each.

Implements the ports Outages and HealthSource. Causes are reckoned in a worker thread, when there is news, of the
concentrators alone that have to do with a sign.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.errors import StartError, StorageError
from scada.events import DeviceEvent, EventCode
from scada.outage import Outage, Scope
from scada.outages.cause import Cause
from scada.outages.causes import causes
from scada.outages.evidence import Evidence, Post
from scada.outages.gather import departed, last_words, losses, witnesses
from scada.outages.store import OutageStore
from scada.outages.tracker import Changes, Tracker, posts_of
from scada.outages.ways import Ways
from scada.ports import (
    AlarmGroups,
    EventSource,
    Health,
    MeshMonitor,
    NetworkMonitor,
    Registry,
    TagSink,
    TagSource,
    Unsubscribe,
)
from scada.site import Directory, MeshView
from scada.tags import Batch, Device, Quality, Snapshot, TagDef

FILE: Final = "outages.sqlite"
EVERY_S: Final = 5.0                    # real time between two looks
FIRST_S: Final = 1200.0                 # real time a concentrator has to come after the start: it backs off to 15 min
AGAIN_S: Final = 60.0                   # real time after which causes are reckoned anew all the same: hours came
SIGNS: Final = frozenset({EventCode.POWER_DOWN, EventCode.MODULE_LOST, EventCode.BATTERY_LOW})
TELLING: Final = frozenset({EventCode.POWER_DOWN, EventCode.MODULE_LOST})       # BATTERY_LOW alone is no outage
SUMMARY: Final = Device(
    "Outages",
    (
        TagDef("open", "", "Outages that go on", digits=0),
        TagDef("consumers", "", "Consumers in outages that go on", digits=0),
        TagDef("modules", "", "Modules in outages that go on", digits=0),
    ),
    ("Outages",), "Outages",
)


class OutageService:
    """`signs` are what devices said and have not taken back; `links` what is known of the concentrators' links."""

    log = Logger()

    def __init__(
        self, bus: TagSource, mesh: MeshMonitor, events: EventSource, registry: Registry, alarms: AlarmGroups,
        sink: TagSink, clock: SiteClock, reactor: Any, data_dir: Path, pool: ThreadPool, network: NetworkMonitor,
    ) -> None:
        self._bus = bus
        self._mesh, self._events, self._registry, self._alarms, self._sink = mesh, events, registry, alarms, sink
        self._clock, self._reactor, self._path, self._pool = clock, reactor, data_dir / FILE, pool
        self._signs: dict[tuple[str, int], int] = {}
        self._ways = Ways(network)
        self._links: dict[str, tuple[bool, int]] = {}       # up, since [ns]
        self._overheard: dict[int, int] = {}                # by other concentrators, last [ns], by EUI
        self._tracker = Tracker(self._area_of, self._consumers_of)
        self._unsubscribe: list[Unsubscribe] = []
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor
        self._store: OutageStore | None = None
        self._looking: Deferred[None] | None = None
        self._news = 0                                      # raised by whatever may change the causes
        self._answered: object = None                       # what the causes that are known were reckoned from
        self._found: tuple[Cause, ...] = ()
        self._started_at, self._failing, self._failures = 0.0, False, 0

    def start(self) -> "Deferred[None]":
        """Open the store; fails with `StartError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            self._store = await deferToThreadPool(self._reactor, self._pool, OutageStore, self._path)
            opened, self._signs = await deferToThreadPool(self._reactor, self._pool, self._store.load)
        except StorageError as error:
            raise StartError("outages", str(error), f"check {self._path} and the space on its disk") from None
        self._started_at = self._clock.monotonic()
        self._tracker = Tracker(self._area_of, self._consumers_of, opened)
        self._links = {post: (False, one.since) for one in opened for post in posts_of(one)}
        known = {one.id for one in opened}
        for source, kind in self._alarms.held("outage_"):   # what was raised but not kept, or ended while we were away
            if f"{source}:{kind}" not in known:
                self._alarms.let_go(source, kind)
        self._sink.add_device(SUMMARY)
        self._unsubscribe = [self._events.on_events(self._delivered), self._mesh.on_mesh(self._reported)]
        self._ticker.start(EVERY_S, now=False)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._ticker.running:
            self._ticker.stop()
        if self._looking is not None:
            await self._looking
        if self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._store.close)
            self._store = None

    # ------------------------------------------------------------------ Outages, HealthSource
    def open(self) -> tuple[Outage, ...]:
        return self._tracker.open

    def history(self, before: int | None = None, size: int = 100) -> tuple[Outage, ...]:
        store = self._store
        return store.history(before, size) if store is not None else ()

    def health(self) -> Iterable[Health]:
        opened = self._tracker.open
        text = f"{len(opened)} outages go on"
        if self._failing:
            text = "the last look for outages failed; it is tried again"
        yield Health("outages", not self._failing, text, {
            "open": len(opened), "signs": len(self._signs), "failures": self._failures,
        })

    # ------------------------------------------------------------------ news
    def _delivered(self, events: Sequence[DeviceEvent]) -> "Deferred[None]":
        """Fires when the signs among them are durable, so that the field may forget them."""
        self._news += 1
        telling = [event for event in events if event.code in SIGNS]
        for event in telling:
            if event.raised:
                self._signs[event.device, event.code] = event.at if event.time_good else self._clock.now()
            else:
                self._signs.pop((event.device, event.code), None)
        return Deferred.fromCoroutine(self._keep(telling))

    async def _keep(self, events: Sequence[DeviceEvent]) -> None:
        if events and self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._store.take, events)

    def _reported(self, concentrator: str) -> None:
        view = self._mesh.view(concentrator)
        if view is None:
            return
        self._news += 1
        known = self._links.get(concentrator)
        if view.link_up != (known is not None and known[0]):
            self._links[concentrator] = (view.link_up, self._clock.now())
        for one in view.overheard:
            self._overheard[one.eui] = max(one.heard, self._overheard.get(one.eui, 0))

    # ------------------------------------------------------------------ looking
    def _tick(self) -> None:
        if self._looking is None or self._looking.called:   # one that takes longer than a period is not overtaken
            self._looking = Deferred.fromCoroutine(self._look()).addErrback(self._failed)

    async def _look(self) -> None:
        directory, now = self._registry.directory, self._clock.now()
        posts = self._posts(directory)
        asked = (self._news, directory.site.generation, posts, self._clock.monotonic() // AGAIN_S)
        if asked != self._answered:                         # else nothing is new, and the causes are those of before
            await self._forget_departed(directory)
            evidence = await deferToThreadPool(
                self._reactor, self._pool, self._gather, directory, posts, dict(self._signs), dict(self._overheard),
                self._bus.snapshot(),
            )
            self._found = await deferToThreadPool(self._reactor, self._pool, causes, evidence)
            self._answered = asked
        changes = await deferToThreadPool(
            self._reactor, self._pool, self._tracker.look, self._found, now, self._blind
        )
        self._show(changes)
        if (changes.changed or changes.closed) and self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._store.write, changes.changed, changes.closed)
        self._failing = False

    async def _forget_departed(self, directory: Directory) -> None:
        """Nobody is left who could take back what they said."""
        signs = await deferToThreadPool(self._reactor, self._pool, departed, directory, tuple(self._signs))
        if signs and self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._store.forget, signs)
            for sign in signs:
                self._signs.pop(sign, None)

    def _posts(self, directory: Directory) -> tuple[Post, ...]:
        """Every concentrator; one that never came is down since the start, once it has had its time."""
        late = self._clock.monotonic() - self._started_at > FIRST_S
        found = []
        for one in directory.site.concentrators:
            up, since = self._links.get(one.name, (False, 0))
            if late and not since:
                since = self._clock.now()
                self._links[one.name] = (False, since)
            found.append(Post(one.name, up, since, self._signs.get((one.name, EventCode.POWER_DOWN), 0), one.area))
        return tuple(found)

    def _blind(self, outage: Outage) -> bool:
        """After a restart nothing is known of modules until their concentrator has come: what was open stays so."""
        modules = (self._registry.directory.module_of_name.get(name) for name in outage.members)
        return any(module is not None and module.concentrator not in self._links for module in modules)

    def _gather(
        self, directory: Directory, posts: Sequence[Post], signs: Mapping[tuple[str, int], int],
        overheard: Mapping[int, int], shot: Snapshot,
    ) -> Evidence:
        """In a worker thread: the witnesses behind the concentrators that have to do with any sign."""
        touched = {one.name for one in posts if not one.up and one.changed}
        modules = [directory.module_of_name.get(device) for device, code in signs if code in TELLING]
        touched |= {module.concentrator for module in modules if module is not None}
        buildings = {module.building for module in modules if module is not None and module.building}
        touched |= {module.concentrator for module in directory.site.modules if module.building in buildings}
        views: list[MeshView] = [view for name in sorted(touched) if (view := self._mesh.view(name)) is not None]
        words = last_words(shot) if views else {}
        through = self._ways.of(losses(directory, signs))
        return Evidence(tuple(posts), witnesses(directory, views, signs, overheard, words, through))

    # ------------------------------------------------------------------ showing
    def _show(self, changes: Changes) -> None:
        for one in changes.closed:
            if one.scope is not Scope.MODULE:
                self._alarms.let_go(*one.id.rsplit(":", 1))
        again = changes.open if changes.closed else changes.changed     # whom a closed one covered, another may cover now
        for one in again:
            if one.scope is not Scope.MODULE:                # its own alarm says it already
                source, kind = one.id.rsplit(":", 1)
                self._alarms.hold(source, kind, one.area, one.since, {*one.members, *posts_of(one)})
        values = np.array([
            len(changes.open), sum(one.consumers for one in changes.open), sum(one.left for one in changes.open),
        ], dtype=np.float64)
        now = self._clock.now()
        self._sink.publish(Batch(SUMMARY.name, values, np.full(3, Quality.GOOD, dtype=np.uint8), now, now))

    def _area_of(self, cause: Cause) -> str:
        directory = self._registry.directory
        modules = (directory.module_of_name.get(member) for member in cause.members)
        names = cause.posts | {module.concentrator for module in modules if module is not None}
        areas = {directory.concentrator[name].area for name in names if name in directory.concentrator}
        return areas.pop() if len(areas) == 1 else ""

    def _consumers_of(self, members: Sequence[str]) -> int:
        directory = self._registry.directory
        modules = (directory.module_of_name.get(name) for name in members)
        served = {directory.consumer_of_eui.get(module.eui, "") for module in modules if module is not None}
        return len(served - {""})

    def _failed(self, failure: Failure) -> None:
        self._failures += 1
        was_failing, self._failing = self._failing, True
        if was_failing:                                     # said once: the next look comes in a few seconds
            return
        if failure.check(StorageError) is None:
            self.log.failure("a look for outages failed", failure)
        else:
            self.log.error("{reason}", reason=failure.getErrorMessage())
