"""Events as a kind of history: durable before whoever said them may forget, kept once however often they come."""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from scada.errors import StorageError
from scada.events import KeptEvent
from scada.historian.database import DamagedFile, ReadPool, aside_of, put_aside, transaction
from scada.historian.event_rows import ALARMS, EVENT_FILE, fact, open_events, page_of, remember, store_events
from scada.historian.refusals import storage_error
from scada.historian.worker import Worker
from scada.ports import EventPage, EventsWanted

WAITING_MOST: Final = 50_000            # events that wait for the disk; more are refused, and stay with who said them
_log = Logger()


class EventArchive:
    """`EventHistory`: reads events, from any thread or process."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self.path, self._pool = directory / EVENT_FILE, pool

    def find(self, wanted: EventsWanted) -> EventPage:
        with self._pool.reading(self.path) as database:
            return EventPage((), None) if database is None else page_of(database, wanted)


@attrs.frozen(eq=False)
class _Put:
    events: Sequence[KeptEvent]
    done: "Deferred[None]"
    position: int | None                # of the journal of alarms, behind these


class EventWriter(EventArchive):
    """Writes them in a thread of its own: puts that wait together become durable together."""

    def __init__(self, directory: Path, pool: ReadPool, reactor: Any) -> None:
        super().__init__(directory, pool)
        self._worker = Worker(reactor, "events")
        self._database: sqlite3.Connection | None = None
        self._waiting: deque[_Put] = deque()
        self._held = 0                              # events that wait
        self._listeners: list[Callable[[], None]] = []
        self.position = 0                           # how far the journal of alarms was taken [ns]
        self.stored = 0                             # new ones, since start
        self.trouble = ""
        self.aside: list[Path] = []                 # damaged files that were here before

    # ------------------------------------------------------------------ life
    def open(self) -> None:
        """Open the file, or a fresh one where it is damaged: its alarms come again from their journal. Blocking."""
        try:
            self._database = open_events(self.path)
            self.position = fact(self._database, ALARMS)
        except DamagedFile as damage:
            if self._database is not None:
                self._database.close()
            aside = put_aside(self.path)
            _log.error("{damage}; it is kept as {aside}, a fresh file goes on", damage=str(damage), aside=aside.name)
            self._database = open_events(self.path)
        self.aside = aside_of(self.path)

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        self._worker.stop()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Hear that something was stored (reactor thread)."""
        self._listeners.append(listener)

    # ------------------------------------------------------------------ writing
    def put(self, events: Sequence[KeptEvent], position: int | None = None) -> "Deferred[None]":
        """Fires when they are durable, and with them how far the journal of alarms was taken; fails with `StorageError`."""
        if not self._worker.running:
            return fail(StorageError("the historian is not running"))
        if self._held + len(events) > WAITING_MOST:
            return fail(StorageError("events come faster than they can be stored"))
        waiting = _Put(events, Deferred(), position)
        self._waiting.append(waiting)
        self._held += len(events)
        if len(self._waiting) == 1:                 # one job takes all that gathers until it runs
            self._worker.call(self._store).addCallbacks(self._stored, self._failed)
        return waiting.done

    def call(self, function: Callable[..., Any], *arguments: Any) -> "Deferred[Any]":
        """Run something in the thread that writes."""
        return self._worker.call(function, *arguments)

    def remove_before(self, before: int, most: int, upto: int | None) -> int:
        """
        Remove events from before an instant [ns], so many at most; returns how many went. In the writing thread.

        `upto` is the number of the last event that every destination has: none behind it goes; None where there are none.
        """
        assert self._database is not None
        with transaction(self._database) as database:
            return database.execute(
                "DELETE FROM event WHERE number IN (SELECT number FROM event WHERE moment < ? AND number <= ? "
                "ORDER BY moment LIMIT ?)", (before, 2**63 - 1 if upto is None else upto, most),
            ).rowcount

    # ------------------------------------------------------------------ private
    def _store(self) -> tuple[list[_Put], int]:
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        try:
            assert self._database is not None, "events come only between open and close"
            with transaction(self._database) as database:
                new = store_events(database, (event for put in taken for event in put.events))
                for put in taken:
                    if put.position is not None:
                        remember(database, ALARMS, put.position)
        except Exception as error:                  # whoever waits must hear of it, whatever it is
            raise _NotStored(taken, error) from error
        return taken, new

    def _stored(self, result: tuple[list[_Put], int]) -> None:
        taken, new = result
        self.trouble = ""
        self.stored += new
        self._over(taken)
        for put in taken:
            if put.position is not None:
                self.position = put.position
        for listener in self._listeners:
            listener()
        for put in taken:
            put.done.callback(None)

    def _failed(self, failure: Any) -> None:
        failure.trap(_NotStored)
        cause = failure.value.cause
        error = storage_error("the store of events", self.path.parent, cause) if isinstance(cause, sqlite3.Error) else (
            StorageError(f"the store of events failed: {cause!r}")
        )
        self.trouble = str(error)
        self._over(failure.value.taken)
        for put in failure.value.taken:
            put.done.errback(error)

    def _over(self, taken: list[_Put]) -> None:
        self._held -= sum(len(put.events) for put in taken)


class _NotStored(Exception):
    """Carries the puts of a failed transaction back to the reactor's thread."""

    def __init__(self, taken: list[_Put], cause: Exception) -> None:
        self.taken, self.cause = taken, cause
        super().__init__(str(cause))
