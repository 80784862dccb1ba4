"""Answers that leave at once: over real sockets, in order, whether or not the peer reads."""

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import Protocol

from scada.drivers.dmesh.prompt import PromptServer


class Watching:
    """A reactor that only notes who wants to write."""

    def __init__(self) -> None:
        self.writers: list[Any] = []

    def addReader(self, one: Any) -> None:
        pass

    def removeReader(self, one: Any) -> None:
        pass

    def addWriter(self, one: Any) -> None:
        self.writers.append(one)

    def removeWriter(self, one: Any) -> None:
        self.writers = [other for other in self.writers if other is not one]


def pair() -> tuple[PromptServer, socket.socket, Watching]:
    listening = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listening.getsockname())
    ours, address = listening.accept()
    listening.close()
    ours.setblocking(False)
    reactor = Watching()
    port: Any = tcp.Port(0, None, reactor=reactor)
    port._realPortNumber = 0
    return PromptServer(ours, Protocol(), address, port, 1, reactor), theirs, reactor


def test_what_the_socket_takes_leaves_in_the_same_turn() -> None:
    """Nobody is asked to watch the socket."""
    server, peer, reactor = pair()
    server.write(b"one")
    server.write(b"two")

    assert peer.recv(100) == b"onetwo"
    assert reactor.writers == []
    peer.close()


def test_what_it_does_not_take_follows_in_order() -> None:
    """Megabytes to a peer that does not read yet: all of it arrives, nothing twice, nothing overtaken."""
    server, peer, reactor = pair()
    pieces = [bytes([number]) * 100_000 for number in range(200)]
    for piece in pieces:
        server.write(piece)
    waits = list(reactor.writers)
    got = bytearray()
    peer.settimeout(5)
    while len(got) < sum(map(len, pieces)):
        got += peer.recv(1 << 20)
        if reactor.writers:
            server.doWrite()
    server.write(b"end")

    assert waits
    assert bytes(got) == b"".join(pieces)
    assert peer.recv(100) == b"end"
    assert reactor.writers == []
    peer.close()


def test_a_connection_that_is_lost_is_found_out_the_usual_way() -> None:
    """Writing raises nothing; the loop is asked to write, and then learns it."""
    server, peer, reactor = pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    peer.close()
    for _ in range(3):
        server.write(b"x")

    assert reactor.writers
    assert server.doWrite() is not None
