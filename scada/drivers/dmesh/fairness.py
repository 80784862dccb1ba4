"""Shares each turn of the loop among connections: a thousand that speak at once must not hold it for a second.

What is read beyond this turn's time waits on its connection, which stops reading at the second piece: so it costs two
pieces a connection at most, and nobody is overtaken.
"""

from collections import deque
from typing import Any, Final, Protocol

from scada.timers import cancel

BUDGET_S: Final = 0.0025                # of one turn, for reading from all connections together


class Reader(Protocol):
    def go_on(self) -> None:
        """Deal with what was put off."""


class FairTurns:
    """Time is the reactor's, real."""

    def __init__(self, reactor: Any, budget_s: float = BUDGET_S) -> None:
        self._reactor, self._budget = reactor, budget_s
        self._waiting: deque[Reader] = deque()
        self._spent = 0.0
        self._next: Any = None

    @property
    def waiting(self) -> int:
        """Connections that were put off."""
        return len(self._waiting)

    def may(self) -> bool:
        """Whether this turn has time left, and nobody waits who came before."""
        return not self._waiting and self._spent < self._budget

    def spend(self, began: float) -> None:
        """Something was done that began then [s, the reactor's time]."""
        self._spent += self._reactor.seconds() - began
        self._schedule()

    def put_off(self, reader: Reader) -> None:
        """Its turn comes, behind those that wait already."""
        self._waiting.append(reader)
        self._schedule()

    def stop(self) -> None:
        """Nobody is served any more."""
        self._waiting.clear()
        cancel(self._next)

    def _schedule(self) -> None:
        if self._next is None and (self._waiting or self._spent > 0):
            self._next = self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        self._next, self._spent = None, 0.0
        began = self._reactor.seconds()
        while self._waiting and self._reactor.seconds() - began < self._budget:
            self._waiting.popleft().go_on()
        self._spent = self._reactor.seconds() - began
        self._schedule()
