"""A reactor whose clock moves only when it is told to, and whose sockets are real: hours over TCP in a second.

Between two steps of the clock everything that is under way on the loopback is delivered, and every thread's result is
taken; so what happens depends on the scenario alone, not on the machine's speed.
"""

import contextlib
import queue
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

CHUNK: Final = 1 << 14                      # bytes that are read at once
FULL: Final = 1 << 16                       # unsent bytes from which a producer is asked to wait
PATIENCE_S: Final = 20.0                    # real time; only a bug waits that long
HOME: Final = "127.0.0.1"


class Wire:
    """One end of a TCP connection, as a Twisted transport."""

    def __init__(self, reactor: "VirtualReactor", sock: socket.socket) -> None:
        sock.setblocking(False)
        self._reactor, self._sock = reactor, sock
        self.here, self.there = sock.getsockname(), sock.getpeername()
        self.protocol: Any = None
        self.sent = self.received = 0
        self.open = True
        self._out, self._closing, self._paused = b"", False, False
        self._lost: type[Exception] | None = None
        self._producer: Any = None

    # ------------------------------------------------------------------ for the protocol
    def write(self, data: bytes) -> None:
        if self.open and not self._closing:
            self._out += data
            self._flush()

    def loseConnection(self) -> None:
        self._closing = True

    def abortConnection(self) -> None:
        if self.open:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._close(ConnectionAborted)

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", *self.there)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", *self.here)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    # ------------------------------------------------------------------ for the reactor
    def step(self) -> bool:
        """Send what waits, take what came, tell of the end; whether anything happened."""
        if self._lost is not None:
            why, self._lost = self._lost, None
            self.protocol.connectionLost(Failure(why()))
            return True
        if not self.open:
            return False
        moved = self._flush() or (not self._closing and self._read())
        if self.open and self._closing and not self._out:
            with contextlib.suppress(OSError):              # the other end may be gone already
                self._sock.shutdown(socket.SHUT_RDWR)
            self._close(ConnectionDone)
            return True
        return moved

    def _read(self) -> bool:
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            self._close(ConnectionLost)
            return True
        if not data:
            self._close(ConnectionDone)
            return True
        self.received += len(data)
        self.protocol.dataReceived(data)
        return True

    def _flush(self) -> bool:
        if not self._out or not self.open:
            return False
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(ConnectionLost)
            return True
        self._out = self._out[sent:]
        self.sent += sent
        wait = len(self._out) > FULL
        if self._producer is not None and wait is not self._paused and (wait or not self._out):
            self._paused = wait
            (self._producer.pauseProducing if wait else self._producer.resumeProducing)()
        return sent > 0

    def _close(self, why: type[Exception]) -> None:
        self.open, self._lost = False, why
        self._sock.close()


@attrs.define(eq=False)
class Listening:
    """A port that is listened on; the system chose its number."""

    sock: socket.socket
    factory: Any

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", *self.sock.getsockname())

    def stopListening(self) -> "Deferred[None]":
        self.sock.close()
        return succeed(None)


class VirtualReactor(Clock):
    """What services of this project ask of a reactor: delayed calls, calls from threads, TCP."""

    def __init__(self) -> None:
        super().__init__()
        self._wires: list[Wire] = []
        self.listening: list[Listening] = []
        self._calls: queue.Queue[Callable[[], Any]] = queue.Queue()

    def callFromThread(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        self._calls.put(lambda: function(*args, **named))

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Listening:
        """On the loopback, at a free port whatever number is asked for."""
        sock = socket.create_server((HOME, 0), backlog=backlog)
        sock.setblocking(False)
        self.listening.append(made := Listening(sock, factory))
        return made

    def run_until_still(self, busy: Callable[[], bool] = lambda: False) -> None:
        """Until nothing is under way: on the sockets, from threads, and for whoever else says that he is busy."""
        end = time.monotonic() + PATIENCE_S
        while True:
            if self._step():
                continue
            if time.monotonic() > end:
                raise TimeoutError("something is under way for ever")
            if self._under_way:
                select.select([one._sock for one in self._wires if one.open], [], [], 0.001)
            elif busy() or not self._calls.empty():
                self._take_call(0.01)                       # only when the network is still: else threads would race it
            else:
                return

    def close(self) -> None:
        """Close every socket that is still open."""
        for port in self.listening:
            port.sock.close()
        for wire in self._wires:
            if wire.open:
                wire._sock.close()

    def _step(self) -> bool:
        moved = self._accept()
        if self.calls and self.calls[0].getTime() <= self.seconds():
            self.advance(0)                                 # what was put off to the next turn
            moved = True
        for wire in tuple(self._wires):
            moved = wire.step() or moved
        self._wires = [one for one in self._wires if one.open or one._lost is not None]
        return moved

    def _take_call(self, seconds: float) -> None:
        try:
            call = self._calls.get(timeout=seconds)
        except queue.Empty:
            return
        call()

    def _accept(self) -> bool:
        some = False
        for port in self.listening:
            while port.sock.fileno() >= 0:
                try:
                    sock, _ = port.sock.accept()
                except BlockingIOError:
                    break
                some = True
                self._made(sock, port.factory)
        return some

    def _made(self, sock: socket.socket, factory: Any) -> Any:
        wire = Wire(self, sock)
        protocol = wire.protocol = factory.buildProtocol(wire.getPeer())
        if protocol is None:
            sock.close()
            return None
        self._wires.append(wire)
        protocol.makeConnection(wire)
        return protocol

    @property
    def _under_way(self) -> bool:
        """Bytes that were sent and not read, and ends that were closed and not noticed."""
        ends = {(one.here, one.there): one for one in self._wires if one.open}
        for one in ends.values():
            other = ends.get((one.there, one.here))
            if other is None or one.sent != other.received:
                return True
        return False


@attrs.frozen
class VirtualEndpoint:
    """Reaches a port of the same reactor."""

    reactor: VirtualReactor
    port: Listening

    def connect(self, factory: Any) -> "Deferred[Any]":
        if self.port.sock.fileno() < 0:
            return fail(ConnectError())
        sock = socket.create_connection(self.port.sock.getsockname())
        return succeed(self.reactor._made(sock, factory))
