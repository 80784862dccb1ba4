"""Calls one concentrator and calls again: for those that cannot call us. It speaks first all the same.

It is not called while its link is up some other way; after a break the waits grow, with jitter, up to a quarter of an
hour.
"""

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.drivers.backoff import Backoff
from scada.drivers.dmesh.listener import DmlpFactory
from scada.drivers.dmesh.transport import Connection
from scada.timers import cancel

log = Logger()

FIRST_WAIT_S: Final = 2.0               # real time
LONGEST_WAIT_S: Final = 900.0
LOOK_AGAIN_S: Final = 60.0              # while its link is up some other way


class Caller:
    """Keeps one concentrator connected until it is stopped."""

    def __init__(
        self, reactor: Any, endpoint: Any, link_id: int, name: str, factory: DmlpFactory, up: Callable[[], bool],
        backoff: Backoff | None = None, wrap: Callable[[Connection], Any] = lambda connection: connection,
    ) -> None:
        self._reactor, self._endpoint, self._link_id, self._name = reactor, endpoint, link_id, name
        self._connections, self._up, self._wrap = factory, up, wrap
        self._backoff = backoff or Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._factory = _Made(self._made)
        self._timer: Any = None
        self._dialling: Deferred[Any] | None = None
        self._stopped = False
        self._said = ""
        self.failures = 0

    def start(self) -> None:
        """Call; then go on by itself."""
        self._timer = None
        if self._up():
            self._timer = self._reactor.callLater(LOOK_AGAIN_S, self.start)
            return
        self._dialling = self._endpoint.connect(self._factory)
        self._dialling.addCallbacks(self._connected, self._failed)

    def stop(self) -> None:
        """Call no more; connections are closed by their keeper."""
        self._stopped = True
        cancel(self._timer)
        if self._dialling is not None:
            self._dialling.cancel()

    def _made(self) -> Any:
        connection = self._connections.connection(self._link_id)
        if connection is not None:
            connection.on_gone = self._gone
            return self._wrap(connection)
        return None

    def _connected(self, connection: Any) -> None:
        self._dialling, self._said = None, ""

    def _failed(self, failure: Failure) -> None:
        self._dialling = None
        self.failures += 1
        if not failure.check(CancelledError) and (why := failure.getErrorMessage()) != self._said:
            self._said = why                                # one line per change of state
            log.warn("{name} cannot be called: {why}", name=self._name, why=why)
        self._again()

    def _gone(self, connection: Connection) -> None:
        if connection.proved:
            self._backoff.reset()
        self._again()

    def _again(self) -> None:
        if not self._stopped:
            self._timer = self._reactor.callLater(self._backoff.next(), self.start)


class _Made(Factory):
    """Builds what a function gives; None where there are too many connections."""

    noisy = False

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def buildProtocol(self, addr: object) -> Any:
        return self._make()


def endpoint(reactor: Any, host: str, port: int) -> HostnameEndpoint:
    """Where a concentrator listens, by name or address."""
    return HostnameEndpoint(reactor, host, port)
