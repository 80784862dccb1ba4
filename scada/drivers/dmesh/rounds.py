"""Looks after everybody every few seconds, some a turn of the loop: a city's concentrators together would hold it."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from scada.timers import cancel

SOME: Final = 100                       # a turn
PAUSE_S: Final = 0.02                   # real time between two such turns
PERIOD_S: Final = 5.0                   # real time between two rounds; one that takes longer delays the next
log = Logger()


class Rounds:
    """`everybody` by link id, asked anew each round; `look` deals with some of them."""

    def __init__(
        self, reactor: Any, everybody: Callable[[], Iterable[int]], look: Callable[[Sequence[int]], None]
    ) -> None:
        self._reactor, self._everybody, self._look = reactor, everybody, look
        self._left: deque[int] = deque()
        self._next: Any = None
        self._loop = LoopingCall(self._begin)
        self._loop.clock = reactor

    def start(self) -> None:
        self._loop.start(PERIOD_S, now=True).addErrback(lambda failure: log.failure("the driver's rounds", failure))

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()
        cancel(self._next)

    def _begin(self) -> None:
        if not self._left:
            self._left.extend(dict.fromkeys(self._everybody()))
            self._go_on()

    def _go_on(self) -> None:
        self._look([self._left.popleft() for _ in range(min(SOME, len(self._left)))])
        if self._left:
            self._next = self._reactor.callLater(PAUSE_S, self._go_on)
