"""Technical losses of every transformer that has a network: hour by hour as the meters tell, stored, shown as tags.

Hours become due by news of the interval store, followed under a name of our own, and acknowledged when their results are
durable. A network that changes is computed anew for `LOOK_BACK_H`; what was computed for older hours stays, until somebody
wishes it computed anew: that is kept on disk, and the balances that deduct it are told.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import loss_report, technical
from scada.balancing.basis import LOSSES_BACK_H as LOOK_BACK_H
from scada.balancing.due import Due, days_of
from scada.balancing.groups import STALE_AFTER, hours_of
from scada.balancing.network import Network
from scada.balancing.network.engine import REMEDY
from scada.balancing.network.of_site import Known
from scada.balancing.wishes import FILE, Wishes
from scada.clock import DAY_H, HOUR_S, NS, SiteClock
from scada.debounce import Debounced
from scada.errors import Problem, StorageError
from scada.intervals import News
from scada.piecemeal import in_turns
from scada.ports import (
    LOSS_COLUMNS,
    Following,
    Health,
    IntervalReader,
    IntervalStore,
    LossReport,
    Metering,
    Registry,
    ResultStore,
    ResultTable,
    TagSink,
    TagSource,
    Unsubscribe,
)
from scada.site import Directory, Site
from scada.site_groups import Span, joined, without
from scada.tags import Batch, Device, Quality, TagDef

SETTLE_S: Final = 1.0
NAME: Final = "losses"                  # of who follows the interval store
MOST_NEWS: Final = 10_000               # that may wait; beyond it the look-back is computed anew
PER_TURN: Final = 50                    # devices that become known in one turn of the loop
SUFFIX: Final = "-losses"               # of a transformer's device
TAGS: Final = (
    TagDef("technical_loss", "kWh", "Technical loss of the newest complete hour", digits=3, stale_after=STALE_AFTER),
    TagDef("technical_loss_percent", "%", "Technical loss, share of what was taken", digits=2, stale_after=STALE_AFTER),
)
T = TypeVar("T")
Anew: TypeAlias = Callable[[Sequence[str], int, int], "Deferred[None]"]     # groups, first hour, the one behind the last


@attrs.frozen(eq=False)
class Networks:
    """The networks, and the slots of the meters at their service points."""

    known: Known
    directory: Directory
    eui: NDArray[np.uint64]             # (m,)
    channel: NDArray[np.uint8]          # (m,)
    owner: tuple[str, ...]              # (m,) transformers

    def due_by(self, intervals: IntervalReader, news: Iterable[News]) -> dict[str, list[NDArray[np.int64]]]:
        """Hours of each transformer that news touches. [h since 1970]"""
        slots = intervals.slots(self.eui, self.channel)
        found: dict[str, list[NDArray[np.int64]]] = {}
        for mark in (mark for one in news for mark in one.marks):
            touched = np.isin(slots, mark.slots) & (slots >= 0)
            for name in {self.owner[row] for row in np.flatnonzero(touched).tolist()}:
                found.setdefault(name, []).append(hours_of(mark))
        return found


def learned(directory: Directory) -> Networks:
    """All that has to be known of a registry's networks."""
    known = technical.known(directory)
    meters = [
        (period.eui, period.channel, name)
        for name, network in known.networks.items() for point in network.points
        for period in directory.meters_of_point.get(point, ())
    ]
    return Networks(
        known, directory, np.array([one[0] for one in meters], dtype=np.uint64),
        np.array([one[1] for one in meters], dtype=np.uint8), tuple(one[2] for one in meters),
    )


class LossService:
    """Implements `ports.TechnicalLosses` and `ports.HealthSource`."""

    log = Logger()

    def __init__(
        self, registry: Registry, bus: TagSource, sink: TagSink, metering: Metering, intervals: IntervalReader,
        store: IntervalStore, results: ResultStore, clock: SiteClock, reactor: Any, pool: ThreadPool, folder: Path,
        balances: Anew | None = None,
    ) -> None:
        self._registry, self._bus, self._sink, self._metering = registry, bus, sink, metering
        self._intervals, self._store, self._results, self._clock = intervals, store, results, clock
        self._reactor, self._pool, self._balances = reactor, pool, balances
        self._wishes = Wishes(folder / FILE)
        self._wished: dict[str, list[Span]] = {}
        self._worker = Debounced(reactor, SETTLE_S, lambda: Deferred.fromCoroutine(self._follow()), self._failed)
        self._following: Following | None = None
        self._unsubscribe: list[Unsubscribe] = []
        self._networks = learned(Directory(Site()))
        self._changed = True
        self._due = Due()
        self._in_hand = 0                                   # days that are being computed, of one network
        self._news: list[News] = []
        self._sorted: News | None = None                    # the last of those in `_due`
        self._older: News | None = None                     # a piece of what was merged before the start, in `_due`
        self._shown: dict[str, int] = {}                    # hour by transformer
        self._stopping = self._failing = False
        self._failures = self._rows = 0

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._wished = await self._blocking(self._wishes.open)
        for name, spans in self._wished.items():
            for span in spans:
                self._due.add(name, np.arange(*span, dtype=np.int64))
        self._following = self._store.follow(NAME, self._committed)
        self._unsubscribe = [self._following.stop, self._registry.subscribe(self._registry_changed)]
        self._worker.poke()

    def stop(self) -> "Deferred[None]":
        self._stopping = True
        while self._unsubscribe:
            self._unsubscribe.pop()()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._worker.stop()
        await self._blocking(self._wishes.close)

    # ------------------------------------------------------------------ TechnicalLosses, HealthSource
    def table(self, transformer: str, first: int, last: int) -> ResultTable:
        found = self._results.get(technical.KIND, transformer, HOUR_S, first, last)
        return found if len(found.start) else ResultTable(found.start, {name: np.empty(0) for name in LOSS_COLUMNS})

    def problems(self, transformer: str) -> tuple[Problem, ...] | None:
        known = self._networks.known
        return () if transformer in known.networks else known.problems.get(transformer)

    def recompute(self, transformers: Sequence[str], first: int, last: int) -> "Deferred[tuple[str, ...]]":
        return Deferred.fromCoroutine(self._recompute(tuple(transformers), (first, last)))

    async def _recompute(self, names: tuple[str, ...], span: Span) -> tuple[str, ...]:
        directory = self._registry.directory
        groups = tuple(
            one.name for one in directory.site.balance_groups if technical.deducted_from(directory, one) in names
        )
        await self._blocking(self._wishes.add, names, span)
        for name in names:
            self._wished[name] = joined([*self._wished.get(name, ()), span])
            self._due.add(name, np.arange(*span, dtype=np.int64))
        self._worker.poke()
        if groups and self._balances is not None:
            await self._balances(groups, *span)
        return groups

    def report(self, transformer: str, first: int, hours: int) -> LossReport | None:
        networks = self._networks
        network = networks.known.networks.get(transformer)
        if network is None:
            return None
        found, taken = technical.period(self._metering, network, first, hours)
        return loss_report.report(network, networks.directory, transformer, found, taken.watts)

    def health(self) -> Iterable[Health]:
        known = self._networks.known
        wrong = [name for name in known.problems if name not in known.waiting]
        text = f"{len(known.networks)} networks whose losses are computed"
        if known.waiting:
            loops, name = len(known.waiting), known.waiting[0]
            text = (
                f"{len(known.networks)} networks whose losses are computed; {loops} have loops and are not computed, "
                f"{name} among them: power-grid-model is to be installed ({REMEDY})"
            )
        if wrong:
            count, name = len(wrong), wrong[0]
            text = f"{len(known.networks)} networks whose losses are computed; {count} are wrong, see the losses of {name}"
        if self._failing:
            text = "losses cannot be computed or stored; they stay due and are tried again"
        yield Health("losses", not (self._failing or known.problems), text, {
            "networks": len(known.networks), "wrong_networks": len(wrong), "networks_without_engine": len(known.waiting),
            "rows": self._rows, "failures": self._failures, "days_left": self._due.days + self._in_hand,
        })

    # ------------------------------------------------------------------ what becomes due
    def _registry_changed(self, _: Directory) -> None:
        self._changed = True
        self._worker.poke()

    def _committed(self, news: News) -> None:
        self._news.append(news)
        if len(self._news) > MOST_NEWS:                     # hours of long ago among them are computed with their next news
            self._sorted, self._news = self._news[-1], []
            self._all_anew(self._networks.known.networks)
        self._worker.poke()

    def _all_anew(self, names: Iterable[str]) -> None:
        now = self._clock.hour()
        for name in names:
            self._due.add(name, np.arange(now - LOOK_BACK_H, now, dtype=np.int64))

    async def _follow(self) -> None:
        while not self._stopping and await self._step():
            pass
        self._failing = False

    async def _step(self) -> bool:
        """The next thing there is to do; False = there is nothing."""
        if self._changed:
            await self._learn()
        if self._news:
            await self._sort()
        if self._due:
            name, hours = self._due.take()
            self._in_hand = len(days_of(hours))
            try:
                await self._compute(name, hours[hours < self._clock.hour()])
                await self._done(name, hours)
            except BaseException:
                self._due.add(name, hours)
                raise
            finally:
                self._in_hand = 0
            return True
        assert self._following is not None
        if self._sorted is not None:
            self._following.dealt(self._sorted)
            self._sorted = None
        if self._older is not None:
            self._following.dealt(self._older)
        self._older = await self._following.older()
        if self._older is None:
            return False
        self._enter(await self._blocking(self._networks.due_by, self._intervals, [self._older]))
        return True

    async def _learn(self) -> None:
        self._changed, before = False, self._networks
        try:
            fresh = await self._blocking(learned, self._registry.directory)
        except BaseException:
            self._changed = True
            raise
        self._networks = fresh
        old, new = before.known.networks, fresh.known.networks
        if before.known is not fresh.known or before.owner != fresh.owner:
            self._all_anew(name for name in new if not _alike(old.get(name), new[name]))
        shown, transformers = self._bus.devices(), (fresh.directory.transformer[name] for name in new)
        devices = (
            Device(f"{one.name}{SUFFIX}", TAGS, ("Transformer", one.name), one.title or one.name, one.area)
            for one in transformers
        )
        await in_turns(
            self._reactor, self._sink.add_device, [one for one in devices if shown.get(one.name) != one], PER_TURN
        )

    async def _sort(self) -> None:
        news, self._news = self._news, []
        try:
            self._enter(await self._blocking(self._networks.due_by, self._intervals, news))
        except BaseException:
            self._news = news + self._news
            raise
        self._sorted = news[-1]

    def _enter(self, found: dict[str, list[NDArray[np.int64]]]) -> None:
        for name, parts in found.items():
            for hours in parts:
                self._due.add(name, hours)

    async def _compute(self, name: str, hours: NDArray[np.int64]) -> None:
        network = self._networks.known.networks.get(name)
        if network is None or not len(hours):
            return
        for run in np.split(hours, np.flatnonzero(np.diff(hours) > DAY_H) + 1):
            fresh, whole = await self._blocking(self._computed, name, network, run)
            if len(fresh.start):
                await self._results.put(technical.KIND, name, HOUR_S, fresh)
                self._rows += len(fresh.start)
            if whole is not None:
                self._show(name, *whole)

    async def _done(self, name: str, hours: NDArray[np.int64]) -> None:
        """Hours that were wished are computed: other hours of the same days may be among them."""
        for first, last in self._wished.get(name, ()):
            its = hours[(hours >= first) & (hours < last)]
            if len(its) and len(its) == its[-1] - its[0] + 1:
                span = int(its[0]), int(its[-1]) + 1
                await self._blocking(self._wishes.done, name, span)
                self._wished[name] = without(self._wished[name], [span])

    def _computed(
        self, name: str, network: Network, hours: NDArray[np.int64]
    ) -> tuple[ResultTable, tuple[int, float, float] | None]:
        """Rows that are news, and (hour, loss, taken) of the newest one that is complete. Blocking."""
        first, count = int(hours[0]), int(hours[-1] - hours[0]) + 1
        columns = technical.hourly(network, technical.taken(self._metering, network, first, count))
        start = technical.hours(first, count)
        before = self._results.get(technical.KIND, name, HOUR_S, int(start[0]), int(start[-1]) + 1)
        good = np.flatnonzero(np.isfinite(columns["technical"]))
        whole = None
        if len(good):
            last = good[-1]
            whole = first + int(last), float(columns["technical"][last]), float(columns["taken"][last])
        return technical.news(start, columns, before), whole

    def _show(self, name: str, hour: int, lost: float, taken: float) -> None:
        device = f"{name}{SUFFIX}"
        if hour < self._shown.get(name, -1) or device not in self._bus.devices():
            return
        self._shown[name] = hour
        values = np.array([lost, 100 * lost / taken if taken > 0 else np.nan])
        quality = np.where(np.isnan(values), Quality.BAD_OUT_OF_RANGE, Quality.GOOD).astype(np.uint8)
        self._sink.publish(Batch(device, values, quality, (hour + 1) * HOUR_S * NS, self._clock.now()))

    def _blocking(self, function: Callable[..., T], *arguments: object) -> "Deferred[T]":
        answer: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer

    def _failed(self, failure: Failure) -> None:
        was_failing, self._failing = self._failing, True
        self._failures += 1
        if failure.check(StorageError) is None:
            self.log.failure("losses failed; what was to be computed stays due", failure)
        elif not was_failing:
            self.log.error("{reason}; what was to be computed stays due", reason=failure.getErrorMessage())


def _alike(one: Network | None, other: Network) -> bool:
    """Whether two networks have the same losses for the same consumption."""
    if one is None:
        return False
    return all(
        np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
        for mine, theirs in ((getattr(one, name), getattr(other, name)) for name in attrs.fields_dict(Network))
    )
