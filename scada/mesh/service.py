"""Follows the reports of the radio networks: figures, tags and history, a subnet at a time in a worker thread.

Implements the ports NetworkMonitor and HealthSource. It never asks the field for anything.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.debounce import Debounced
from scada.errors import StorageError
from scada.mesh import tags
from scada.mesh.figures import Bounds, Known, figures, overlaps
from scada.mesh.history import DAY_NS, GONE, changes, entered
from scada.mesh.store import MeshStore
from scada.network import NetworkFigures, Place
from scada.ports import Health, MeshMonitor, Registry, TagSink, Unsubscribe
from scada.settings import NetworkSettings
from scada.site import Directory, MeshView

FILE: Final = "mesh.sqlite"
SETTLE_S: Final = 2.0                   # real time; the pages of a report come in a burst


class NetworkService:
    """Figures are kept for the last report of every concentrator; what was before is on the disk."""

    log = Logger()

    def __init__(
        self, settings: NetworkSettings, mesh: MeshMonitor, registry: Registry, sink: TagSink, clock: SiteClock,
        reactor: Any, data_dir: Path, pool: ThreadPool,
    ) -> None:
        self._mesh, self._registry, self._sink, self._clock = mesh, registry, sink, clock
        self._reactor, self._path, self._pool = reactor, data_dir / FILE, pool
        self._bounds = Bounds(
            settings.weakest_delivery_percent / 100, settings.hot_share_percent / 100, settings.battery_years,
            settings.parent_changes_a_day,
        )
        self._tags = tags.tags(settings.hot_share_percent, settings.weakest_delivery_percent)
        self._due: dict[str, None] = {}                     # concentrators, in the order of their news
        self._figures: dict[str, NetworkFigures] = {}
        self._overhearing: dict[str, MeshView] = {}         # views of concentrators that hear others' modules
        self._devices: set[str] = set()
        self._worker = Debounced(reactor, SETTLE_S, lambda: Deferred.fromCoroutine(self._follow()), self._failed)
        self._unsubscribe: list[Unsubscribe] = []
        self._store: MeshStore | None = None
        self._failing, self._failures = False, 0

    def start(self) -> "Deferred[None]":
        """Open the history; fails with `StartError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._store = await deferToThreadPool(self._reactor, self._pool, MeshStore, self._path)
        self._unsubscribe = [self._mesh.on_mesh(self._reported), self._registry.subscribe(self._registry_changed)]
        self._registry_changed(self._registry.directory)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()
        await self._worker.stop()
        if self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._store.close)
            self._store = None

    # ------------------------------------------------------------------ NetworkMonitor, HealthSource
    def figures(self, concentrator: str) -> NetworkFigures | None:
        return self._figures.get(concentrator)

    def tree(self, concentrator: str, at: int) -> tuple[Place, ...]:
        store = self._store
        found = store.tree(concentrator, at) if store is not None else {}
        return tuple(sorted((one for one in found.values() if one.parent != GONE), key=lambda one: one.index))

    def through(self, concentrator: str, moments: Mapping[int, int]) -> Mapping[int, int]:
        store = self._store
        return store.through(concentrator, moments) if store is not None else {}

    def moments(self, concentrator: str) -> tuple[int, ...]:
        store = self._store
        return store.moments(concentrator) if store is not None else ()

    def places(self, eui: int, size: int = 50) -> tuple[tuple[str, Place], ...]:
        store = self._store
        return store.of_module(eui, size) if store is not None else ()

    def health(self) -> Iterable[Health]:
        text = f"the networks of {len(self._figures)} concentrators are followed"
        if self._failing:
            text = "the history of the radio network cannot be written; it is tried again"
        yield Health("network", not self._failing, text, {
            "concentrators": len(self._figures), "due": len(self._due), "failures": self._failures,
        })

    # ------------------------------------------------------------------ news
    def _reported(self, concentrator: str) -> None:
        self._due[concentrator] = None
        self._worker.poke()

    def _registry_changed(self, directory: Directory) -> None:
        for one in directory.site.concentrators:
            device = tags.device(one, self._tags)
            if device.name not in self._devices:
                self._devices.add(device.name)
                self._sink.add_device(device)
            if one.name not in self._figures:
                self._due[one.name] = None
        if self._due:
            self._worker.poke()

    async def _follow(self) -> None:
        while self._due and self._store is not None:
            name = next(iter(self._due))
            view = self._mesh.view(name)
            if view is None:                                # not in the registry (any more)
                del self._due[name]
                continue
            if view.overheard:
                self._overhearing[name] = view
            directory, now = self._registry.directory, self._clock.now()
            found = await deferToThreadPool(
                self._reactor, self._pool, self._reckon, self._store, view, dict(self._overhearing), directory, now
            )
            self._figures[name] = found
            self._sink.publish(tags.batch(found, now))
            self._failing = False
            del self._due[name]                             # only now: what fails stays due

    def _reckon(
        self, store: MeshStore, view: MeshView, others: dict[str, MeshView], directory: Directory, now: int
    ) -> NetworkFigures:
        """In a worker thread: bring the history up to this report, and put the figures together."""
        euis = [node.eui for node in view.nodes]
        traffic, at = store.traffic(euis), min(view.as_of, now)
        if view.as_of:
            fresh = {
                node.eui: entered(traffic.get(node.eui), node.eui, min(node.heard, now), node.relayed_today)
                for node in view.nodes if node.heard
            }
            moved = changes(store.tree(view.concentrator), view.nodes, at)
            grown = [one for eui, one in fresh.items() if traffic.get(eui) != one]
            if moved or grown:
                store.write(view.concentrator, moved, grown)
            traffic |= fresh
        installed = {
            eui: periods[0].valid_from for eui in euis if (periods := directory.meters_of_eui.get(eui))
        }
        known = Known(installed, traffic, store.changes(view.concentrator, now - DAY_NS))
        home = {
            one.eui: module.concentrator
            for other in (view, *others.values()) for one in other.overheard
            if (module := directory.module_of_eui.get(one.eui)) is not None
        }
        return figures(view, known, overlaps(view, others, home), now, self._bounds)

    def _failed(self, failure: Failure) -> None:
        self._failures += 1
        was_failing, self._failing = self._failing, True
        if was_failing:                                     # said once: it is tried again
            return
        if failure.check(StorageError) is None:
            self.log.failure("the networks could not be followed", failure)
        else:
            self.log.error("{reason}", reason=failure.getErrorMessage())
