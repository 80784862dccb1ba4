"""Work that follows bursts of news: done once per burst, off the loop, never twice at a time."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure


class Debounced:
    """Runs `work` at most `delay` real seconds after news came, and again if more came meanwhile.

    `work` returns a Deferred; while it has not fired, news is only remembered. A failure is handed to
    `on_failure`, and the work is tried again after `retry` real seconds.
    """

    def __init__(
        self,
        reactor: Any,
        delay: float,
        work: Callable[[], "Deferred[None]"],
        on_failure: Callable[[Failure], None],
        retry: float = 10.0,
    ) -> None:
        self._retry = retry
        self._reactor, self._delay, self._work, self._on_failure = reactor, delay, work, on_failure
        self._timer: Any = None
        self._running = False
        self._again = False
        self._stopped = False
        self._idle: list[Deferred[None]] = []

    def poke(self) -> None:
        """There is news."""
        if self._stopped:
            return
        if self._running:
            self._again = True
        elif self._timer is None:
            self._timer = self._reactor.callLater(self._delay, self._run)

    def stop(self) -> "Deferred[None]":
        """Forget what is waiting; fires when nothing runs any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._running:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._idle.append(done)
        return done

    def _run(self) -> None:
        self._timer, self._running, self._again = None, True, False
        Deferred.fromCoroutine(self._once())

    async def _once(self) -> None:
        failed = False
        try:
            await self._work()
        except Exception:                   # whatever went wrong must not end the following of news
            failed = True
            self._on_failure(Failure())
        self._running = False
        idle, self._idle = self._idle, []
        for done in idle:
            done.callback(None)
        if (failed or self._again) and not self._stopped:
            self._timer = self._reactor.callLater(self._retry if failed else self._delay, self._run)
