"""A serial line that several concentrators share: who has the turn; thin otherwise, the sessions are the same as on TCP.

Rules (docs/dmlp.md, "Serial lines"): a concentrator speaks only when asked. One whose link is down is asked by a plain WAKE
for its HELLO; one whose link is up by a sealed WAKE for what it has, and ends its turn with the RESULT to it. What the
server has to say waits for that turn. 100 ms of silence drop a frame that is half there.
"""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from scada.drivers.backoff import Backoff
from scada.drivers.dmesh import frame, messages
from scada.drivers.dmesh.fairness import FairTurns
from scada.drivers.dmesh.frame import SERIAL_MAX_FRAME, Frame, FrameDecoder
from scada.drivers.dmesh.messages import Result, Wake
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.outputs import Delivered
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.session import Gate, Terms
from scada.drivers.dmesh.transport import Connection, Hearer
from scada.timers import Deadlines, cancel

SILENCE_S: Final = 0.1                  # real time; nothing is completed after it
ANSWER_S: Final = 2.0                   # without a byte, the turn is over
LONGEST_TURN_S: Final = 60.0            # whatever comes: noise must not hold the line
PAUSE_S: Final = 0.05                   # between two turns, for drivers of RS-485 to let go
TRIES: Final = 3                        # turns without an answer that end a session
FIRST_WAIT_S: Final = 2.0               # before one that is silent is asked again: it costs the others an ANSWER_S
LONGEST_WAIT_S: Final = 60.0
CHOKED: Final = 64                      # frames that wait for one turn


class Drop:
    """One concentrator on the line: the transport of its connection, which waits for its turn."""

    def __init__(self, link_id: int, place: str, hang_up: Callable[["Drop"], None]) -> None:
        self.link_id, self._hang_up = link_id, hang_up
        self.host = place                                   # a transport is its own address here
        self.connection: Connection | None = None
        self.outbox: deque[bytes] = deque()
        self.silent = 0
        self.not_before = 0.0
        self.backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._producer: Any = None

    def write(self, data: bytes) -> None:
        self.outbox.append(data)
        if self._producer is not None and len(self.outbox) == CHOKED:
            self._producer.pauseProducing()

    def taken(self) -> bytes:
        """All that waits."""
        data = b"".join(self.outbox)
        self.outbox.clear()
        if self._producer is not None:
            self._producer.resumeProducing()
        return data

    def getPeer(self) -> "Drop":
        return self

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        self._hang_up(self)

    def abortConnection(self) -> None:
        self._hang_up(self)


class Ear:
    """Tells the service everything but the ends of turns."""

    def __init__(self, service: Hearer, ended: Callable[[Connection, int], bool]) -> None:
        self._service, self._ended = service, ended
        self.connected, self.rejected, self.closed = service.connected, service.rejected, service.closed
        self.may_speak = service.may_speak

    def heard(self, connection: Connection, delivered: Delivered) -> None:
        packet = delivered.packet
        if not (isinstance(packet.message, Result) and self._ended(connection, packet.corr)):
            self._service.heard(connection, delivered)


class SerialLine(Protocol):
    """Gives turns on one line; the keeper of its connections."""

    def __init__(
        self, reactor: Any, hearer: Hearer, gate: Gate, handshake_s: float, place: str, links: Sequence[int],
        on_noise: Callable[[Rejected], None], answer_s: float = ANSWER_S,
    ) -> None:
        self.reactor, self._gate, self._answer_s = reactor, gate, answer_s
        self.turns, self.deadlines = FairTurns(reactor), Deadlines(reactor)
        self.hearer: Hearer = Ear(hearer, self._ended)
        self._terms = Terms(handshake_s, SERIAL_MAX_FRAME)
        self._on_noise = on_noise
        self._drops = {link_id: Drop(link_id, place, self._hang_up) for link_id in links}
        self._order = itertools.cycle(tuple(self._drops.values()))
        self._decoder = FrameDecoder(SERIAL_MAX_FRAME)
        self._turn: Drop | None = None
        self._poll = 0                                      # corr of the sealed WAKE under way; 0: a handshake
        self._began = 0.0
        self._timer: Any = None
        self._silence: Any = None
        self._open = False
        self.counts: Counter[str] = Counter()
        self.on_lost: Callable[[str], None] = lambda why: None

    # ------------------------------------------------------------------ twisted
    def connectionMade(self) -> None:
        self._open = True
        self._next()

    def dataReceived(self, data: bytes) -> None:
        cancel(self._silence)
        self._silence = self.reactor.callLater(SILENCE_S, self._silent)
        if self._turn is not None and self.reactor.seconds() - self._began < LONGEST_TURN_S:
            self._await()
        for event in self._decoder.feed(data):
            self._frame(event) if isinstance(event, Frame) else self._on_noise(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._open = False
        cancel(self._timer)
        cancel(self._silence)
        self._turn = None
        for drop in self._drops.values():
            drop.outbox.clear()
            if drop.connection is not None:
                drop.connection.connectionLost(reason)
        self.on_lost(reason.getErrorMessage())

    def farewell(self, reason: Reason) -> None:
        """Last words to everybody; the line is closed by its owner."""
        for drop in self._drops.values():
            if drop.connection is not None:
                drop.connection.close(reason)
            self._flush(drop)

    # ------------------------------------------------------------------ Keeper
    def settled(self, connection: Connection) -> None:
        """Nobody waits in line here."""

    def forget(self, connection: Connection) -> None:
        for drop in self._drops.values():
            if drop.connection is connection:
                drop.connection = None

    # ------------------------------------------------------------------ turns
    def _ended(self, connection: Connection, corr: int) -> bool:
        """Whether the RESULT with this corr was the end of the turn."""
        turn = self._turn
        if turn is None or turn.connection is not connection or corr != self._poll or not corr:
            return False
        turn.silent = 0
        self._over()
        return True

    def _next(self) -> None:
        """The next one that is to be asked."""
        self._timer = None
        if not self._open:
            return
        now = self.reactor.seconds()
        for _ in self._drops:
            drop = next(self._order)
            if drop.not_before <= now:
                self._begin(drop)
                return
        soonest = min(drop.not_before for drop in self._drops.values())
        self._timer = self.reactor.callLater(max(soonest - now, PAUSE_S), self._next)

    def _begin(self, drop: Drop) -> None:
        self._turn, self._began = drop, self.reactor.seconds()
        if drop.connection is not None and drop.connection.up:
            self._ask(drop)
            return
        self._poll = 0
        made = Connection(self, self._gate, self._terms, drop.link_id)
        made.repeats = True
        drop.connection = made
        made.makeConnection(drop)
        drop.write(frame.encode(Frame(drop.link_id, messages.encode(Wake(drop.link_id)))))
        self._flush(drop)
        self._await()

    def _ask(self, drop: Drop) -> None:
        """All we have for it, and then the floor is its own."""
        assert drop.connection is not None
        self._poll = drop.connection.request(Wake(drop.link_id))
        self._flush(drop)
        self._await()

    def _frame(self, received: Frame) -> None:
        drop = self._drops.get(received.link_id)
        if drop is None or drop.connection is None:
            self.counts["stray"] += 1
            return
        connection, was_up = drop.connection, drop.connection.up
        connection.dataReceived(frame.encode(received))
        if drop is not self._turn or self._poll:
            return                                          # what we say to that waits for the next turn
        if drop.connection is None:
            self._flush(drop)                               # refused
            self._failed(drop)
        elif connection.up and not was_up:
            drop.silent = 0
            drop.backoff.reset()
            self._ask(drop)
        else:
            self._flush(drop)

    def _await(self) -> None:
        cancel(self._timer)
        self._timer = self.reactor.callLater(self._answer_s, self._late)

    def _late(self) -> None:
        """Not a byte for so long: whoever had the turn has lost it."""
        drop, self._timer = self._turn, None
        assert drop is not None
        self.counts["unanswered"] += 1
        drop.silent += 1
        connection = drop.connection
        if connection is not None and connection.up and drop.silent < TRIES:
            self._over()
        else:
            if connection is not None and connection.session.hello is not None:
                connection.close(Reason.TIMEOUT, "no answer on the serial line")
            elif connection is not None:                    # nobody spoke, so nobody is refused
                connection.connectionLost(Failure(ConnectionDone()))
            self._failed(drop)

    def _failed(self, drop: Drop) -> None:
        drop.not_before = self.reactor.seconds() + drop.backoff.next()
        self._over()

    def _over(self) -> None:
        cancel(self._timer)
        self._turn, self._poll = None, 0
        self._timer = self.reactor.callLater(PAUSE_S, self._next)

    def _flush(self, drop: Drop) -> None:
        if self._open and (data := drop.taken()):
            transport: Any = self.transport
            transport.write(data)

    def _hang_up(self, drop: Drop) -> None:
        """Its connection is done; what it said last leaves before the next WAKE."""
        connection, drop.connection = drop.connection, None
        if connection is not None:
            self.reactor.callLater(0, connection.connectionLost, Failure(ConnectionDone()))

    def _silent(self) -> None:
        self._silence = None
        for event in self._decoder.silence():
            assert isinstance(event, Rejected)
            self._on_noise(event)


@attrs.frozen
class Port:
    """How a serial port is set."""

    device: str
    baud: int
    parity: str                         # "N", "E" or "O"
