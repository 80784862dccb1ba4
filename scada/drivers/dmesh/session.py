"""The server's end of one connection: bytes in, outputs out; without I/O and without a clock of its own.

Rules (docs/dmlp.md, "Session"):

* the concentrator speaks first: HELLO, CHALLENGE, AUTH in plain, then READY and everything after it sealed;
* before the proof a peer costs one small buffer and one timer, and anything out of order ends the connection;
* after the proof whatever does not open, repeats a counter or is malformed is dropped and counted, never fatal;
* a request that comes twice (same corr) gets the same answer and is executed once;
* nothing heard for t3: PING; two of them unanswered: the link is down.

The states are `machine.TRANSITIONS`, which is also the picture in docs/dmlp.md.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from scada.drivers.dmesh import crypto, frame, messages
from scada.drivers.dmesh.frame import Frame, FrameDecoder
from scada.drivers.dmesh.handshake import Handshake
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.machine import TRANSITIONS, Action, Happening, State
from scada.drivers.dmesh.messages import Auth, Close, Error, Hello, Message, Packet, Ping, Pong, Ready
from scada.drivers.dmesh.numbers import ANSWERS, Code, Reason, Type
from scada.drivers.dmesh.outputs import Closed, Delivered, Output, Send, Up
from scada.drivers.dmesh.rejected import Reject, Rejected

HANDSHAKE_FRAME: Final = 1024           # longest body accepted before the proof
PATIENCE: Final = 4096                  # bytes of anything a peer may send before the proof
NOISE: Final = 256                      # of them, bytes that are no frame (modems like to print a banner)
MISSED: Final = 2                       # unanswered PINGs that end a session
ANSWERS_KEPT: Final = 64
T1_RANGE: Final = (5, 120)              # s, for an answer
T3_RANGE: Final = (5, 240)              # s, of silence before a PING


@attrs.frozen
class Terms:
    """What the server offers; times in real seconds."""

    handshake_s: float = 10.0
    max_frame: int = frame.DEFAULT_MAX_FRAME


class Gate(Protocol):
    """What a session must ask while it runs; every answer is memory."""

    def keys(self, hello: Hello) -> Sequence[Key]:
        """The link's keys that are good, first the one to prove ourselves with; none for a link id nobody knows."""

    def ready(self, hello: Hello) -> Ready:
        """The content of READY for a concentrator that proved itself."""

    def time(self) -> tuple[int, bool]:
        """Site time [s since 1970], and whether it is trusted."""


class Session:
    """Bytes in, outputs out. `now` is monotonic real time [s] everywhere."""

    def __init__(self, terms: Terms, gate: Gate, nonce: bytes, now: float, expected: int | None = None) -> None:
        self.state = State.GREETING
        self.hello: Hello | None = None
        self.key: Key | None = None                         # the link key that was proven
        self.t1, self.t3 = T1_RANGE[0], T3_RANGE[0]         # s, negotiated
        self.max_frame = HANDSHAKE_FRAME
        self._terms, self._gate, self._nonce = terms, gate, nonce
        self._expected = expected                           # whom we called; None: whoever calls
        self._decoder = FrameDecoder(HANDSHAKE_FRAME)
        self._started = self._heard = now
        self._missed = 0
        self._taken = self._noise = 0                       # bytes before the proof
        self._now = now
        self._handshake: Handshake | None = None
        self._channel: crypto.Channel | None = None
        self._answers: OrderedDict[int, bytes | None] = OrderedDict()
        self._corr = 0
        self._out: list[Output] = []
        self._why = (Reason.NORMAL, "")
        self._retry_after = 0
        self._delivery: Delivered | None = None

    # ------------------------------------------------------------------ inputs
    def receive(self, data: bytes, now: float) -> list[Output]:
        """Bytes from the peer."""
        self._now = now
        if self.state in (State.GREETING, State.PROVING):
            first = data[: PATIENCE + 1 - self._taken]      # without a proof in it, the rest is not even looked at
            self._taken += len(first)
            self._take(first)
            data = data[len(first):] if self._channel else b""
        self._take(data)
        if self.state in (State.GREETING, State.PROVING) and (self._taken > PATIENCE or self._noise > NOISE):
            self._refuse(Reason.PROTOCOL, "too many bytes without a proof")
        return self._drain()

    def advance(self, now: float) -> list[Output]:
        """Time has passed; call at `deadline` or any time."""
        if self.state in (State.GREETING, State.PROVING):
            if now - self._started >= self._terms.handshake_s:
                self._why = (Reason.TIMEOUT, "no proof in time")
                self._fire(Happening.LATE)
        elif self.state is State.UP and now - self._heard >= self.t3 * (self._missed + 1):
            if self._missed >= MISSED:
                self._why = (Reason.TIMEOUT, f"silent for {now - self._heard:.0f} s")
                self._fire(Happening.SILENT)
            else:
                self._missed += 1
                self._fire(Happening.QUIET)
        return self._drain()

    def deadline(self) -> float | None:
        """When `advance` must be called next."""
        if self.state in (State.GREETING, State.PROVING):
            return self._started + self._terms.handshake_s
        return self._heard + self.t3 * (self._missed + 1) if self.state is State.UP else None

    def lost(self, why: str) -> list[Output]:
        """The connection broke."""
        if self.state is not State.CLOSED:
            self._why = (Reason.NORMAL, why)
            self._fire(Happening.LOST)
        return self._drain()

    def close(self, reason: Reason, text: str = "", retry_after: int = 0) -> list[Output]:
        """End it from our side."""
        self._refuse(reason, text, retry_after)
        return self._drain()

    def send(self, message: Message, corr: int = 0) -> list[Output]:
        """A message to a peer that is up; nothing where it is not."""
        self._seal(messages.encode(message, corr))
        return self._drain()

    def request(self, message: Message) -> tuple[int, list[Output]]:
        """The same with a fresh corr, for messages that are answered."""
        self._corr = self._corr % 0xFFFF_FFFF + 1
        return self._corr, self.send(message, self._corr)

    def answer(self, corr: int, message: Message) -> list[Output]:
        """The answer to a request; kept, so that a repeat of the request gets it again."""
        body = messages.encode(message, corr)
        if corr in self._answers:                           # of the last requests; older ones are not repeated any more
            self._answers[corr] = body
        self._seal(body)
        return self._drain()

    # --------------------------------------------------------------- before the proof
    def _take(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            if self.state is State.CLOSED:
                break
            if isinstance(event, Rejected):
                self._out.append(event)
                self._noise += event.count if event.reason is Reject.NOISE else 0
            elif self.state is State.UP:
                self._sealed(event)
            else:
                self._plain(event)

    def _plain(self, received: Frame) -> None:
        packet = Rejected(Reject.CRYPTO, "sealed before READY") if received.secured else messages.decode(received.body)
        if isinstance(packet, Rejected):
            self._out.append(packet)
            self._refuse(Reason.PROTOCOL, "the handshake was not understood")
            return
        match self.state, packet.message:
            case _, Close() as close:
                self._said_close(close)
            case State.GREETING, Hello() as hello:
                self._greeted(hello, received)
            case State.PROVING, Auth() as auth:
                self._proof(auth, received)
            case _:
                self._refuse(Reason.PROTOCOL, f"{packet.message.TYPE.name} out of order")

    def _greeted(self, hello: Hello, received: Frame) -> None:
        self.hello = hello
        if received.link_id != hello.link_id:
            self._refuse(Reason.PROTOCOL, "HELLO and its frame name different links")
        elif self._expected not in (None, hello.link_id):
            self._refuse(Reason.UNKNOWN_LINK, f"link id {self._expected:08x} was called, another one answers")
        elif not hello.min_version <= frame.VERSION <= hello.max_version:
            self._refuse(Reason.VERSION, f"this server speaks version {frame.VERSION >> 4}.{frame.VERSION & 15}")
        elif not (keys := self._gate.keys(hello)):
            self._refuse(Reason.UNKNOWN_LINK, "no key for this link id")
        else:
            self._handshake = Handshake(hello, received.body, keys, self._nonce)
            self.t1, self.t3 = _within(hello.t1, T1_RANGE), _within(hello.t3, T3_RANGE)
            self.max_frame = min(hello.max_frame, self._terms.max_frame)
            self._fire(Happening.HELLO)

    def _proof(self, auth: Auth, received: Frame) -> None:
        assert self.hello is not None
        assert self._handshake is not None
        proven = self._handshake.channel(auth, received.body) if received.link_id == self.hello.link_id else None
        if proven is None:
            self._refuse(Reason.BAD_KEY, "the proof does not hold")
            return
        (self.key, self._channel), self._handshake = proven, None
        self._decoder.max_frame = self.max_frame
        self._fire(Happening.PROVEN)

    # ---------------------------------------------------------------- after the proof
    def _sealed(self, received: Frame) -> None:
        assert self._channel is not None
        assert self.hello is not None
        if received.link_id != self.hello.link_id:
            body: bytes | Rejected = Rejected(Reject.CRYPTO, "a frame of another link")
        else:
            body = self._channel.open(received)
        if isinstance(body, Rejected):
            self._out.append(body)
            return
        self._heard, self._missed = self._now, 0            # it opened: the peer lives
        packet = messages.decode(body)
        if isinstance(packet, Rejected):
            self._misunderstood(packet)
        elif isinstance(packet.message, Close):
            self._said_close(packet.message)
        elif packet.corr and packet.message.TYPE not in ANSWERS:
            self._asked(packet, body)
        else:
            self._deliver(packet, body)

    def _misunderstood(self, what: Rejected) -> None:
        self._out.append(what)
        is_answer = what.type == Type.ERROR or (what.corr and what.type in ANSWERS)
        if what.type and not is_answer:                     # never an error about an error
            code = Code.UNKNOWN if what.reason is Reject.UNKNOWN_TYPE else Code.BAD_ARGUMENT
            self._seal(messages.encode(Error(code, what.detail, what.type), what.corr))

    def _asked(self, packet: Packet, body: bytes) -> None:
        """A request: new, or a repeat that gets the same answer and is not executed twice."""
        if packet.corr in self._answers:
            if (kept := self._answers[packet.corr]) is not None:
                self._seal(kept)
            return
        self._answers[packet.corr] = None
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)
        self._deliver(packet, body)

    def _deliver(self, packet: Packet, body: bytes) -> None:
        match packet.message:
            case Ping(time=theirs):
                pong = messages.encode(Pong(theirs, *self._gate.time()), packet.corr)
                if packet.corr:
                    self._answers[packet.corr] = pong
                self._seal(pong)
            case _:
                self._delivery = Delivered(packet, body)
                self._fire(Happening.MESSAGE)

    def _said_close(self, close: Close) -> None:
        reason = Reason(close.reason) if close.reason in Reason._value2member_map_ else Reason.NORMAL
        self._why = (reason, close.text)
        self._fire(Happening.BYE)

    # ------------------------------------------------------------------ machinery
    def _refuse(self, reason: Reason, text: str, retry_after: int = 0) -> None:
        if self.state is not State.CLOSED:
            self._why, self._retry_after = (reason, text), retry_after
            self._fire(Happening.REFUSED)

    def _fire(self, happening: Happening) -> None:
        before = self.state
        self.state, actions = TRANSITIONS[before, happening]
        for action in actions:
            self._act(action, before, happening)

    def _act(self, action: Action, before: State, happening: Happening) -> None:
        hello = self.hello
        match action:
            case Action.SEND_CHALLENGE:
                assert hello is not None
                assert self._handshake is not None
                self._send(Frame(hello.link_id, self._handshake.challenge(self.t1, self.t3, self.max_frame)))
            case Action.SEND_READY:
                assert hello is not None
                self._heard, self._missed = self._now, 0
                self._seal(messages.encode(self._gate.ready(hello)))
            case Action.SEND_PING:
                self._corr = self._corr % 0xFFFF_FFFF + 1   # with corr 0 it would expect no answer
                self._seal(messages.encode(Ping(self._gate.time()[0]), self._corr))
            case Action.SEND_CLOSE:
                body = messages.encode(Close(self._why[0], self._why[1], self._retry_after))
                if before is State.UP:
                    self._seal(body, even_closed=True)
                else:
                    self._send(Frame(hello.link_id if hello else 0, body))
            case Action.DELIVER:
                assert self._delivery is not None
                self._out.append(self._delivery)
            case Action.TELL_UP:
                assert hello is not None
                self._out.append(Up(hello))
            case Action.TELL_CLOSED:
                ours = happening in (Happening.REFUSED, Happening.LATE, Happening.SILENT)
                self._out.append(Closed(*self._why, ours, hello.link_id if hello else None, before is State.UP))

    def _seal(self, body: bytes, *, even_closed: bool = False) -> None:
        if self._channel is None or (self.state is not State.UP and not even_closed):
            return
        if self._channel.exhausted:
            self._why = (Reason.NORMAL, "the session has used up its counters")
            self._fire(Happening.LOST)
            return
        self._send(self._channel.seal(body))

    def _send(self, what: Frame) -> None:
        self._out.append(Send(frame.encode(what)))

    def _drain(self) -> list[Output]:
        out, self._out = self._out, []
        return out


def _within(value: int, limits: tuple[int, int]) -> int:
    return min(max(value, limits[0]), limits[1])
