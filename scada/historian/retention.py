"""Removes what is older than it has to be kept, one piece after the other beside everything else, and says so.

Nothing goes while somebody copies the history (`holding`), and nothing that an InfluxDB still needs: a month of intervals,
events or results that it has not confirmed, a month of live values that its back-fill has not come to. A month of intervals
goes in the thread that merges: nobody writes it meanwhile. Readers finish what they read.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.clock import NS, SiteClock
from scada.historian.database import remove_database
from scada.historian.events import EventWriter
from scada.historian.holding import unheld
from scada.historian.removal import Due, due, remember
from scada.historian.results import ResultWriter
from scada.historian.store import EmbeddedIntervals
from scada.historian.worker import Worker
from scada.settings import RetentionSettings

FIRST_S: Final = 300.0                              # real time from the start to the first look
EVERY_S: Final = 3600.0                             # real time between two looks
ROWS: Final = 2000                                  # results or events removed in one transaction
_log = Logger()


class Retention:
    """Looks every hour; `lacks` say of what is due whether a destination has not confirmed all of it.

    `events_sent` says the number of the last event that every destination has.
    """

    def __init__(
        self, directory: Path, settings: RetentionSettings, store: EmbeddedIntervals, results: ResultWriter,
        events: EventWriter, lacks: Sequence[Callable[[Due], bool]], events_sent: Callable[[], int | None],
        clock: SiteClock, reactor: Any, worker: Worker, told: Callable[[Due], None],
    ) -> None:
        self._directory, self._settings, self._store, self._results = directory, settings, store, results
        self._events, self._events_sent = events, events_sent
        self._lacks, self._clock, self._reactor, self._worker, self._told = lacks, clock, reactor, worker, told
        self._next: Any = None
        self._running: Deferred[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to look (reactor thread)."""
        self._next = self._reactor.callLater(FIRST_S, self._look)

    async def stop(self) -> None:
        """End after the piece that is being removed."""
        self._stopping = True
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._running is not None:
            await self._running

    # ------------------------------------------------------------------ private
    def _look(self) -> None:
        done: Deferred[None] = Deferred()
        self._running = done
        Deferred.fromCoroutine(self._remove_all()).addErrback(
            lambda failure: _log.error("retention: {why}", why=failure.getErrorMessage())
        ).addCallback(lambda _: self._done(done))

    def _done(self, done: "Deferred[None]") -> None:
        self._running = None
        if not self._stopping:
            self._next = self._reactor.callLater(EVERY_S, self._look)
        done.callback(None)

    async def _remove_all(self) -> None:
        if not self._clock.trusted():
            return                                  # a clock that is years ahead would call everything old
        for one in await self._worker.call(due, self._directory, self._settings, self._clock.now()):
            if self._stopping:
                return
            if one.kind == "intervals":
                gone = await self._store.between_merges(partial(self._month, one))
            elif one.kind == "results":
                gone = await self._rows(partial(self._worker.call, self._some_results, one))
            elif one.kind == "replaced results":
                gone = await self._rows(partial(self._worker.call, self._some_replaced, one.before))
            elif one.kind == "events":
                gone = await self._rows(partial(self._events.call, self._some_events, one.before))
            else:
                gone = await self._worker.call(self._file, one)
            if gone and one.kind != "journal":      # of that the blocks have all: the log is enough
                await self._worker.call(remember, self._directory, one, self._clock.now())
                self._told(one)
            if gone:
                _log.info("retention: {kind} {name}, {size} removed", kind=one.kind, name=one.name, size=one.size)

    def _month(self, one: Due) -> bool:
        """In the merge thread."""
        with unheld(self._directory) as free:
            if not free or self._lacking(one):
                return False
            return self._store.blocks.remove_month(one.path)

    def _file(self, one: Due) -> bool:
        """In the worker, which is the one that writes live samples."""
        with unheld(self._directory) as free:
            if not free or self._lacking(one):
                return False
            if one.kind == "live":
                return remove_database(one.path)
            one.path.unlink(missing_ok=True)
            return True

    async def _rows(self, some: Callable[[], Deferred[int]]) -> bool:
        """A few thousand at a time: puts that wait come between."""
        any_gone = False
        while not self._stopping:
            gone = await some()
            any_gone |= gone > 0
            if not gone:
                break
        return any_gone

    def _lacking(self, one: Due) -> bool:
        return any(lacks(one) for lacks in self._lacks)

    def _some_results(self, one: Due) -> int:
        with unheld(self._directory) as free:
            return self._results.remove_before(one.before, ROWS) if free and not self._lacking(one) else 0

    def _some_replaced(self, before: int) -> int:
        with unheld(self._directory) as free:
            return self._results.remove_replaced(before, ROWS) if free else 0

    def _some_events(self, before: int) -> int:
        """In the thread that writes them."""
        with unheld(self._directory) as free:
            return self._events.remove_before(before * NS, ROWS, self._events_sent()) if free else 0
