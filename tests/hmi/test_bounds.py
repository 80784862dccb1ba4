"""Bounds of the HMI's port: whoever only holds connections or sessions cannot keep others out."""

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from hmi.resources import BoundedFactory, site
from hmi.sessions import MAX_PER_ACCOUNT, Sessions
from scada.commands import Origin
from tests.fakes import site_clock
from tests.hmi.fakes import World


class Endless(Resource):
    """A live stream: it is being served as long as its visitor is there."""

    isLeaf = True                       # noqa: N815 — twisted's name

    def render_GET(self, request: Any) -> Any:
        request.write(b"hello")
        return NOT_DONE_YET


@pytest.fixture
def factory() -> BoundedFactory:
    made: Any = site(Endless())         # type: ignore[arg-type]  # only its paths differ from the real root
    made.timeOut = None                 # no timer of the real reactor
    return BoundedFactory(made, 2)


def visit(factory: BoundedFactory, data: bytes = b"") -> StringTransport | None:
    protocol = factory.buildProtocol(None)
    if protocol is None:
        return None
    transport = StringTransport()
    protocol.makeConnection(transport)
    if data:
        protocol.dataReceived(data)
    return transport


GET = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_newcomer_displaces_the_oldest_connection_on_which_nothing_is_served(factory: BoundedFactory) -> None:
    """A byte a minute on fifteen hundred connections kept everybody out."""
    served, slow = visit(factory, GET), visit(factory, b"GET / HT")
    newcomer = visit(factory, GET)

    assert served is not None
    assert slow is not None
    assert newcomer is not None
    assert not served.disconnected
    assert slow.disconnected
    assert b"hello" in newcomer.value()
    assert len(factory.protocols) == 2


def test_where_every_connection_is_being_served_a_newcomer_is_refused_and_counted(factory: BoundedFactory) -> None:
    """Nobody who is being served is thrown out."""
    first, second = visit(factory, GET), visit(factory, GET)

    assert visit(factory, GET) is None
    assert factory.refused == 1
    assert not first.disconnected       # type: ignore[union-attr]
    assert not second.disconnected      # type: ignore[union-attr]


def test_one_account_cannot_push_out_the_sessions_of_others(reactor: Clock) -> None:
    """A viewer's script that logs in for ever ends its own oldest sessions, not the dispatcher's."""
    world = World(site_clock(reactor), reactor)
    sessions = Sessions(world.services.clock, 60)
    dispatcher = sessions.open(world.users.all["dispatcher"], Origin.HMI)
    reactor.advance(1)
    tokens = [sessions.open(world.users.all["viewer"], Origin.CLI) for _ in range(3000)]

    assert sessions.find(dispatcher) is not None
    assert sessions.find(tokens[-1]) is not None
    assert sessions.find(tokens[0]) is None
    assert len(sessions) == MAX_PER_ACCOUNT + 1
