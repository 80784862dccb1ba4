"""Dials the server and dials again: the thin Twisted shell of a simulated concentrator. Decides nothing.

Everything here is real time: connections, keep-alive, back-off. A real concentrator waits up to 60 s before it dials
again and backs off to 15 min; a simulated one is quicker, so that a demo comes back while somebody looks.
"""

import random
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.drivers.dmesh.simulator.line import Line
from scada.drivers.dmesh.simulator.session import ConcentratorSession, Phase
from scada.drivers.dmesh.simulator.state import ConcentratorState
from scada.timers import cancel

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0
QUICKER: Final = 10.0                       # of the time a server asks it to stay away
HANDSHAKE_S: Final = 10.0


class ConcentratorProtocol(Protocol):
    """Moves bytes between a connection and a session."""

    def __init__(self, client: "ConcentratorClient | CalledConcentrator") -> None:
        self._client = client
        self.session = ConcentratorSession(
            client.state, secrets.token_bytes(16), self._write, self._end,
            lambda: client.state.time(client.now()), client.reactor.callLater,
            real=time.time,
        )
        self._missed = self._number = 0
        self._timer: Any = None

    def connectionMade(self) -> None:
        self._number = self._client.line.opened()
        self._timer = self._client.reactor.callLater(HANDSHAKE_S, self._silence)
        self.session.start()

    def dataReceived(self, data: bytes) -> None:
        was_up = self.session.phase is Phase.UP
        for piece in self._client.line.received(data, self._number):
            self.session.receive(piece)
            self._missed = 0
        if self.session.phase is Phase.UP:
            self._timer.reset(self.session.t3)
            if not was_up:
                self._client.session_up(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        cancel(self._timer)
        self._client.line.note(self._number, "close")
        self.session.lost()
        self._client.connection_lost(self, reason.getErrorMessage(), self.session.retry_after)

    def _silence(self) -> None:
        """Nothing came for t3: ask; after two unanswered questions, or no handshake in time, the link is down."""
        if self.session.phase is not Phase.UP or self._missed >= 2:
            self._end("the server is silent")
            return
        self._missed += 1
        self.session.ping()
        self._timer = self._client.reactor.callLater(self.session.t3, self._silence)

    def _write(self, data: bytes) -> None:
        line, now = self._client.line, self._client.reactor.seconds()
        for piece in line.sent(data, self._number):
            if wait := line.wait(now, len(piece)):
                self._client.reactor.callLater(wait, self._stream.write, piece)
            else:
                self._stream.write(piece)

    def _end(self, reason: str) -> None:
        self._client.ended(reason)
        self._stream.loseConnection()

    @property
    def _stream(self) -> Any:
        """Twisted's interfaces are not annotated for what a TCP transport can do."""
        return self.transport

    def hang_up(self) -> None:
        """Say goodbye and close."""
        self.session.goodbye()
        self._stream.loseConnection()

    def cut(self) -> None:
        """The line breaks without a word."""
        self._stream.abortConnection()


class ConcentratorClient:
    """Keeps one concentrator connected until it is stopped."""

    def __init__(
        self,
        state: ConcentratorState,
        reactor: Any,
        endpoint: Any,
        now: Callable[[], float],
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.state, self.reactor, self.now = state, reactor, now
        state.configuration.run_by(time.monotonic)
        self._endpoint = endpoint
        self._dice = dice
        self._wait = FIRST_WAIT_S
        self._retry: Any = None
        self._dialling: Deferred[Any] | None = None
        self._protocol: ConcentratorProtocol | None = None
        self._stopped: Deferred[None] | None = None
        self._said = ""
        self._held = False                  # an outage: it does not dial
        self.line = Line()
        self.sessions = 0
        self.log = Logger(f"concentrator.{state.link_id:08x}")

    def start(self) -> None:
        """Dial; then go on by itself."""
        self._dial()

    def stop(self) -> "Deferred[None]":
        """Say goodbye, hang up, dial no more."""
        cancel(self._retry)
        self._stopped = Deferred()
        if self._protocol is not None:
            self._protocol.hang_up()
        elif self._dialling is not None:
            self._dialling.cancel()
        else:
            return succeed(None)
        return self._stopped

    # ------------------------------------------------------------------------------------------- what befalls it
    @property
    def protocol(self) -> ConcentratorProtocol | None:
        """The connection there is."""
        return self._protocol

    def cut(self) -> None:
        """The connection breaks without a word; it dials again by itself."""
        if self._protocol is not None:
            self._protocol.cut()

    def hold(self) -> None:
        """An outage: the connection breaks, and nobody dials until `release`."""
        self._held = True
        cancel(self._retry)
        self.cut()

    def release(self) -> None:
        """The outage is over."""
        self._held = False
        if self._protocol is None and self._dialling is None and self._stopped is None:
            cancel(self._retry)
            self._wait = FIRST_WAIT_S
            self._dial()

    def dial_again(self) -> None:
        """A second connection of the same link id, while the first is up: whose proof holds is the link from then on."""
        if self._dialling is None and self._stopped is None:
            self._dial()

    # ------------------------------------------------------------------------------------- from the protocol
    def session_up(self, protocol: ConcentratorProtocol) -> None:
        self._wait = FIRST_WAIT_S
        self.sessions += 1
        self._say("session up")

    def ended(self, reason: str) -> None:
        self._say(reason)

    def connection_lost(self, protocol: ConcentratorProtocol, reason: str, retry_after: float) -> None:
        if self._protocol not in (protocol, None):
            return                          # it was replaced by a second one
        self._protocol = None
        self._say(reason)
        self._again(min(retry_after / QUICKER, LONGEST_WAIT_S))

    # ------------------------------------------------------------------------------------------------ dialling
    def _dial(self) -> None:
        factory: Any = Factory.forProtocol(lambda: ConcentratorProtocol(self))
        self._dialling = self._endpoint.connect(factory)
        self._dialling.addCallbacks(self._connected, self._refused)

    def _connected(self, protocol: Any) -> None:
        self._dialling = None
        self._protocol = protocol
        if ITCPTransport.providedBy(protocol.transport):
            protocol.transport.setTcpNoDelay(True)

    def _refused(self, failure: Failure) -> None:
        self._dialling = None
        self._say(f"no connection: {failure.getErrorMessage()}")
        self._again()

    def _again(self, least: float = 0.0) -> None:
        if self._stopped is not None:
            if not self._stopped.called:
                self._stopped.callback(None)
            return
        if self._held:
            return
        self._retry = self.reactor.callLater(max(least, self._wait * (0.5 + self._dice())), self._dial)
        self._wait = min(2 * self._wait, LONGEST_WAIT_S)

    def _say(self, text: str) -> None:
        """One line per change of state."""
        if text != self._said:
            self._said = text
            self.log.info("{link:08x}: {text}", link=self.state.link_id, text=text)


class CalledConcentrator:
    """Waits on a port for the server to call, and speaks first then; a newer call displaces one that is up."""

    def __init__(self, state: ConcentratorState, reactor: Any, endpoint: Any, now: Callable[[], float]) -> None:
        self.state, self.reactor, self.now = state, reactor, now
        state.configuration.run_by(time.monotonic)
        self._endpoint = endpoint
        self._port: Any = None
        self._open: set[ConcentratorProtocol] = set()
        self.line = Line()
        self.sessions = 0
        self.log = Logger(f"concentrator.{state.link_id:08x}")

    def start(self) -> "Deferred[Any]":
        """Listen; fires with the port."""
        factory: Any = Factory.forProtocol(self._made)
        return self._endpoint.listen(factory).addCallback(self._listening)      # type: ignore[no-any-return]

    def stop(self) -> "Deferred[None]":
        """Say goodbye, listen no more."""
        for protocol in tuple(self._open):
            protocol.hang_up()
        done: Deferred[None] = succeed(None) if self._port is None else maybeDeferred(self._port.stopListening)
        return done

    def _made(self) -> ConcentratorProtocol:
        protocol = ConcentratorProtocol(self)
        self._open.add(protocol)
        return protocol

    def _listening(self, port: Any) -> Any:
        self._port = port
        return port

    def session_up(self, protocol: ConcentratorProtocol) -> None:
        self.sessions += 1
        self.ended("session up")

    def ended(self, reason: str) -> None:
        self.log.info("{link:08x}: {text}", link=self.state.link_id, text=reason)

    def connection_lost(self, protocol: ConcentratorProtocol, reason: str, retry_after: float) -> None:
        self._open = {one for one in self._open if one.session.phase is not Phase.DOWN}
        self.ended(reason)
