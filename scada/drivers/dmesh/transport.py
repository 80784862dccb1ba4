"""Twisted's side of DMLP: one connection, which moves bytes between its socket and its session.

It decides nothing about the protocol. What a peer that does not read may cost in memory is limited here; how many
peers there may be is the `listener`'s.
"""

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.drivers.dmesh.crypto import KEY
from scada.drivers.dmesh.fairness import FairTurns
from scada.drivers.dmesh.machine import State
from scada.drivers.dmesh.messages import Hello, Message
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.outputs import Closed, Delivered, Output, Send, Up
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.session import Gate, Session, Terms
from scada.timers import Deadline, Deadlines, cancel

log = Logger()
LINGER_S: Final = 5.0                   # real time for the last words to leave before the socket is cut
MOST_UNSENT: Final = 256                # messages written while the peer does not read


class Hearer(Protocol):
    """Who is told what happens on connections (the service)."""

    def connected(self, connection: "Connection", hello: Hello) -> None:
        """A concentrator proved itself."""

    def heard(self, connection: "Connection", delivered: Delivered) -> None:
        """A message of a proven concentrator."""

    def rejected(self, connection: "Connection", what: Rejected) -> None:
        """Something was dropped."""

    def closed(self, connection: "Connection", how: Closed) -> None:
        """The end of any connection, proven or not; exactly once each."""

    def may_speak(self, link_id: int | None) -> bool:
        """Whether a refusal of this link id still gets its CLOSE (they are rate-limited)."""


class Keeper(Protocol):
    """Who made a connection and keeps count of it (the listener)."""

    reactor: Any
    hearer: Hearer
    turns: FairTurns
    deadlines: Deadlines

    def settled(self, connection: "Connection") -> None:
        """It proved itself or was closed: it no longer counts as unproven."""

    def forget(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(TwistedProtocol):
    """One connection, whatever carries it, and its session."""

    transport: Any

    def __init__(self, keeper: Keeper, gate: Gate, terms: Terms, expected: int | None = None) -> None:
        self._keeper = keeper
        self.session = Session(terms, gate, secrets.token_bytes(KEY), keeper.reactor.seconds(), expected)
        self.repeats = False                                # a serial line, where a frame may be lost and no more than that
        self.on_gone: Callable[[Connection], None] = lambda connection: None
        self.peer = ""
        self._timer: Deadline | None = None
        self._cut: Any = None
        self._gone = self._choked = self.proved = False
        self._unsent = 0
        self._todo: deque[Output] = deque()
        self._busy = self._paused = False
        self._unread: list[bytes] = []                      # put off until the loop has time

    # ------------------------------------------------------------------ for the service
    @property
    def reactor(self) -> Any:
        """Whose loop it runs in."""
        return self._keeper.reactor

    @property
    def up(self) -> bool:
        return self.session.state is State.UP

    def send(self, message: Message, corr: int = 0) -> None:
        """Send without an answer; nothing happens where the session is not up."""
        self._carry_out(self.session.send(message, corr))

    def request(self, message: Message) -> int:
        """Send a request; returns the corr its answer will carry."""
        corr, outputs = self.session.request(message)
        self._carry_out(outputs)
        return corr

    def answer(self, corr: int, message: Message) -> None:
        """Answer a request of the peer."""
        self._carry_out(self.session.answer(corr, message))

    def close(self, reason: Reason, text: str = "", retry_after: int = 0) -> None:
        """End the session from our side."""
        self._carry_out(self.session.close(reason, text, retry_after))

    # ------------------------------------------------------------------ twisted
    def connectionMade(self) -> None:
        self.peer = str(getattr(self.transport.getPeer(), "host", ""))
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        self._arm()

    def dataReceived(self, data: bytes) -> None:
        if self._unread or not self._keeper.turns.may():
            self._put_off(data)
            return
        began = self._keeper.reactor.seconds()
        self._read(data)
        self._keeper.turns.spend(began)

    def go_on(self) -> None:
        """Its turn has come: what was put off, and then reading goes on."""
        data, self._unread = b"".join(self._unread), []
        try:
            self._read(data)
        except Exception:                                   # as Twisted does where it calls itself: the others go on
            log.failure("a connection could not be read")
            self.transport.abortConnection()
        if self._paused and not self._gone:
            self._paused = False
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._unread:                                    # it was said before the connection broke
            self._read(b"".join(self._unread))
            self._unread = []
        self._gone = True
        cancel(self._cut)
        self._keeper.forget(self)
        self._carry_out(self.session.lost("the connection broke"))
        self.on_gone(self)

    def pauseProducing(self) -> None:
        self._choked = True

    def resumeProducing(self) -> None:
        self._choked, self._unsent = False, 0

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    # ------------------------------------------------------------------ private
    def _read(self, data: bytes) -> None:
        self._carry_out(self.session.receive(data, self._keeper.reactor.seconds()))

    def _put_off(self, data: bytes) -> None:
        """What was read waits; a second piece ends the reading, which costs more than most of what is put off."""
        if not self._unread:
            self._keeper.turns.put_off(self)
        elif not self._paused and hasattr(self.transport, "pauseProducing"):
            self._paused = True
            self.transport.pauseProducing()
        self._unread.append(data)

    def _carry_out(self, outputs: list[Output]) -> None:
        """In the order they were made, also when the service answers from inside: sealed counters must leave in order."""
        self._todo.extend(outputs)
        if self._busy:
            return
        self._busy = True
        try:
            while self._todo:
                self._do(self._todo.popleft())
        finally:
            self._busy = False
        self._arm()

    def _do(self, output: Output) -> None:
        hearer = self._keeper.hearer
        match output:
            case Send(data=data):
                self._write(data)
            case Up(hello=hello):
                self.proved = True
                self._keeper.settled(self)
                hearer.connected(self, hello)
            case Delivered():
                hearer.heard(self, output)
            case Rejected():
                hearer.rejected(self, output)
            case Closed():
                self._finish()
                hearer.closed(self, output)

    def _write(self, data: bytes) -> None:
        if self._gone or self._muted():
            return
        if self._choked:
            self._unsent += 1
            if self._unsent > MOST_UNSENT:                  # it proves, sends and never reads: let go of it
                self.transport.abortConnection()
                return
        self.transport.write(data)

    def _muted(self) -> bool:
        """Whether these are the last words to a stranger whose kind was refused too often of late."""
        hello = self.session.hello
        refused = self.session.state is State.CLOSED and not self.proved
        return refused and not self._keeper.hearer.may_speak(hello.link_id if hello else None)

    def _finish(self) -> None:
        self._keeper.settled(self)
        if not self._gone:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            self._cut = self._keeper.reactor.callLater(LINGER_S, self.transport.abortConnection)

    def _arm(self) -> None:
        """A timer that rings too early does no harm and is set again then: so it is not moved for every word heard."""
        due = self.session.deadline()
        if due is None:
            cancel(self._timer)
            self._timer = None
        elif self._timer is None or self._timer.due > due:
            cancel(self._timer)
            self._timer = self._keeper.deadlines.later(max(0.0, due - self._keeper.reactor.seconds()), self._due)

    def _due(self) -> None:
        self._timer = None
        self._carry_out(self.session.advance(self._keeper.reactor.seconds()))
