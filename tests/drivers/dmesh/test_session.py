"""The session's state machine: its table, its timers, its answers; without sockets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.drivers.dmesh import frame, messages
from scada.drivers.dmesh.frame import Frame
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.machine import TRANSITIONS, Action, Happening, State
from scada.drivers.dmesh.messages import Auth, Challenge, Close, Error, Hello, Ping, Pong, Ready, Result
from scada.drivers.dmesh.numbers import Code, Reason
from scada.drivers.dmesh.outputs import Closed, Delivered, Up, sends
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.session import ANSWERS_KEPT, NOISE, PATIENCE, Session, Terms
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, Peer, hello


class Gate:
    """Knows one link."""

    def keys(self, greeting: Hello) -> tuple[Key, ...]:
        return (Key(0, LINK_KEY),) if greeting.link_id == LINK_ID else ()

    def ready(self, greeting: Hello) -> Ready:
        return Ready(1_767_261_600, 5, 0, 8, True)

    def time(self) -> tuple[int, bool]:
        return 1_767_261_600, True


def session() -> Session:
    return Session(Terms(), Gate(), bytes(range(0xB0, 0xC0)), 0.0)


def shaken(peer: Peer | None = None) -> tuple[Session, Peer]:
    """A session that is up."""
    one, peer = session(), peer or Peer()
    (challenge,) = peer.take(sends(one.receive(peer.greeting(), 0.0)))
    assert isinstance(challenge.message, Challenge)
    peer.take(sends(one.receive(peer.proof(challenge.message), 0.0)))
    return one, peer


def test_every_state_can_get_home() -> None:
    """From everywhere a broken connection leads to CLOSED, and CLOSED leads nowhere."""
    for state in State:
        if state is not State.CLOSED:
            assert TRANSITIONS[state, Happening.LOST][0] is State.CLOSED
            assert TRANSITIONS[state, Happening.REFUSED][0] is State.CLOSED
    assert not any(before is State.CLOSED for before, _ in TRANSITIONS)


def test_every_end_is_told_exactly_once() -> None:
    """Whoever listens hears of each end, and of nothing else as an end."""
    for after, actions in TRANSITIONS.values():
        assert actions.count(Action.TELL_CLOSED) == (1 if after is State.CLOSED else 0)


def test_every_state_is_reached() -> None:
    """No dead rows."""
    reached = {State.GREETING}
    for _ in State:
        reached |= {after for (before, _), (after, _) in TRANSITIONS.items() if before in reached}

    assert reached == set(State)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_handshake_ends_up_whole_or_byte_by_byte(size: int) -> None:
    """HELLO, CHALLENGE, AUTH, READY, however the bytes arrive."""
    one, peer = session(), Peer()

    def feed(data: bytes) -> list[object]:
        pieces = [data] if not size else [data[at:at + size] for at in range(0, len(data), size)]
        return [output for piece in pieces for output in one.receive(piece, 0.0)]

    (challenge,) = peer.take(sends(feed(peer.greeting())))      # type: ignore[arg-type]
    assert isinstance(challenge.message, Challenge)
    outputs = feed(peer.proof(challenge.message))
    peer.take(sends(outputs))                                   # type: ignore[arg-type]

    assert one.state is State.UP
    assert [output for output in outputs if isinstance(output, Up)] == [Up(peer.hello)]
    assert isinstance(peer.messages[-1], Ready)


def test_terms_are_the_wishes_within_limits() -> None:
    """t1, t3 and max_frame."""
    one, peer = shaken(Peer(hello(t1=1, t3=9999, max_frame=512)))
    (challenge,) = [message for message in peer.messages if isinstance(message, Challenge)]

    assert (challenge.t1, challenge.t3, challenge.max_frame) == (5, 240, 512)
    assert (one.t1, one.t3) == (5, 240)


def refusal(data: bytes) -> Closed:
    """How a session ended that got this."""
    (end,) = [output for output in session().receive(data, 0.0) if isinstance(output, Closed)]
    return end


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Peer(hello(link_id=9)).greeting(), Reason.UNKNOWN_LINK),
        (Peer(hello(min_version=0x20, max_version=0x30)).greeting(), Reason.VERSION),
        (frame.encode(Frame(77, messages.encode(hello()))), Reason.PROTOCOL),
        (frame.encode(Frame(LINK_ID, messages.encode(Auth(bytes(16))))), Reason.PROTOCOL),
        (frame.encode(Frame(LINK_ID, messages.encode(Ping(0)))), Reason.PROTOCOL),
        (frame.encode(Frame(LINK_ID, b"no cbor")), Reason.PROTOCOL),
        (frame.encode(Frame(LINK_ID, bytes(40), secured=True)), Reason.PROTOCOL),
        (Peer().greeting() * 2, Reason.PROTOCOL),
        (b"x" * (NOISE + 1), Reason.PROTOCOL),
        (b"DM" * PATIENCE, Reason.PROTOCOL),
    ],
)
def test_whatever_is_not_a_handshake_is_refused_with_its_reason(data: bytes, reason: Reason) -> None:
    """Before the proof nothing is forgiven."""
    assert refusal(data).reason is reason


def test_a_stranger_cannot_make_us_look_at_more_than_a_little() -> None:
    """However much comes at once before the proof, only the first bytes are read at all."""
    outputs = session().receive(b"DM" * 1_000_000, 0.0)

    assert len(outputs) < 10
    assert sum(one.count for one in outputs if isinstance(one, Rejected)) <= 2 * PATIENCE


def test_what_follows_a_proof_in_the_same_bytes_is_read() -> None:
    """A proven peer may send as much as it likes behind its AUTH."""
    one, peer = session(), Peer()
    (challenge,) = peer.take(sends(one.receive(peer.greeting(), 0.0)))
    assert isinstance(challenge.message, Challenge)
    proof = peer.proof(challenge.message)
    outputs = one.receive(proof + b"x" * (2 * PATIENCE), 0.0)

    assert one.state is State.UP
    assert sum(one.count for one in outputs if isinstance(one, Rejected)) == 2 * PATIENCE


def test_a_modem_banner_before_hello_is_forgiven() -> None:
    """Transparent modems print CONNECT; HELLO is still found."""
    one, peer = session(), Peer()
    outputs = one.receive(b"\r\nCONNECT 9600\r\n" + peer.greeting(), 0.0)

    assert isinstance(peer.take(sends(outputs))[0].message, Challenge)


def test_a_wrong_proof_is_refused() -> None:
    """CLOSE(BAD_KEY) in plain, and the peer learns nothing else."""
    one, peer = session(), Peer(link_key=bytes(16))
    (challenge,) = peer.take(sends(one.receive(peer.greeting(), 0.0)))
    assert isinstance(challenge.message, Challenge)
    (close,) = peer.take(sends(one.receive(peer.proof(challenge.message), 0.0)))

    assert isinstance(close.message, Close)
    assert close.message.reason == Reason.BAD_KEY
    assert one.state is State.CLOSED


def test_an_auth_without_its_mac_is_refused() -> None:
    """The field has a default only because it is filled in last."""
    one, peer = session(), Peer()
    peer.take(sends(one.receive(peer.greeting(), 0.0)))
    outputs = one.receive(frame.encode(Frame(LINK_ID, messages.encode(Auth()))), 0.0)

    assert [output.reason for output in outputs if isinstance(output, Closed)] == [Reason.BAD_KEY]


def test_a_proof_of_another_handshake_does_not_hold() -> None:
    """Recorded AUTH bytes are useless: the server's nonce is part of them."""
    peer = Peer()
    other = Session(Terms(), Gate(), bytes(16), 0.0)
    (challenge,) = peer.take(sends(other.receive(peer.greeting(), 0.0)))
    assert isinstance(challenge.message, Challenge)
    recorded = peer.proof(challenge.message)
    one = session()
    one.receive(peer.greeting(), 0.0)

    assert any(isinstance(output, Closed) and output.reason is Reason.BAD_KEY for output in one.receive(recorded, 0.0))


def test_no_proof_in_time_is_the_end() -> None:
    """At 10 s, not before."""
    one = session()

    assert one.deadline() == 10.0
    assert one.advance(9.9) == []
    assert [output.reason for output in one.advance(10.0) if isinstance(output, Closed)] == [Reason.TIMEOUT]


def test_any_sign_of_life_restarts_the_silence() -> None:
    """A frame that opens counts; garbage does not."""
    one, peer = shaken()
    one.receive(peer.sealed(Pong(1, 1)), 19.0)
    quiet = one.advance(38.0)
    one.receive(b"garbage", 38.5)
    pinged = one.advance(39.0)

    assert quiet == []
    assert isinstance(peer.take(sends(pinged))[-1].message, Ping)


def test_a_repeated_request_gets_the_same_answer_and_is_delivered_once() -> None:
    """Same corr, new counter."""
    one, peer = shaken()
    news = messages.ModuleJoined(2, ())
    first = [output for output in one.receive(peer.sealed(news, 9), 1.0) if isinstance(output, Delivered)]
    meanwhile = one.receive(peer.sealed(news, 9), 1.0)
    answer = peer.take(sends(one.answer(9, Result(Code.OK))))
    again = one.receive(peer.sealed(news, 9), 1.0)

    assert len(first) == 1
    assert meanwhile == []
    assert not any(isinstance(output, Delivered) for output in again)
    assert peer.take(sends(again)) == answer == [messages.Packet(Result(Code.OK), 9)]


def test_no_more_answers_are_kept_than_the_protocol_says_however_late_they_are_given() -> None:
    """A peer that asks on while its answers are being made must not fill the memory."""
    one, peer = shaken()
    for corr in range(1, 1001):
        one.receive(peer.sealed(messages.ModuleJoined(2, ()), corr), 1.0)
    for corr in range(1, 1001):
        one.answer(corr, Result(Code.OK))

    assert len(one._answers) == ANSWERS_KEPT


def test_a_ping_is_answered_with_both_clocks() -> None:
    """Its corr comes back."""
    one, peer = shaken()
    (pong,) = peer.take(sends(one.receive(peer.sealed(Ping(123), 4), 1.0)))

    assert pong == messages.Packet(Pong(123, 1_767_261_600, True), 4)


def test_what_cannot_be_understood_is_answered_with_an_error_and_the_session_goes_on() -> None:
    """Unknown type and bad field; but never an error about an answer."""
    one, peer = shaken()

    def say(item: object) -> list[messages.Packet]:
        assert peer.channel is not None
        return peer.take(sends(one.receive(frame.encode(peer.channel.seal(messages.wire.pack(item))), 1.0)))

    (unknown,) = say([0x7F0, 3, {}])
    (bad,) = say([0x30, 0, {0: 5}])
    silent = say([0x0A, 3, {0: "x"}])

    assert unknown.message == Error(Code.UNKNOWN, "type 0x7f0", 0x7F0)
    assert unknown.corr == 3
    assert isinstance(bad.message, Error)
    assert bad.message.code == Code.BAD_ARGUMENT
    assert silent == []
    assert one.state is State.UP


def test_a_plain_close_cannot_end_a_session_that_is_up() -> None:
    """Anybody on the path could send it; only a sealed one counts."""
    one, peer = shaken()
    plain = one.receive(frame.encode(Frame(LINK_ID, messages.encode(Close(0)))), 1.0)
    still = one.state
    sealed = one.receive(peer.sealed(Close(Reason.SHUTDOWN, "update")), 1.0)

    assert [output.reason for output in plain if isinstance(output, Rejected)] == [Reject.CRYPTO]
    assert still is State.UP
    (end,) = [output for output in sealed if isinstance(output, Closed)]
    assert (end.reason, end.ours, end.was_up) == (Reason.SHUTDOWN, False, True)


def test_nothing_leaves_after_the_end() -> None:
    """A closed session says nothing, whatever it is asked or told."""
    one, peer = shaken()
    data = peer.sealed(Ping(1), 5)
    one.close(Reason.SHUTDOWN)

    assert one.send(Ping(1)) == one.receive(data, 2.0) == one.advance(999.0) == one.lost("x") == []
    assert one.deadline() is None


@given(st.lists(st.binary(max_size=60), max_size=20), st.booleans())
def test_any_bytes_are_survived(pieces: list[bytes], up: bool) -> None:
    """Fuzz: outputs are values, and a proven session stays up."""
    one = shaken()[0] if up else session()
    for piece in pieces:
        one.receive(piece, 1.0)

    assert one.state is State.UP if up else one.state in (State.GREETING, State.CLOSED)
