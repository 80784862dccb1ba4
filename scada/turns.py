"""A reactor whose turns are short: timers that are due together share turns, oldest first, as news of files does.

Twisted runs everything that is due in one go. With a city at full intake that is reading, decoding, acknowledging, the
collectors and the rounds on top of one another: each of them is bounded, their sum is not. Here one turn begins timers
for `TIMERS_S`; what is due still, goes first in the next one.
"""

import heapq
from typing import Any, Final

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.logger import Logger

TIMERS_S: Final = 0.003                 # of one turn, in which timers begin
_log = Logger()


class SharingReactor(AsyncioSelectorReactor):
    """Twisted's own, but for the length of a turn."""

    _cancellations: int
    _justStopped: bool                                      # noqa: N815
    _pendingTimedCalls: list[Any]                           # noqa: N815

    def runUntilCurrent(self) -> None:
        """Begin what is due, in its order, until this turn's time is spent; at least one of them."""
        self._insertNewDelayedCalls()
        calls, began = self._pendingTimedCalls, self.seconds()
        while not self._justStopped and calls and calls[0].time <= (now := self.seconds()):
            if now - began >= TIMERS_S:
                return                                      # the base class comes back at once
            self._begin(heapq.heappop(calls))
        super().runUntilCurrent()                           # housekeeping, and the end

    def _begin(self, call: Any) -> None:
        if call.cancelled:
            self._cancellations -= 1
        elif call.delayed_time > 0:                         # it was put off after it had been put in its place
            call.activate_delay()
            heapq.heappush(self._pendingTimedCalls, call)
        else:
            with _log.failuresHandled("a timed call failed"):
                call.called = 1
                call.func(*call.args, **call.kw)
