"""How a simulated concentrator dials, keeps alive, backs off and hangs up: Twisted's test clock, no real socket."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from scada.drivers.dmesh.messages import Close, Ping, Pong
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.simulator.client import FIRST_WAIT_S, HANDSHAKE_S, LONGEST_WAIT_S, ConcentratorClient
from scada.drivers.dmesh.simulator.session import Phase
from tests.drivers.dmesh.test_simulator_session import KEY, T0, bench
from tests.simulate.peer import Peer


class Line:
    """An endpoint whose every dial the test decides."""

    def __init__(self) -> None:
        self.dials: list[tuple[Any, Deferred[Any]]] = []

    def connect(self, factory: Any) -> "Deferred[Any]":
        waiting: Deferred[Any] = Deferred()
        self.dials.append((factory, waiting))
        return waiting

    def refuse(self) -> None:
        self.dials[-1][1].errback(Failure(ConnectionRefusedError()))

    def accept(self) -> tuple[Protocol, StringTransport]:
        factory, waiting = self.dials[-1]
        protocol, transport = factory.buildProtocol(None), StringTransport()
        protocol.makeConnection(transport)
        waiting.callback(protocol)
        return protocol, transport


class Desk:
    """A client on a test clock, and the line it dials on."""

    def __init__(self) -> None:
        self.clock, self.line = Clock(), Line()
        self.client = ConcentratorClient(bench().state, self.clock, self.line, lambda: T0, dice=lambda: 0.5)
        self.client.start()

    def up(self) -> tuple[Any, StringTransport, Callable[[], None], Peer]:
        """Accept the dial and shake hands; the third value carries what was written either way."""
        protocol, transport = self.line.accept()
        replies: list[bytes] = []
        peer = Peer(KEY, replies.append)

        def exchange() -> None:
            while transport.value() or replies:
                sent = transport.value()
                transport.clear()
                peer.receive(sent)
                answers, replies[:] = b"".join(replies), []
                protocol.dataReceived(answers)

        exchange()
        return protocol, transport, exchange, peer


def test_a_refused_dial_is_tried_again_later_and_later() -> None:
    """Waits double from half a second up to the longest; nobody is hammered."""
    desk = Desk()
    waits = []
    for _ in range(8):
        desk.line.refuse()
        dials, waited = len(desk.line.dials), 0.0
        while len(desk.line.dials) == dials:
            desk.clock.advance(0.25)
            waited += 0.25
        waits.append(waited)

    assert waits[:4] == [FIRST_WAIT_S, 1.0, 2.0, 4.0]
    assert waits[-1] == LONGEST_WAIT_S


def test_after_a_session_the_wait_is_short_again() -> None:
    """A server that was there a moment ago is dialled soon."""
    desk = Desk()
    for _ in range(5):
        desk.line.refuse()
        desk.clock.advance(LONGEST_WAIT_S)
    protocol, *_ = desk.up()
    protocol.connectionLost(Failure(ConnectionDone()))
    dials = len(desk.line.dials)
    desk.clock.advance(FIRST_WAIT_S)

    assert len(desk.line.dials) == dials + 1


def test_a_server_that_asks_for_time_gets_it() -> None:
    """CLOSE with retry_after: no dial before, however good the session was; ten times quicker than a real one."""
    desk = Desk()
    protocol, _, exchange, peer = desk.up()
    peer.send(Close(Reason.STORAGE, "the disk is full", 30))
    exchange()
    protocol.connectionLost(Failure(ConnectionDone()))
    desk.clock.advance(2.9)
    early = len(desk.line.dials)
    desk.clock.advance(0.2)

    assert early == 1
    assert len(desk.line.dials) == 2


def test_silence_is_asked_about_twice_and_then_ends_the_link() -> None:
    """PING after t3, PING after another, then the connection is given up."""
    desk = Desk()
    _, transport, _, peer = desk.up()
    desk.clock.advance(20)
    desk.clock.advance(20)
    peer.receive(transport.value())
    assert len(peer.of(Ping)) == 2
    assert not transport.disconnecting

    desk.clock.advance(20)
    assert transport.disconnecting


def test_an_answer_keeps_the_link_alive() -> None:
    """A server that answers PING is not given up, however long nothing else is said."""
    desk = Desk()
    _, transport, exchange, peer = desk.up()
    peer.on_packet = lambda packet: peer.send(Pong(packet.message.time, int(T0), True)) if isinstance(
        packet.message, Ping
    ) else None
    for _ in range(10):
        desk.clock.advance(20)
        exchange()

    assert len(peer.of(Ping)) >= 9
    assert not transport.disconnecting


def test_a_server_that_never_answers_hello_is_given_up() -> None:
    """The handshake has a time limit of its own."""
    desk = Desk()
    _, transport = desk.line.accept()
    desk.clock.advance(HANDSHAKE_S)

    assert transport.disconnecting


@pytest.mark.parametrize("when", ["dialling", "waiting", "up"])
def test_stop_ends_everything_whenever_it_comes(when: str) -> None:
    """No delayed call is left, no dial follows; a session says goodbye first."""
    desk = Desk()
    stopped: list[object] = []
    if when == "waiting":
        desk.line.refuse()
    if when == "up":
        protocol, transport, _, peer = desk.up()
    desk.client.stop().addCallback(stopped.append)
    if when == "up":
        peer.receive(transport.value())
        assert len(peer.of(Close)) == 1
        assert transport.disconnecting
        protocol.connectionLost(Failure(ConnectionDone()))

    assert stopped == [None]
    assert desk.clock.getDelayedCalls() == []
    desk.clock.advance(60)
    assert len(desk.line.dials) == 1


def test_a_lost_connection_takes_the_session_from_the_state() -> None:
    """What happens meanwhile is kept for the next session, not written to a dead one."""
    desk = Desk()
    protocol, *_ = desk.up()
    assert protocol.session.phase is Phase.UP
    protocol.connectionLost(Failure(ConnectionDone()))

    assert desk.client.state.listener is None
    assert desk.client.sessions == 1
