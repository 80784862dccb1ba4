"""The server calls a concentrator: it still speaks first, is called again later and later, and only it is let in."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.python.failure import Failure

from scada.drivers.backoff import Backoff
from scada.drivers.dmesh.caller import Caller
from scada.drivers.dmesh.messages import Close
from scada.drivers.dmesh.numbers import Reason
from tests.drivers.dmesh.peers import LINK_ID, Bench, Peer, Socket, Wire, bench, hello


class Line:
    """An endpoint whose every call the test decides."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Deferred[Any]]] = []

    def connect(self, factory: Any) -> "Deferred[Any]":
        waiting: Deferred[Any] = Deferred()
        self.calls.append((factory, waiting))
        return waiting

    def refuse(self) -> None:
        self.calls[-1][1].errback(Failure(ConnectionRefusedError()))

    def accept(self, peer: Peer | None = None) -> Wire:
        """The called concentrator's end."""
        factory, waiting = self.calls[-1]
        wire = Wire.__new__(Wire)
        wire.peer, wire.modules, wire.generation, wire.replies = peer or Peer(), {1: None}, 1, {}
        wire.connection = factory.buildProtocol(None)
        wire.transport = Socket(wire)
        wire.connection.makeConnection(wire.transport)
        waiting.callback(wire.connection)
        return wire


def calling(tmp_path: Path) -> tuple[Bench, Line, Caller]:
    site, line = bench(tmp_path), Line()
    caller = Caller(
        site.reactor, line, LINK_ID, "C01", site.service.factory, lambda: site.service.link_up(LINK_ID),
        Backoff(2.0, 900.0, lambda: 0.0),
    )
    caller.start()
    return site, line, caller


def test_the_called_concentrator_speaks_first_and_its_link_comes_up(tmp_path: Path) -> None:
    """HELLO, CHALLENGE, AUTH, READY as ever: who dials changes nothing."""
    site, line, _ = calling(tmp_path)
    wire = line.accept()
    silent = wire.transport.value() == b""
    wire.shake()

    assert silent
    assert site.service.link_up(LINK_ID)


def test_a_refused_call_is_made_again_later_and_later(tmp_path: Path) -> None:
    """Waits double up to a quarter of an hour; a link that was up is called again soon."""
    site, line, caller = calling(tmp_path)
    waits = []
    for _ in range(12):
        line.refuse()
        (timer,) = [call for call in site.reactor.getDelayedCalls() if call.func == caller.start]
        waits.append(timer.getTime() - site.reactor.seconds())
        site.reactor.advance(waits[-1])
    wire = line.accept().shake()
    wire.connection.connectionLost(Failure(ConnectionDone()))
    calls = len(line.calls)
    site.reactor.advance(1.0)

    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == 450.0
    assert len(line.calls) == calls + 1


def test_whoever_else_answers_there_is_refused_though_its_key_is_good(tmp_path: Path) -> None:
    """An address that was given to another device must not mix up two subnets."""
    site, line, _ = calling(tmp_path)
    site.keys.add_link(0x99, bytes(16))
    wire = line.accept(Peer(hello(link_id=0x99), bytes(16)))
    wire.connection.dataReceived(wire.peer.greeting())
    wire.read()

    assert wire.said(Close)[0].reason == Reason.UNKNOWN_LINK
    assert "00010203 was called" in wire.said(Close)[0].text
    assert not site.service.link_up(0x99)


def test_a_link_that_is_up_is_not_called(tmp_path: Path) -> None:
    """It may have called us meanwhile; once that link is gone, it is called again."""
    site, line, _ = calling(tmp_path)
    inbound = Wire(site.service).shake()
    line.refuse()
    site.reactor.advance(2.0)
    while_up = len(line.calls)
    inbound.connection.connectionLost(Failure(ConnectionDone()))
    site.reactor.advance(60.0)

    assert while_up == 1
    assert len(line.calls) == 2


def test_a_call_replaces_a_link_only_after_its_proof(tmp_path: Path) -> None:
    """The same rule as for those who call us."""
    site, line, _ = calling(tmp_path)
    called = line.accept()
    inbound = Wire(site.service).shake()
    before = inbound.connection.up
    called.shake()
    inbound.read()

    assert before
    assert not inbound.connection.up
    assert inbound.said(Close)[0].reason == Reason.REPLACED


def test_nobody_is_called_after_the_stop(tmp_path: Path) -> None:
    """Neither the call under way nor the next."""
    site, line, caller = calling(tmp_path)
    caller.stop()
    site.reactor.advance(2000.0)

    assert len(line.calls) == 1
    assert line.calls[0][1].called
