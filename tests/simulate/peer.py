"""A small DMLP server made of the codec alone: what the simulated concentrator is tested against."""

import secrets
import threading
from collections.abc import Callable
from typing import Any

from scada.commands import Action, LoadClass
from scada.drivers.dmesh import crypto, messages, sets
from scada.drivers.dmesh.frame import VERSION, Frame, FrameDecoder
from scada.drivers.dmesh.frame import encode as encode_frame
from scada.drivers.dmesh.messages import (
    Auth,
    Challenge,
    GroupCommand,
    GroupSet,
    Hello,
    KeyPut,
    Message,
    Packet,
    Ready,
    signed,
)
from scada.drivers.dmesh.numbers import ANSWERS, KeyTarget
from scada.drivers.dmesh.rejected import Rejected

GROUP_KEY = bytes(range(16, 32))


class Peer:
    """One connection's server side: bytes in, messages kept in `got`; `send` gives bytes to `write`."""

    def __init__(
        self, link_key: bytes, write: Callable[[bytes], None], *,
        cursor: int = 0, event_cursor: int = 0, credit: int = 4, max_frame: int = 4096, time: int = 1_767_261_600,
    ) -> None:
        self.key, self.write = link_key, write
        self.ready = Ready(time, cursor, event_cursor, credit, True)
        self.max_frame = max_frame
        self.decoder = FrameDecoder(4096)
        self.got: list[Packet] = []
        self.hello: Hello | None = None
        self.proven = False
        self.channel: crypto.Channel | None = None
        self.on_packet: Callable[[Packet], None] = lambda packet: None
        self._bodies: list[bytes] = []
        self._nonce = secrets.token_bytes(16)
        self._corr = 0
        self._sending = threading.RLock()       # by memory, an answer may come back inside the call

    def receive(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            assert isinstance(frame, Frame), frame
            self._frame(frame)

    def of(self, kind: type) -> list[Any]:
        """Messages of one kind that came in, in order."""
        return [packet.message for packet in self.got if isinstance(packet.message, kind)]

    def send(self, message: Message, *, request: bool = False) -> int:
        """Send a message; a request takes a new corr, which is returned."""
        self._corr += request
        corr = self._corr if request else 0
        self.send_body(messages.encode(message, corr))
        return corr

    def send_body(self, body: bytes) -> None:
        assert self.channel is not None
        with self._sending:                     # counters must leave in order, whichever thread sends
            self.write(encode_frame(self.channel.seal(body)))

    def answer(self, corr: int) -> list[Any]:
        return [one.message for one in self.got if one.corr == corr and one.message.TYPE in ANSWERS]

    def ask(self, message: Message) -> Any:
        """Send a request whose answer comes at once (connected by memory)."""
        return self.answer(self.send(message, request=True))[0]

    def _frame(self, frame: Frame) -> None:
        body: bytes | Rejected = frame.body
        if frame.secured:
            assert self.channel is not None
            body = self.channel.open(frame)
        assert isinstance(body, bytes), body
        packet = messages.decode(body)
        assert isinstance(packet, Packet), packet
        match packet.message:
            case Hello() as hello:
                self._greet(hello, body)
            case Auth(mac=mac):
                bodies = [*self._bodies, messages.without(body, messages.AUTH_MAC_KEY)]
                wanted = crypto.handshake_mac(crypto.auth_key(self.key), crypto.ROLE_CONCENTRATOR, bodies)
                self.proven = mac == wanted
                self.send(self.ready)
            case _:
                self.got.append(packet)
                self.on_packet(packet)

    def _greet(self, hello: Hello, body: bytes) -> None:
        self.hello = hello
        plain = Challenge(VERSION, 15, 20, self.max_frame, self._nonce)
        mac = crypto.handshake_mac(crypto.auth_key(self.key), crypto.ROLE_SERVER, [body, messages.encode(plain)])
        challenge = messages.encode(Challenge(VERSION, 15, 20, self.max_frame, self._nonce, mac))
        self._bodies = [body, challenge]
        keys = crypto.session_keys(self.key, hello.nonce, self._nonce)
        self.channel = crypto.Channel(keys, hello.link_id, server=True)
        self.write(encode_frame(Frame(hello.link_id, challenge)))


def group_set(group: int, epoch: int, members: dict[int, int]) -> GroupSet:
    """GROUP_SET of {index: EUI}."""
    return GroupSet(group, epoch, sets.bitmap(members), sets.members_digest(members.items()))


def key_put(link_key: bytes, group: int, epoch: int, key: bytes = GROUP_KEY) -> KeyPut:
    return KeyPut(KeyTarget.GROUP, group, epoch, crypto.wrap(link_key, key))


def command(
    now: float, *, number: int = 1, group: int = 1, epoch: int = 1, action: Action = Action.SHED,
    load_class: LoadClass = LoadClass.YELLOW, off_for: int = 600, not_after: float | None = None, jitter: int = 0,
    repeat: int = 3, ctr: int | None = None, key: bytes = GROUP_KEY, level: int = 0,
) -> GroupCommand:
    """A signed command; `number` is its id, and its ctr unless one is given."""
    return signed(
        GroupCommand(
            number.to_bytes(16, "big"), group, epoch, action, load_class, off_for,
            int(now + 300 if not_after is None else not_after), jitter, repeat,
            (int(now) << 16) + number if ctr is None else ctr, level=level,
        ),
        key,
    )
