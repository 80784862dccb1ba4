"""The service around the balances: what news makes due is computed in a worker thread, stored, then shown."""

from collections.abc import Iterable
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import edges as register_edges
from scada.balancing.compute import KIND, Outcome, Stores, compute
from scada.balancing.days import whole_hours
from scada.balancing.feeds import Feeds
from scada.balancing.groups import device, hours_of, membership, single_hours
from scada.balancing.ticker import TransformerTicker
from scada.clock import DAY_H, HOUR_S, NS, SiteClock
from scada.debounce import Debounced
from scada.errors import StartError, StorageError
from scada.intervals import Mark
from scada.ports import (
    BALANCE_COLUMNS,
    Health,
    IntervalReader,
    IntervalStore,
    LiveReader,
    Metering,
    Registry,
    ResultStore,
    ResultTable,
    TagSink,
    TagSource,
    Unsubscribe,
)
from scada.site import Directory, Site
from scada.tags import Batch, Device, Quality

SETTLE_S: Final = 0.5                   # commits and edges come in bursts; one computation for all of them
LOOK_BACK_H: Final = 7 * DAY_H          # computed anew after a start, and when a group's members or meters change
MOST_MARKS: Final = 10_000              # that may wait unsorted
SHOWN: Final = ("feed", "members", "imbalance", "imbalance_percent", "uncertainty")


class BalancingService:
    """Implements `ports.Balances` and `ports.HealthSource`."""

    log = Logger()

    def __init__(
        self,
        registry: Registry,
        bus: TagSource,
        sink: TagSink,
        metering: Metering,
        intervals: IntervalReader,
        store: IntervalStore,
        live: LiveReader,
        results: ResultStore,
        clock: SiteClock,
        reactor: Any,
        pool: ThreadPool,
        timezone: str,
    ) -> None:
        self._registry, self._bus, self._sink, self._intervals, self._store = registry, bus, sink, intervals, store
        self._results, self._clock, self._reactor, self._pool = results, clock, reactor, pool
        self._stores = Stores(metering, live, results, bus.devices, ZoneInfo(timezone))
        self._worker = Debounced(reactor, SETTLE_S, lambda: Deferred.fromCoroutine(self._follow()), self._failed)
        self._transformers = TransformerTicker(registry, bus, sink, reactor, self._failed)
        self._feeds = Feeds(self._make_due, self._worker.poke)
        self._unsubscribe: list[Unsubscribe] = []
        self._stopping = False

        self._membership = membership(Directory(Site()))
        self._due: dict[str, list[NDArray[np.int64]]] = {}                  # group -> hours to compute
        self._marks: list[Mark] = []
        self._shown: dict[str, tuple[float, ...]] = {}
        self._failing = False
        self._failures = 0
        self._rows = 0

    def start(self) -> "Deferred[None]":
        try:
            whole_hours(self._stores.zone, self._clock.hour())
        except ValueError as error:
            raise StartError("balancing", str(error), "see site.timezone") from None
        self._unsubscribe = [
            self._store.subscribe(self._committed),
            self._registry.subscribe(self._registry_changed),
            self._bus.on_devices(self._device_added),
            self._bus.subscribe(self._feeds.readings, name="balancing"),
        ]
        self._registry_changed(self._registry.directory)
        self._transformers.start()
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        self._stopping = True
        while self._unsubscribe:
            self._unsubscribe.pop()()
        self._transformers.stop()
        return self._worker.stop()

    # ------------------------------------------------------------------ Balances, HealthSource
    def table(self, group: str, span_s: int, first: int, last: int) -> ResultTable:
        found = self._results.get(KIND, group, span_s, first, last)
        return found if len(found.start) else ResultTable(found.start, {name: np.empty(0) for name in BALANCE_COLUMNS})

    def health(self) -> Iterable[Health]:
        groups, transformers = len(self._membership.groups), self._transformers.transformers
        text = f"{groups} balance groups, {transformers} metered transformers"
        if self._failing:
            text = "a balance cannot be computed or stored; it stays due and is tried again"
        figures = {"groups": groups, "transformers": transformers, "rows": self._rows, "failures": self._failures}
        yield Health("balancing", not self._failing, text, figures)

    # ------------------------------------------------------------------ what the feeds and marks make due
    def _device_added(self, added: Device) -> None:
        self._transformers.device_added(added)
        directory = self._registry.directory
        if added.name in {group.feed_tag.partition("/")[0] for group in directory.site.balance_groups}:
            self._feeds.find(directory, self._bus.devices())

    def _make_due(self, group: str, hours: NDArray[np.int64]) -> None:
        self._due.setdefault(group, []).append(hours)

    def _registry_changed(self, directory: Directory) -> None:
        self._transformers.registry_changed()
        fresh = membership(directory)
        changed, self._membership = fresh.changed_since(self._membership), fresh
        self._feeds.find(directory, self._bus.devices())
        for group in changed:
            defined = device(directory, group)
            if self._bus.devices().get(group.name) != defined:
                self._sink.add_device(defined)
            now = self._clock.hour()
            self._make_due(group.name, np.arange(now - LOOK_BACK_H, now, dtype=np.int64))
        if changed:
            self._worker.poke()

    def _committed(self, mark: Mark) -> None:
        self._marks.append(mark)
        if len(self._marks) > MOST_MARKS:
            self._sort_marks()
        self._worker.poke()

    # ------------------------------------------------------------------ hours and days
    async def _follow(self) -> None:
        """Compute what marks and edges have made due; what fails stays due."""
        self._sort_marks()
        await self._feeds.join_history(self._newest_before)
        await self._feeds.keep_edges(self._put_edges)
        directory = self._registry.directory
        while self._due and not self._stopping:
            name = next(iter(self._due))
            parts = self._due.pop(name)
            group = directory.balance_group.get(name)
            if group is None:
                continue
            try:
                outcome = await deferToThreadPool(
                    self._reactor, self._pool, compute,
                    self._stores, directory, group, single_hours(parts), self._clock.hour(),
                )
                await self._keep(outcome)
            except Exception:
                self._due.setdefault(name, []).extend(parts)
                raise
            self._show(outcome)
        self._failing = False

    def _newest_before(self, tag: str, instant: int) -> "Deferred[tuple[int, float] | None]":
        return deferToThreadPool(
            self._reactor, self._pool, register_edges.newest_before, self._stores.live, tag, instant
        )

    def _put_edges(self, tag: str, table: ResultTable) -> "Deferred[None]":
        return self._results.put(register_edges.KIND, tag, HOUR_S, table)

    def _sort_marks(self) -> None:
        marks, self._marks = self._marks, []
        slots = self._intervals.slots(self._membership.eui, self._membership.channel)
        for mark in marks:
            for index in self._membership.touched(slots, mark):
                self._make_due(self._membership.groups[index].name, hours_of(mark))
        for name, parts in self._due.items():              # many commits of the same hours are one list of hours
            self._due[name] = [single_hours(parts)]

    async def _keep(self, outcome: Outcome) -> None:
        for tag, table in outcome.edges:
            await self._put_edges(tag, table)
        for span, table in outcome.rows:
            await self._results.put(KIND, outcome.group, span, table)
            self._rows += len(table.start)

    def _show(self, outcome: Outcome) -> None:
        """Publish the newest whole hour, unless a newer one is shown already or nothing changed."""
        if not len(outcome.whole.start) or outcome.group not in self._bus.devices():
            return
        start = int(outcome.whole.start[0])
        values = [*(float(outcome.whole.columns[name][0]) for name in SHOWN), 100.0 * outcome.latest_completeness]
        fresh = (float(start), *values)
        last = self._shown.get(outcome.group, (float("-inf"),))
        if start < last[0] or np.array_equal(fresh, last, equal_nan=True):
            return
        self._shown[outcome.group] = fresh
        array = np.array(values)
        quality = np.where(np.isnan(array), Quality.BAD_OUT_OF_RANGE, Quality.GOOD).astype(np.uint8)
        self._sink.publish(Batch(outcome.group, array, quality, (start + HOUR_S) * NS, self._clock.now()))

    def _failed(self, failure: Failure) -> None:
        was_failing, self._failing = self._failing, True
        self._failures += 1
        if failure.check(StorageError) is None:
            self.log.failure("balancing failed; what was to be computed stays due", failure)
        elif not was_failing:
            self.log.error("{reason}; what was to be computed stays due", reason=failure.getErrorMessage())
