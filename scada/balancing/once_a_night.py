"""Does something once a site day, some hours behind midnight, in a worker thread; a failure is tried again.

A night whose server was down is made up for at the start, for the newest day alone.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import HOUR_S, NS, SiteClock

EVERY_S: Final = 30.0                   # real time between two glances at the clock
RETRY_S: Final = 900.0                  # after one that failed


class OnceANight:
    """`work(day, stopping)` blocks, and says whether it was done: False = the server stops meanwhile."""

    log = Logger()

    def __init__(
        self, what: str, after_h: int, work: Callable[[str, threading.Event], bool], done: Callable[[], None],
        clock: SiteClock, reactor: Any, pool: ThreadPool, timezone: str,
    ) -> None:
        self._what, self._after_h, self._work, self._done = what, after_h, work, done
        self._clock, self._reactor, self._pool, self._zone = clock, reactor, pool, ZoneInfo(timezone)
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor
        self._stopping = threading.Event()
        self._not_before = 0.0                              # monotonic; after a failure
        self.under_way: Deferred[None] | None = None
        self.day = ""                                       # the newest that was done
        self.failing, self.failures = False, 0

    def start(self, day: str) -> None:
        """`day` is the newest that was done before."""
        self.day = day
        self._ticker.start(EVERY_S, now=False)

    async def stop(self) -> None:
        self._stopping.set()
        if self._ticker.running:
            self._ticker.stop()
        if self.under_way is not None:
            await self.under_way

    def _tick(self) -> None:
        if (self.under_way is not None and not self.under_way.called) or self._reactor.seconds() < self._not_before:
            return
        behind = self._clock.now() // NS - self._after_h * HOUR_S
        due = datetime.fromtimestamp(behind, UTC).astimezone(self._zone).date().isoformat()
        if due > self.day:
            self.under_way = Deferred.fromCoroutine(self._night(due)).addErrback(self._failed)

    async def _night(self, day: str) -> None:
        if await deferToThreadPool(self._reactor, self._pool, self._work, day, self._stopping):
            self.day, self.failing = day, False
            self._done()

    def _failed(self, failure: Failure) -> None:
        self.failures += 1
        self._not_before = self._reactor.seconds() + RETRY_S
        was_failing, self.failing = self.failing, True
        if not was_failing:
            self.log.failure("{what} failed", failure, what=self._what)
