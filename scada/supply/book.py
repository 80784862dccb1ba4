"""The supplies in memory, behind their disk: nobody sees a change, and nothing is sent by it, before it is durable."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.errors import StorageError
from scada.supplies import Local, SupplyNews
from scada.supply.record import Record
from scada.supply.store import News, Store

T = TypeVar("T")
Change = Callable[[Record, int], tuple[Record, Iterable[News]]]     # a supply and now; raises what it refuses


class Book:
    """`changed` is called with the point of every change, after it is on disk."""

    def __init__(
        self, path: Path, clock: SiteClock, reactor: Any, pool: ThreadPool, changed: Callable[[str], None]
    ) -> None:
        self._store, self._clock, self._reactor, self._pool = Store(path), clock, reactor, pool
        self._changed = changed
        self._disk = DeferredLock()
        self.records: dict[str, Record] = {}
        self.locals: dict[str, Local] = {}
        self.fault = ""                                     # what keeps the disk from being written

    async def open(self) -> None:
        await self._in_thread(self._store.open)
        records, locals_ = await self._in_thread(self._store.load)
        self.records.update(records)
        self.locals.update(locals_)                         # others hold the same table

    def close(self) -> "Deferred[None]":
        return self._disk.run(self._in_thread, self._store.close)

    def get(self, point: str) -> Record:
        return self.records.get(point) or Record(point)

    def change(self, point: str, change: Change) -> "Deferred[Record]":
        """Let something happen to a supply, in its turn; fires when that is durable. Fails with `StorageError`."""
        return self._disk.run(lambda: Deferred.fromCoroutine(self._change(point, change)))

    async def _change(self, point: str, change: Change) -> Record:
        before, now = self.get(point), self._clock.now()
        after, news = change(before, now)
        lines = tuple(news)
        if after is before and not lines:
            return before
        await self._written(partial(self._store.save, after, now, lines))
        self.records[point] = after
        self._changed(point)
        return after

    def set_local(self, scope: str, local: Local | None) -> "Deferred[None]":
        return self._disk.run(lambda: Deferred.fromCoroutine(self._set_local(scope, local)))

    async def _set_local(self, scope: str, local: Local | None) -> None:
        await self._written(partial(self._store.set_local, scope, local))
        if local is None:
            self.locals.pop(scope, None)
        else:
            self.locals[scope] = local

    def history(self, point: str, before: int | None, size: int) -> tuple[SupplyNews, ...]:
        """Blocking."""
        return self._store.history(point, before, size)

    async def _written(self, job: Callable[[], None]) -> None:
        try:
            await self._in_thread(job)
        except StorageError as error:
            self.fault = str(error)
            raise
        self.fault = ""

    def _in_thread(self, job: Callable[[], T]) -> "Deferred[T]":
        return deferToThreadPool(self._reactor, self._pool, job)
