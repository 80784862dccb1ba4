"""An InfluxDB that gets everything the embedded store has: live tags through the spool, interval data by its versions.

Nothing waits for it and nothing is lost by it: lines stay in the spool, and blocks in the store, until it has confirmed.
One that is added later gets what was before it from the store.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred

from scada.clock import NS, SiteClock
from scada.errors import StartError, StorageError
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.events_left import EventsLeft
from scada.historian.influx import InfluxDoor
from scada.historian.lines import escaped, live_lines
from scada.historian.past import DONE, Past
from scada.historian.recent import Recent
from scada.historian.removal import Due, lacking_results
from scada.historian.replica_tags import HALF_FULL, tags_of
from scada.historian.results_left import ResultsLeft
from scada.historian.sender import Sender
from scada.historian.servers import limits_of
from scada.historian.slots import SlotBook
from scada.historian.spool import EVENTS, PAST, RESULTS, Spool
from scada.historian.tap import BusTap, Kept, Taken
from scada.historian.worker import Worker
from scada.intervals import Mark
from scada.ports import Health, TagSource
from scada.settings import InfluxSettings

DAY_NS: Final = 86_400 * NS


class Replica:
    """One destination."""

    def __init__(
        self, settings: InfluxSettings, spool_dir: Path, store_dir: Path, book: Callable[[], SlotBook],
        subscribe: Callable[[Callable[[Mark], None]], Callable[[], None]],
        clock: SiteClock, reactor: Any, bus: TagSource, *, back_off: BackOff | None = None,
    ) -> None:
        self.settings, self._clock = settings, clock
        self._subscribe, self._book = subscribe, book
        self._unsubscribe: Callable[[], None] | None = None
        self.spool = Spool(
            spool_dir / f"{settings.name}.sqlite", settings.spool_max_mb << 20, int(settings.spool_max_days * DAY_NS)
        )
        self._backlog = Backlog(store_dir, book, self.spool)
        self._past = Past(store_dir)
        self._results = ResultsLeft(store_dir)
        self._events = EventsLeft(store_dir)
        self._door = InfluxDoor(settings)
        self._sender = Sender(
            settings.name, self._door, self.spool, self._backlog, self._past, self._results, self._events,
            clock, back_off or BackOff(),
        )
        self._worker = Worker(reactor, f"spool-{settings.name}")
        self._tap = BusTap(bus, reactor, self._worker, "the spool", spool_dir, self._spool_live)
        self._escaped: WeakKeyDictionary[Kept, tuple[str, ...]] = WeakKeyDictionary()     # goes with the definition
        self._rate = (clock.monotonic(), 0, 0.0)    # when, sent then, lines/s since
        self._dropped = Recent()
        self._tags = tags_of(settings)

    # ------------------------------------------------------------------ life
    def open(self) -> None:
        """Open the spool, and find the blocks the destination does not have. Blocking."""
        try:
            self.spool.open()
            self._backlog.open()
            self._results.open(self.spool.fact(RESULTS))
            self._events.open(self.spool.fact(EVENTS))
        except (OSError, sqlite3.Error, StorageError) as error:
            part, reason = f"influx:{self.settings.name}", f"the spool {self.spool.path} cannot be opened: {error}"
            raise StartError(part, reason) from error

    def start(self) -> None:
        """Begin to listen and to send (reactor thread)."""
        self._worker.start()
        self._unsubscribe = self._subscribe(self._changed)
        self._tap.start()
        self._sender.start()

    def stop(self) -> "Deferred[None]":
        """Put what waits into the spool and stop sending."""
        return Deferred.fromCoroutine(self._stop())

    def close(self) -> None:
        self.spool.close()
        self._backlog.close()
        self._past.close()
        self._results.close()
        self._events.close()

    def results_changed(self) -> None:
        """Results were stored (reactor thread)."""
        self._results.changed()
        self._sender.poke()

    def events_changed(self) -> None:
        """Events were stored (reactor thread)."""
        self._events.changed()
        self._sender.poke()

    @property
    def last_event(self) -> int:
        """Number of the last event that it has confirmed. Memory."""
        return self._events.after

    @property
    def lacks_the_past(self) -> bool:
        """Whether live values from before this destination are still to be sent. Blocking."""
        return self.spool.fact(PAST) not in ("", DONE)

    def look_back(self) -> None:
        """Find those in the files of live history, which must hold all of them by now. Blocking."""
        self._past.open(self.spool.fact(PAST))

    def lacks(self, one: Due) -> bool:
        """Whether it has not confirmed all of what may go; of events see `last_event`. Blocking."""
        match one.kind:
            case "intervals":
                return self._backlog.lacks(one.path)
            case "live":
                return self._past.lacks(one.path)
            case "results":
                return lacking_results(one.path, one.before, self._results.after)
        return False

    def health(self) -> Health:
        """Memory."""
        spool, now = self.spool, self._clock.monotonic()
        then, sent, rate = self._rate
        if now - then >= 1.0:
            rate = (self._sender.sent_lines - sent) / (now - then)
            self._rate = (now, self._sender.sent_lines, rate)
        share = 100.0 * spool.bytes / (self.settings.spool_max_mb << 20)
        age = (self._clock.now() - spool.oldest) / NS if spool.oldest else 0.0
        dropped, blocks = spool.dropped + self._tap.dropped, len(self._backlog)
        recently = self._dropped.of(now, dropped)
        filling = f"the spool is {share:.0f} % full" if share >= HALF_FULL else ""
        aside = "".join(f"a damaged spool is kept as {path.name}" for path in spool.aside[-1:])
        lost = f"{recently} lines were dropped in the last hour" if recently else ""
        trouble = "; ".join(filter(None, (self._sender.trouble, self._tap.trouble, filling, lost, aside)))
        dead = f"dead letters: {spool.dead}, with {spool.dead_lines} lines" if spool.dead else ""
        waits = "results wait" if self._results.left else "events wait" if self._events.left else "up to date"
        if spool.lines or blocks:
            waits = f"{spool.lines} lines and {blocks} blocks wait"
        progress = ""
        if self._backlog.filling or self._past.left:
            intervals, past = self._backlog.percent, self._past.percent
            progress = f"back-fill: {intervals:.0f} % of the intervals, {past:.0f} % of the live values"
        server = self._door.server
        notes = *limits_of(server), *self._door.ceilings.near(len(self._book()), self._tap.tags), self._door.note
        text = "; ".join(filter(None, (trouble or waits, dead, progress, str(server), *notes)))
        return Health(f"influx:{self.settings.name}", not (trouble or dead), text, {
            "waiting_lines": spool.lines, "waiting_bytes": spool.bytes, "waiting_blocks": blocks,
            "oldest_s": max(age, 0.0), "full_percent": share, "sent_lines": self._sender.sent_lines, "lines_per_s": rate,
            "dropped_lines": dropped, "dropped_in_hour": recently, "dead_lines": spool.dead_lines,
            "dead_letters": spool.dead, "rotten_bodies": spool.rotten,
            "failures": self._sender.failures, "refused": float(self._sender.refused),
            "intervals_percent": self._backlog.percent, "past_percent": self._past.percent,
            "server_major": float(server.major), "damaged_spools": len(spool.aside),
        }, self._tags)

    # ------------------------------------------------------------------ private
    async def _stop(self) -> None:
        if self._unsubscribe is None:
            return                                  # it was never started
        self._unsubscribe()
        await self._tap.stop()
        await self._worker.call(self._sender.close)
        self._worker.stop()

    def _changed(self, mark: Mark) -> None:
        """A commit changed blocks (reactor thread)."""
        self._backlog.changed(mark)
        self._sender.poke()

    def _spool_live(self, taken: list[Taken]) -> None:
        """In the worker's thread: lines of live values, durably into the spool."""
        parts = []
        for kept, batch in taken:
            names = self._escaped.get(kept)
            if names is None:
                names = self._escaped[kept] = tuple(escaped(name) for name in kept.names)
            parts.append(live_lines(names, batch.values[kept.columns], batch.quality[kept.columns], batch.at))
        body = "".join(parts)
        if body:
            self.spool.put(body.encode(), body.count("\n"), self._clock.now())
        self._sender.poke()
