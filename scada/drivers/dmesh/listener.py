"""Makes connections within the limits, so that strangers cannot cost more than a bounded number of them.

A newcomer displaces the unproven connection that has waited longest without a word: a flood cannot keep the real field
out.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from scada.drivers.dmesh.fairness import FairTurns
from scada.drivers.dmesh.machine import State
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.session import Gate, Terms
from scada.drivers.dmesh.transport import Connection, Hearer
from scada.timers import Deadlines, cancel


class WrappedFactory(Factory):
    """Another door to the same connections, with something around each."""

    noisy = False

    def __init__(self, inner: "DmlpFactory", wrap: Callable[[Connection], Any]) -> None:
        self._inner, self._wrap = inner, wrap

    def buildProtocol(self, addr: IAddress | None) -> Any:
        connection = self._inner.connection()
        return None if connection is None else self._wrap(connection)


class DmlpFactory(Factory):
    """Knows the connections that are open."""

    noisy = False

    def __init__(
        self, reactor: Any, hearer: Hearer, gate: Gate, terms: Terms, max_connections: int, max_unproven: int
    ) -> None:
        self.reactor, self.hearer = reactor, hearer
        self.turns, self.deadlines = FairTurns(reactor), Deadlines(reactor)
        self._gate, self._terms = gate, terms
        self._max_connections, self._max_unproven = max_connections, max_unproven
        self.open: set[Connection] = set()
        self._unproven: dict[Connection, None] = {}         # in the order they came
        self.counts: Counter[str] = Counter()
        self._all_gone: Deferred[None] | None = None

    @property
    def unproven(self) -> int:
        return len(self._unproven)

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:
        return self.connection()

    def connection(self, expected: int | None = None) -> Connection | None:
        """A new one, if there is room; where we called somebody, only that link id is `expected`."""
        self.counts["accepted"] += 1
        if len(self._unproven) >= self._max_unproven:
            self.counts["displaced"] += 1
            self._displaced().close(Reason.FULL, "too many connections without a proof")
        if len(self.open) >= self._max_connections:
            self.counts["full"] += 1
            return None
        connection = Connection(self, self._gate, self._terms, expected)
        self.open.add(connection)
        self._unproven[connection] = None
        return connection

    def _displaced(self) -> Connection:
        """The one that has waited longest without HELLO, or longest at all."""
        for connection in self._unproven:
            if connection.session.state is not State.PROVING:
                return connection
        return next(iter(self._unproven))

    def settled(self, connection: Connection) -> None:
        """It proved itself or was closed: it no longer counts as unproven."""
        self._unproven.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        self.open.discard(connection)
        self._unproven.pop(connection, None)
        if not self.open and self._all_gone is not None:
            gone, self._all_gone = self._all_gone, None
            gone.callback(None)

    async def close_all(self, reason: Reason, within: float) -> None:
        """Say goodbye on every connection and wait until the last is gone; what does not close `within` s is cut."""
        if not self.open:
            self.turns.stop()
            return
        self._all_gone = gone = Deferred[None]()
        for connection in tuple(self.open):
            connection.close(reason)
        cut = self.reactor.callLater(within, self._cut_all)
        await gone
        cancel(cut)
        self.turns.stop()

    def _cut_all(self) -> None:
        for connection in tuple(self.open):
            connection.transport.abortConnection()
