"""The service around the balances: what news makes due is computed in a worker thread, stored, then shown.

Nothing that is due is forgotten, whatever becomes of the process. What the interval store merges is followed under a name,
and acknowledged when its results are durable, and so are validated hours; what a change of the registry touches, and up to
which hour the feeds are followed, is in a file of our own. News of now comes first, then what lies behind, a month of a
group at a time.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import edges as register_edges
from scada.balancing.compute import KIND, Stores, TechnicalOf, compute, no_losses
from scada.balancing.days import whole_hours
from scada.balancing.due import Due
from scada.balancing.estimated import EstimateNews
from scada.balancing.feeds import Feeds
from scada.balancing.groups import due_by
from scada.balancing.keeping import Keeping
from scada.balancing.learning import Learned, learned
from scada.balancing.memory import FILE, Memory
from scada.balancing.months import months_between
from scada.balancing.ticker import TransformerTicker
from scada.clock import DAY_H, HOUR_S, SiteClock
from scada.debounce import Debounced
from scada.errors import StartError, StorageError
from scada.intervals import News
from scada.piecemeal import in_turns
from scada.ports import (
    BALANCE_COLUMNS,
    MONTH_S,
    Estimates,
    Following,
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
from scada.site import Directory
from scada.site_groups import Span
from scada.tags import Device

SETTLE_S: Final = 0.5                   # commits and edges come in bursts; one computation for all of them
NAME: Final = "balancing"               # of who follows the interval store
MARGIN_H: Final = DAY_H                 # by which readings of feeds may lag behind the clock
MOST_NEWS: Final = 10_000               # that may wait unsorted
PER_TURN: Final = 50                    # devices that become known in one turn of the loop
MOST_CHANGES: Final = 100               # of the registry, that may wait while the disk refuses them
T = TypeVar("T")


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
        folder: Path,
        technical: TechnicalOf = no_losses,
        estimates: Estimates | None = None,
    ) -> None:
        self._registry, self._bus, self._sink, self._intervals, self._store = registry, bus, sink, intervals, store
        self._results, self._clock, self._reactor, self._pool = results, clock, reactor, pool
        self._stores = Stores(metering, live, results, bus.devices, ZoneInfo(timezone), technical)
        self._worker = Debounced(reactor, SETTLE_S, lambda: Deferred.fromCoroutine(self._follow()), self._failed)
        self._transformers = TransformerTicker(registry, bus, sink, reactor, self._failed)
        self._feeds = Feeds(self._make_due, self._worker.poke)
        self._memory = Memory(folder / FILE)
        self._keeping = Keeping(results, sink, bus.devices, clock, reactor)
        self._estimates = EstimateNews(estimates, self._blocking, reactor, self._worker.poke, self._failed)
        self._following: Following | None = None
        self._unsubscribe: list[Unsubscribe] = []
        self._stopping = False

        self._known = Learned.nothing()
        self._due, self._behind = Due(), Due()              # of news, and of what was merged before the start
        self._unsorted: News | None = None                  # the next piece of that
        self._piece: News | None = None                     # that `_behind` comes from
        self._news: list[News] = []
        self._sorted: News | None = None                    # the last of those in `_due`
        self._changes: list[Directory] = []                 # of the registry, not in the memory yet
        self._anew = False                                  # they were too many
        self._wished: list[tuple[tuple[str, ...], Span, Deferred[None]]] = []      # hours that somebody wants anew
        self._failing = False
        self._failures = 0

    def start(self) -> "Deferred[None]":
        try:
            whole_hours(self._stores.zone, self._clock.hour())
        except ValueError as error:
            raise StartError("balancing", str(error), "see site.timezone") from None
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self._blocking(self._memory.open)
        self._unsubscribe = [self._bus.on_devices(self._device_added)]
        await self._learn(self._registry.directory)
        self._following = self._store.follow(NAME, self._committed)
        self._unsubscribe += [
            self._following.stop,
            self._registry.subscribe(self._registry_changed),
            self._bus.subscribe(self._feeds.readings, name="balancing"),
        ]
        self._registry_changed(self._registry.directory)
        now = self._clock.hour()
        lately = np.arange((self._memory.hour or now) - MARGIN_H, now, dtype=np.int64)
        for group in self._known.membership.groups:         # what feeds brought before a crash
            self._make_due(group.name, lately)
        self._transformers.start()
        self._estimates.start(self._memory.estimates)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        while self._unsubscribe:
            self._unsubscribe.pop()()
        self._transformers.stop()
        await self._estimates.stop()
        await self._worker.stop()
        with suppress(StorageError):                        # then it is computed anew after the next start
            await self._keeping.done()
        while self._wished:
            self._wished.pop()[2].errback(StorageError("the server is stopping"))
        await self._blocking(self._memory.close)

    # ------------------------------------------------------------------ Balances, HealthSource
    def table(self, group: str, span_s: int, first: int, last: int, as_of: int | None = None) -> ResultTable:
        if span_s == MONTH_S:
            return months_between(partial(self.table, group, as_of=as_of), self._stores.zone, first, last)
        found = self._results.get(KIND, group, span_s, first, last, as_of)
        return found if len(found.start) else ResultTable(found.start, {name: np.empty(0) for name in BALANCE_COLUMNS})

    def recompute(self, groups: Sequence[str], first: int, last: int) -> "Deferred[None]":
        """Make hours of groups due again [h since 1970]; fires when that is durable, fails with `StorageError`."""
        wished: Deferred[None] = Deferred()
        self._wished.append((tuple(groups), (first, last), wished))
        self._worker.poke()
        return wished

    def health(self) -> Iterable[Health]:
        groups, transformers = len(self._known.membership.groups), self._transformers.transformers
        text, left = f"{groups} balance groups, {transformers} metered transformers", self._days_left()
        if left:
            text = f"{groups} balance groups, {transformers} metered transformers; {left} days are being balanced anew"
        if self._failing:
            text = "a balance cannot be computed or stored; it stays due and is tried again"
        figures = {
            "groups": groups, "transformers": transformers, "rows": self._keeping.rows, "failures": self._failures,
            "days_left": left,
        }
        yield Health("balancing", not self._failing, text, figures)

    def _days_left(self) -> int:
        """Of what lies behind: days of the store that are not sorted by group yet, and days of groups."""
        spans = [span for spans in tuple(self._memory.touched.values()) for span in tuple(spans)]
        unsorted = self._following.days if self._following is not None else 0
        return unsorted + self._behind.days + sum(-(-(last - first) // DAY_H) for first, last in spans)

    # ------------------------------------------------------------------ what the feeds and marks make due
    def _device_added(self, added: Device) -> None:
        self._transformers.device_added(added)
        self._feeds.device_added(self._registry.directory, added)

    def _make_due(self, group: str, hours: NDArray[np.int64]) -> None:
        self._due.add(group, hours)

    def _registry_changed(self, directory: Directory) -> None:
        self._transformers.registry_changed()
        if len(self._changes) >= MOST_CHANGES:
            self._changes.clear()
            self._anew = True
        self._changes.append(directory)
        self._worker.poke()

    def _committed(self, news: News) -> None:
        self._news.append(news)
        if len(self._news) > MOST_NEWS:
            waiting, self._news = self._news, []
            self._enter(self._due, due_by(self._intervals, self._known.membership, waiting))
            self._sorted = waiting[-1]
        self._worker.poke()

    # ------------------------------------------------------------------ hours and days
    async def _follow(self) -> None:
        """Compute what is due, until nothing is; what fails stays due."""
        while not self._stopping and await self._step():
            pass
        await self._keeping.done()
        self._failing = False

    async def _step(self) -> bool:
        """The next thing there is to do; False = there is nothing."""
        now = self._clock.hour()
        await self._feeds.join_history(self._newest_before)
        await self._feeds.keep_edges(self._put_edges)
        await self._adopt()
        await self._take_wishes()
        await self._sort()
        if self._estimates.waiting and not self._due:
            self._enter(self._due, await self._estimates.next(self._known.membership))
        if self._due:
            await self._compute_of(self._due)
            return True
        await self._keeping.done()
        if self._due or await self._settled(now):           # feeds may have told of more meanwhile
            pass
        elif self._memory.touched:
            await self._compute_touched()
        elif self._behind:
            await self._compute_of(self._behind)
        else:
            return await self._look_behind()
        return True

    async def _settled(self, now: int) -> bool:
        """No news waits: say so, durably; False = it is said already."""
        assert self._following is not None
        if self._sorted is not None:
            self._following.dealt(self._sorted)
            self._sorted = None
        if not self._estimates.waiting and self._memory.estimates != self._estimates.read:
            await self._blocking(self._memory.heard, self._estimates.read)
        if self._memory.hour == now:
            return False
        await self._blocking(self._memory.reached, now)
        return True

    async def _compute_of(self, due: Due) -> None:
        names, hours = due.take_many(self._members_in)

        def again() -> None:
            for name in names:
                due.add(name, hours)

        await self._compute(names, hours, again)

    async def _compute_touched(self) -> None:
        """Hours that a change of the registry touched; unless it changed again meanwhile, they are done."""
        changes, (names, span) = self._memory.changes, self._memory.next(self._members_in)
        await self._compute(names, np.arange(*span, dtype=np.int64), lambda: None)
        await self._keeping.done()
        if changes == self._memory.changes:
            await self._blocking(self._memory.computed, names, span)

    def _members_in(self, group: str) -> int:
        return self._known.membership.size.get(group, 0)

    async def _look_behind(self) -> bool:
        """The next piece of what was merged before the start, once the one before it is done; False = there is none."""
        assert self._following is not None
        if self._piece is not None:
            self._following.dealt(self._piece)
            self._piece = None
        self._unsorted = self._unsorted or await self._following.older()
        if self._unsorted is None:
            return False
        found = await self._blocking(due_by, self._intervals, self._known.membership, [self._unsorted])
        self._enter(self._behind, found)
        self._piece, self._unsorted = self._unsorted, None
        return True

    async def _compute(self, names: tuple[str, ...], hours: NDArray[np.int64], again: Callable[[], None]) -> None:
        """Compute groups and let the results be stored; what fails is made due `again`."""
        try:
            if self._keeping.holds(names):                  # versions count on what is stored
                await self._keeping.done()
            directory = self._registry.directory
            groups = [group for name in names if (group := directory.balance_group.get(name)) is not None]
            if not groups:
                return
            outcome = await self._blocking(compute, self._stores, directory, groups, hours, self._clock.hour())
            await self._adopt()                 # it may be of a registry that changed under it: that is durable first
        except BaseException:
            again()
            raise
        await self._keeping.begin(outcome, again)

    async def _adopt(self) -> None:
        """See what changed in the registry, and let the memory know."""
        while self._changes:
            changes, anew = self._changes, self._anew
            self._changes, self._anew = [], False
            try:
                await self._learn(changes[-1])
                await self._blocking(self._adopt_now, changes, anew)
            except BaseException:
                self._changes, self._anew = changes + self._changes, anew or self._anew
                raise

    async def _learn(self, directory: Directory) -> None:
        """Who counts, what feeds and what is shown by this content of the registry."""
        if directory is self._known.directory:
            return
        seen = self._bus.devices()
        self._known = await self._blocking(learned, self._known, directory, seen)
        if self._known.feeds is not None:
            self._feeds.use(self._known.feeds)
            for name, one in self._bus.devices().items():   # meters that came meanwhile
                if seen.get(name) is not one:
                    self._feeds.device_added(directory, one)
        await in_turns(self._reactor, self._sink.add_device, self._known.devices, PER_TURN)

    async def _take_wishes(self) -> None:
        while self._wished:
            groups, span, wished = self._wished.pop(0)
            try:
                await self._blocking(self._memory.touch, groups, span)
            except StorageError:
                wished.errback(Failure())
            else:
                wished.callback(None)

    def _adopt_now(self, changes: list[Directory], anew: bool) -> None:
        self._memory.adopt(changes, self._store.since(), self._clock.hour(), anew=anew)

    def _blocking(self, function: Callable[..., T], *arguments: object) -> "Deferred[T]":
        answer: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer

    def _newest_before(self, tag: str, instant: int) -> "Deferred[tuple[int, float] | None]":
        return self._blocking(register_edges.newest_before, self._stores.live, tag, instant)

    def _put_edges(self, tag: str, table: ResultTable) -> "Deferred[None]":
        return self._results.put(register_edges.KIND, tag, HOUR_S, table)

    async def _sort(self) -> None:
        """Which hours of which groups the news touches."""
        news, self._news = self._news, []
        if not news:
            return
        try:
            found = await self._blocking(due_by, self._intervals, self._known.membership, news)
        except BaseException:
            self._news = news + self._news
            raise
        self._enter(self._due, found)
        self._sorted = news[-1]

    def _enter(self, due: Due, found: dict[str, list[NDArray[np.int64]]]) -> None:
        for name, parts in found.items():
            for hours in parts:
                due.add(name, hours)

    def _failed(self, failure: Failure) -> None:
        was_failing, self._failing = self._failing, True
        self._failures += 1
        if failure.check(StorageError) is None:
            self.log.failure("balancing failed; what was to be computed stays due", failure)
        elif not was_failing:
            self.log.error("{reason}; what was to be computed stays due", reason=failure.getErrorMessage())
