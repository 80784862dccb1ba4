"""Puts changes on the disk in order, many at a time, off the loop; keeps what could not be written and tries again."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.alarms.store import AlarmStore
from scada.events import DeviceEvent
from scada.ports import Alarm

RETRY_S: Final = 5.0
MOST_WAITING: Final = 20_000            # changes kept in memory while the disk refuses; the oldest go, counted


class Writer:
    """One transaction at a time; what comes meanwhile goes into the next."""

    def __init__(self, store: AlarmStore, reactor: Any, pool: ThreadPool, on_failure: Callable[[Failure], None]) -> None:
        self._store, self._reactor, self._pool, self._on_failure = store, reactor, pool, on_failure
        self._changes: list[Alarm] = []
        self._events: list[tuple[Deferred[None], Sequence[DeviceEvent]]] = []
        self._running = False
        self._retry: Any = None
        self._idle: list[Deferred[None]] = []
        self.dropped = 0                # changes given up
        self.failing = False

    @property
    def waiting(self) -> int:
        return len(self._changes)

    def write(self, changes: Sequence[Alarm], events: Sequence[DeviceEvent] = ()) -> "Deferred[None]":
        """Fires when changes and events are durable; fails with `StorageError` (the changes are tried again)."""
        done: Deferred[None] = Deferred()
        self._changes.extend(changes)
        self._events.append((done, events))
        if not self._running:
            self._start()
        return done

    def flush(self) -> "Deferred[None]":
        """Fires when nothing is being written any more; the last chance of what waits for a retry."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._changes and not self._running:
            self._start()
        done: Deferred[None] = Deferred()
        if self._running:
            self._idle.append(done)
        else:
            done.callback(None)
        return done

    def _start(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._running = True
        changes, self._changes = self._changes, []
        waiting, self._events = self._events, []
        events = [event for _, some in waiting for event in some]
        written = deferToThreadPool(self._reactor, self._pool, self._store.write, changes, events)
        written.addCallbacks(lambda _: self._written(waiting), lambda failure: self._refused(failure, changes, waiting))

    def _written(self, waiting: Sequence[tuple["Deferred[None]", Sequence[DeviceEvent]]]) -> None:
        self.failing = False
        self._ended()
        for done, _ in waiting:
            done.callback(None)

    def _refused(
        self, failure: Failure, changes: list[Alarm], waiting: Sequence[tuple["Deferred[None]", Sequence[DeviceEvent]]]
    ) -> None:
        was_failing, self.failing = self.failing, True
        if not was_failing:                     # said once: it is tried again every few seconds, maybe for hours
            self._on_failure(failure)
        self._changes[:0] = changes
        surplus = max(len(self._changes) - MOST_WAITING, 0)
        self.dropped += surplus
        del self._changes[:surplus]
        ending = bool(self._idle)
        self._ended()
        if not self._running and not ending and self._retry is None:
            self._retry = self._reactor.callLater(RETRY_S, self._again)
        for done, _ in waiting:
            done.errback(failure)

    def _again(self) -> None:
        self._retry = None
        if not self._running:
            self._start()

    def _ended(self) -> None:
        self._running = False
        if self._events:
            self._start()
            return
        idle, self._idle = self._idle, []
        for done in idle:
            done.callback(None)
