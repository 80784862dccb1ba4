"""The historian as a part of the server: one embedded store, its live log, its results and the replicas behind it."""

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from scada import ports
from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.errors import StartError
from scada.historian.back_off import BackOff
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.estimates import EstimateHistory
from scada.historian.event_feed import EventFeed, Severity
from scada.historian.events import EventArchive, EventWriter
from scada.historian.live import LiveLog
from scada.historian.livefiles import LiveFiles, LiveHistory
from scada.historian.reader import BlockReader
from scada.historian.refusals import FROM_BACKUP, sentence, sqlite_sentence
from scada.historian.removal import Due
from scada.historian.replica import Replica
from scada.historian.results import ResultHistory, ResultWriter
from scada.historian.retention import Retention
from scada.historian.slots_stored import StoredSlots
from scada.historian.store import EmbeddedIntervals
from scada.historian.worker import Worker
from scada.settings import HistorianSettings

SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)         # for what happens by itself
_log = Logger()


@attrs.frozen
class HistoryReader:
    """Read-only view of a historian's folder, also while the server writes it."""

    intervals: ports.IntervalHistory
    live: ports.LiveReader
    results: ports.ResultStore
    estimates: ports.Estimates
    events: ports.EventHistory
    _pool: ReadPool

    def close(self) -> None:
        """Give the files back."""
        self._pool.close()


class Historian:
    """
    Owns the folder `history`; hands out `intervals`, `live` and `results` as ports from its birth on.
    """

    def __init__(
        self, settings: HistorianSettings, data_dir: Path, clock: SiteClock, reactor: Any, bus: ports.TagSource,
        *, fsync: Callable[[int], None] = os.fdatasync, back_off: BackOff | None = None, audit: ports.Audit | None = None,
    ) -> None:
        self.directory = settings.dir or data_dir / "history"
        self._worker = Worker(reactor, "historian")
        self._store = EmbeddedIntervals(
            self.directory, reactor, fsync=fsync, keep_merged=settings.retention.journal_days > 0
        )
        self._files = LiveFiles(self.directory)
        self._log = LiveLog(self._files, bus, clock, reactor, self._worker, settings.dead_bands)
        self._live = LiveHistory(self.directory, self._store.pool)
        replaced = clock.now if settings.retention.replaced_days else None
        self._results = ResultWriter(self.directory, self._store.pool, self._worker, replaced)
        self._events = EventWriter(self.directory, self._store.pool, reactor)
        self._feed = EventFeed(self._events, reactor)
        self._replicas = [
            Replica(
                one, one.spool_dir or data_dir / "spool", self.directory, lambda: self._store.blocks.book,
                self._store.subscribe, clock, reactor, bus, back_off=back_off,
            )
            for one in settings.influx
        ]
        for replica in self._replicas:
            self._results.subscribe(replica.results_changed)
            self._events.subscribe(replica.events_changed)
        self._audit = audit
        self._retention = Retention(
            self.directory, settings.retention, self._store, self._results, self._events,
            [one.lacks for one in self._replicas], self._events_sent, clock, reactor, self._worker, self._tell_removed,
        )
        self._running = False

    @property
    def intervals(self) -> EmbeddedIntervals:
        """`ports.IntervalStore` and `ports.IntervalHistory`."""
        return self._store

    @property
    def live(self) -> ports.LiveReader:
        return self._live

    @property
    def results(self) -> ports.ResultStore:
        return self._results

    @property
    def estimates(self) -> ports.Estimates:
        return EstimateHistory(self.directory, self._store.pool)

    @property
    def events(self) -> ports.EventHistory:
        return self._events

    def follow(self, source: ports.EventSource, alarms: ports.AlarmBook, severity: Severity) -> None:
        """Keep what devices and alarms say from now on, and what alarms said before; between `start` and `stop`."""
        self._feed.follow(source, alarms, severity)

    def start(self) -> "Deferred[None]":
        """Open the store, mend what a crash left, begin to take data; fails with `StartError`."""
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> "Deferred[None]":
        """Write what waits and give everything back; may be called at any time after `start`."""
        return Deferred.fromCoroutine(self._stop())

    def health(self) -> Iterable[ports.Health]:
        """The store with its live log, then each replica."""
        store = self._store.health()
        trouble = "" if store.ok else store.text
        text = trouble or self._log.tap.trouble or self._log.trouble or self._results.trouble or self._events.trouble
        text = text or "; ".join(filter(None, (self._files.damage, self._results.damage, self._live.damage)))
        if not text and self._events.aside:
            text = f"a damaged file of events is kept as {self._events.aside[-1].name}"
        if not self._running:
            text = "not running"
        figures = {
            **store.figures, "live_written": self._log.tap.written, "live_dropped": self._log.tap.dropped,
            "live_left_out": self._log.left_out,
            "live_damaged": self._files.damaged + self._live.damaged, "live_kept": len(self._files.kept),
            "results": self._results.stored,
            "events": self._events.stored,
        }
        yield ports.Health("historian", not text, text or store.text, figures)
        for replica in self._replicas:
            yield replica.health()

    # ------------------------------------------------------------------ private
    async def _start(self) -> None:
        self._worker.start()
        try:
            numbers = await self._worker.call(self._open)
        except BaseException:
            await self._worker.call(self._close)
            self._worker.stop()
            raise
        self._events.start()
        for replica in self._replicas:
            replica.start()
        self._log.start(numbers)
        self._results.start()
        self._running = True
        self._store.start()
        self._retention.start()

    async def _stop(self) -> None:
        if not self._running:
            return
        self._running = False
        await self._retention.stop()
        await self._feed.stop()
        await self._events.call(lambda: None)       # what waits is written
        self._events.stop()
        await self._log.stop()
        with suppress(OSError, sqlite3.Error):      # a full disk: the next start finds the same in the hot log
            await self._worker.call(self._files.roll)
        await gatherResults([replica.stop() for replica in self._replicas])
        await self._worker.call(self._close)
        self._worker.stop()

    def _events_sent(self) -> int | None:
        """The last event that every destination has; None where there are no destinations."""
        return min((one.last_event for one in self._replicas), default=None)

    def _tell_removed(self, one: Due) -> None:
        """Into the audit; a row that could not be written is in the log, with the removal itself."""
        if self._audit is not None:
            self._audit.append(
                SYSTEM, "historian.retention", one.name, kind=one.kind, size=one.size, before=one.before
            ).addErrback(lambda failure: _log.error("audit of retention: {why}", why=failure.getErrorMessage()))

    def _open(self) -> dict[str, int]:
        self._store.open()
        try:
            self._results.open()
            self._events.open()
            for replica in self._replicas:
                replica.open()
            numbers = self._files.open()
            if any(replica.lacks_the_past for replica in self._replicas):
                self._files.roll()                  # what a crash left in the hot log belongs to the past as well
            for replica in self._replicas:
                replica.look_back()
            return numbers
        except DamagedFile as error:
            raise StartError("historian", str(error), FROM_BACKUP) from error
        except OSError as error:
            raise StartError("historian", sentence("the store", self.directory, error)) from error
        except sqlite3.Error as error:
            raise StartError("historian", sqlite_sentence("the store", self.directory, error)) from error

    def _close(self) -> None:
        self._files.close()
        self._results.close()
        self._events.close()
        for replica in self._replicas:
            replica.close()
        self._store.close()


def open_reader(directory: Path) -> HistoryReader:
    """Open a historian's folder for reading, also from another process while the server writes it."""
    if not directory.is_dir():
        raise StartError("historian", f"{directory} holds no history")
    pool = ReadPool()
    return HistoryReader(
        BlockReader(directory, pool, StoredSlots(directory, pool)), LiveHistory(directory, pool),
        ResultHistory(directory, pool), EstimateHistory(directory, pool), EventArchive(directory, pool), pool,
    )
