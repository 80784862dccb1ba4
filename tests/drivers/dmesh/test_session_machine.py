"""The server's end of a session under everything that can happen to it, in any order; what must hold all the time."""

from collections import Counter
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from scada.drivers.dmesh import messages
from scada.drivers.dmesh.frame import HEADER, TRAILER, Frame, FrameDecoder
from scada.drivers.dmesh.frame import encode as encode_frame
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.machine import State
from scada.drivers.dmesh.messages import Challenge, Close, Hello, Ping, Ready, Result
from scada.drivers.dmesh.numbers import ANSWERS, Code, Reason
from scada.drivers.dmesh.outputs import Closed, Delivered, Output, Send, Up
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.session import ANSWERS_KEPT, Session, Terms
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, Peer, hello
from tests.drivers.dmesh.samples import SAMPLES

MESSAGES = st.sampled_from([one for one in SAMPLES if not isinstance(one, Close)])
CORRS = st.integers(0, 5)               # few, so that they come again
GARBAGE = st.binary(max_size=80) | st.sampled_from([b"DM", b"D", b"DM\x10\x80\xff\xff", b"DM" * 300, bytes(5000)])


class Gate:
    """Knows one link."""

    def keys(self, greeting: Hello) -> tuple[Key, ...]:
        return (Key(0, LINK_KEY),) if greeting.link_id == LINK_ID else ()

    def ready(self, greeting: Hello) -> Ready:
        return Ready(1_767_261_600, 5, 0, 8, True)

    def time(self) -> tuple[int, bool]:
        return 1_767_261_600, True


class Life(RuleBasedStateMachine):
    """A session and its peer; every rule is one thing that reaches the server's end, and every output is checked."""

    seen: ClassVar[Counter[str]] = Counter()                # over all runs, so that none of it is tested in vain

    def __init__(self) -> None:
        super().__init__()
        self.now, self.nonce = 0.0, 0
        self.begin()

    def begin(self) -> None:
        self.nonce += 1
        self.session = Session(Terms(), Gate(), self.nonce.to_bytes(16, "big"), self.now)
        self.peer = Peer(hello(max_frame=1024))
        self.reader = FrameDecoder(16384)
        self.challenge: Challenge | None = None
        self.up = self.over = False
        self.sent_counter = self.highest = -1
        self.on_the_air: list[bytes] = []                   # frames that were sent once: for replays
        self.genuine: set[bytes] = set()                    # bodies that the proven peer sealed and that may arrive
        self.corrs: set[int] = set()                        # of requests that were delivered

    # ------------------------------------------------------------------ what is checked of every output
    def took(self, outputs: list[Output]) -> None:
        assert not (self.over and outputs), "a session that is over says nothing"
        for output in outputs:
            assert not self.over, "nothing comes after the end"
            match output:
                case Up():
                    assert not self.up
                    self.up = True
                    self.seen["up"] += 1
                case Delivered(packet=packet, body=body):
                    assert self.up, "delivered before the proof"
                    assert body in self.genuine, "delivered what nobody sealed"
                    if packet.corr and packet.message.TYPE not in ANSWERS:
                        assert packet.corr not in self.corrs, "a request was delivered twice"
                        self.corrs.add(packet.corr)
                    self.seen["delivered"] += 1
                case Closed():
                    self.over = True
                    self.seen[f"closed while {'up' if output.was_up else 'not up'}"] += 1
                case Rejected(reason=reason):
                    self.seen[reason] += 1
                case Send(data=data):
                    self.read(data)

    def read(self, data: bytes) -> None:
        """What leaves is whole frames, sealed from READY on, with counters that only grow."""
        for found in self.reader.feed(data):
            assert isinstance(found, Frame), found
            body: bytes | Rejected = found.body
            if found.secured:
                counter = int.from_bytes(found.body[1:5], "big")
                assert counter > self.sent_counter
                self.sent_counter = counter
                assert self.peer.channel is not None
                body = self.peer.channel.open(found)
            assert isinstance(body, bytes), body
            packet = messages.decode(body)
            assert isinstance(packet, messages.Packet), packet
            assert found.secured == (self.up or isinstance(packet.message, Ready)) or isinstance(packet.message, Close)
            if isinstance(packet.message, Challenge):
                self.peer.bodies.append(body)
                self.challenge = packet.message
        assert self.reader.pending == 0

    def feed(self, data: bytes) -> None:
        self.took(self.session.receive(data, self.now))

    # ------------------------------------------------------------------ what happens
    @rule()
    def greet(self) -> None:
        data = self.peer.greeting()
        self.feed(data)

    @precondition(lambda self: self.challenge is not None)
    @rule(right=st.booleans())
    def prove(self, right: bool) -> None:
        assert self.challenge is not None
        if self.up or self.over:                            # the keys of a running session stay
            self.feed(encode_frame(Frame(LINK_ID, messages.encode(messages.Auth(bytes(16))))))
            return
        proof = self.peer.proof(self.challenge)
        self.feed(proof if right else proof[:-9] + bytes(9))

    @precondition(lambda self: not self.up and not self.over)
    @rule()
    def come_up(self) -> None:
        """The whole handshake at once, where nothing is in its way: most of a life is spent after it."""
        if self.session.state is State.GREETING:
            self.feed(self.peer.greeting())
        if self.session.state is State.PROVING and self.challenge is not None:
            self.feed(self.peer.proof(self.challenge))

    @precondition(lambda self: self.up)
    @rule(message=MESSAGES, corr=CORRS, fate=st.sampled_from(["arrives", "arrives", "is lost", "is torn", "is spoilt"]))
    def say(self, message: messages.Message, corr: int, fate: str) -> None:
        data = self.peer.sealed(message, corr)
        self.genuine.add(messages.encode(message, corr))
        self.on_the_air.append(data)
        match fate:
            case "arrives":
                self.seen["asked again"] += corr in self.corrs and message.TYPE not in ANSWERS and not self.over
                self.feed(data)
            case "is torn":
                self.feed(data[:len(data) // 2])
            case "is spoilt":
                self.feed(data[:20] + bytes([data[20] ^ 1]) + data[21:])
        self.seen[fate] += 1

    @precondition(lambda self: self.up)
    @rule(corr=CORRS)
    def say_nonsense(self, corr: int) -> None:
        """Sealed by the peer itself, and yet no message."""
        assert self.peer.channel is not None
        for item in ([0x7F0, corr, {}], [0x30, corr, {0: 5}], [0x0A, corr, {0: "x"}], 5):
            data = encode_frame(self.peer.channel.seal(messages.wire.pack(item)))
            self.on_the_air.append(data)
            self.feed(data)

    @precondition(lambda self: self.on_the_air)
    @rule(which=st.integers(0, 10**6))
    def replay(self, which: int) -> None:
        self.feed(self.on_the_air[which % len(self.on_the_air)])

    @rule(data=GARBAGE)
    def garbage(self, data: bytes) -> None:
        self.feed(data)

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 20.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.took(self.session.advance(self.now))

    @rule(corr=CORRS)
    def answer(self, corr: int) -> None:
        self.took(self.session.answer(corr, Result(Code.OK)))

    @rule()
    def ask(self) -> None:
        before = self.session._corr
        corr, outputs = self.session.request(Ping(1))
        assert corr > before
        self.took(outputs)

    @rule(how=st.sampled_from(["the line broke", "sent away", "goodbye"]))
    def end(self, how: str) -> None:
        match how:
            case "the line broke":
                self.took(self.session.lost(how))
            case "sent away":
                self.took(self.session.close(Reason.SHUTDOWN))
            case "goodbye" if self.up:
                self.feed(self.peer.sealed(Close(Reason.NORMAL)))

    @precondition(lambda self: self.over)
    @rule()
    def connect_again(self) -> None:
        self.begin()

    # ------------------------------------------------------------------ what holds all the time
    @invariant()
    def the_buffer_is_bounded(self) -> None:
        assert self.session._decoder.pending < self.session.max_frame + HEADER + TRAILER

    @invariant()
    def the_answers_kept_are_bounded(self) -> None:
        assert len(self.session._answers) <= ANSWERS_KEPT

    @invariant()
    def counters_only_grow(self) -> None:
        if self.session._channel is not None:
            assert self.session._channel._highest >= self.highest
            self.highest = self.session._channel._highest

    @invariant()
    def its_state_is_what_was_told(self) -> None:
        assert (self.session.state is State.CLOSED) == self.over
        assert (self.session.state is State.UP) == (self.up and not self.over)
        assert (self.session.deadline() is None) == self.over


def test_a_session_keeps_its_promises_whatever_happens_in_whatever_order() -> None:
    """
    No exception escapes, the buffer is bounded, nothing is delivered before the proof or that nobody sealed, a request is
    delivered once, counters only grow, the end is told once and is the end.
    """
    Life.seen.clear()
    run_state_machine_as_test(
        Life, settings=settings(max_examples=250, stateful_step_count=50, deadline=None, derandomize=True)
    )

    for what in (
        "up", "delivered", "closed while up", "closed while not up", "arrives", "is lost", "is torn", "is spoilt",
        "asked again", Reject.REPLAY, Reject.NOISE, Reject.HEADER_CRC, Reject.FRAME_CRC, Reject.FIELD, Reject.UNKNOWN_TYPE,
    ):
        assert Life.seen[what] > 0, what
