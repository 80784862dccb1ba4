"""An InfluxDB that gets everything the embedded store has: live tags through the spool, interval data by its versions.

Nothing waits for it and nothing is lost by it: lines stay in the spool, and blocks in the store, until it has confirmed.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from scada.clock import NS, SiteClock
from scada.errors import StartError, StorageError
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.influx import InfluxDoor
from scada.historian.lines import escaped, live_lines
from scada.historian.sender import Sender
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.historian.tap import BusTap, Kept, Taken
from scada.historian.worker import Worker
from scada.intervals import Mark
from scada.ports import Health, TagSource
from scada.settings import InfluxSettings


class Replica:
    """One destination."""

    def __init__(
        self, settings: InfluxSettings, spool_dir: Path, store_dir: Path, book: Callable[[], SlotBook],
        subscribe: Callable[[Callable[[Mark], None]], Callable[[], None]],
        clock: SiteClock, reactor: Any, bus: TagSource, *, back_off: BackOff | None = None,
    ) -> None:
        self.settings, self._clock = settings, clock
        self._subscribe = subscribe
        self._unsubscribe: Callable[[], None] | None = None
        self.spool = Spool(spool_dir / f"{settings.name}.sqlite", settings.spool_max_mb << 20)
        self._backlog = Backlog(store_dir, book)
        self._sender = Sender(
            settings.name, InfluxDoor(settings), self.spool, self._backlog, clock, back_off or BackOff()
        )
        self._worker = Worker(reactor, f"spool-{settings.name}")
        self._tap = BusTap(bus, reactor, self._worker, "the spool", spool_dir, self._spool_live)
        self._escaped: dict[Kept, tuple[str, ...]] = {}
        self._rate = (clock.monotonic(), 0, 0.0)    # when, sent then, lines/s since

    # ------------------------------------------------------------------ life
    def open(self) -> None:
        """Open the spool, and find the blocks the destination does not have. Blocking."""
        try:
            self.spool.open()
            self._backlog.open(self.spool.sent())
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

    def lacks(self, path: Path) -> bool:
        """Whether it has not confirmed all of a month file. Blocking."""
        return self._backlog.lacks(path)

    def health(self) -> Health:
        """Memory."""
        spool, now = self.spool, self._clock.monotonic()
        then, sent, rate = self._rate
        if now - then >= 1.0:
            rate = (self._sender.sent_lines - sent) / (now - then)
            self._rate = (now, self._sender.sent_lines, rate)
        share = 100.0 * spool.bytes / (self.settings.spool_max_mb << 20)
        age = (self._clock.now() - spool.oldest) / NS if spool.oldest else 0.0
        filling = f"the spool is {share:.0f} % full" if share >= 50.0 else ""
        aside = "".join(f"a damaged spool is kept as {path.name}" for path in spool.aside[-1:])
        trouble = "; ".join(filter(None, (self._sender.trouble, self._tap.trouble, filling, aside)))
        waits = spool.lines or len(self._backlog)
        waiting = f"{spool.lines} lines and {len(self._backlog)} blocks wait" if waits else "up to date"
        return Health(f"influx:{self.settings.name}", not trouble, trouble or waiting, {
            "waiting_lines": spool.lines, "waiting_bytes": spool.bytes, "waiting_blocks": len(self._backlog),
            "oldest_s": max(age, 0.0), "full_percent": share, "sent_lines": self._sender.sent_lines, "lines_per_s": rate,
            "dropped_lines": spool.dropped + self._tap.dropped, "dead_lines": spool.dead, "rotten_bodies": spool.rotten,
            "failures": self._sender.failures, "damaged_spools": len(spool.aside),
        })

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
