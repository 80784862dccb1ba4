"""Reads a recorded wire through the codec again: what each end was told, and what it had to drop. Pure.

The nonces of both ends are in the record, the link key is handed in; so the session's keys are worked out again.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from scada.drivers.dmesh import crypto, messages
from scada.drivers.dmesh.frame import HIGHEST_MAX_FRAME, Frame, FrameDecoder
from scada.drivers.dmesh.messages import Challenge, Hello, Message, Packet
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.simulate.wire_log import Piece

LONGEST: Final = 160                        # characters of a message that are shown


@attrs.frozen
class Told:
    """One thing that happened on one connection."""

    at: float
    link_id: int
    connection: int
    way: str
    what: Message | Rejected | None         # None: it opened, or closed
    corr: int = 0

    def told(self) -> dict[str, Any]:
        """As JSON."""
        dropped = self.what.reason.value if isinstance(self.what, Rejected) else None
        return {
            "at": self.at, "link": f"{self.link_id:08x}", "connection": self.connection, "way": self.way,
            "message": self._name, "corr": self.corr, "dropped": dropped, "content": self._content,
        }

    def __str__(self) -> str:
        text = self._content if len(self._content) <= LONGEST else self._content[:LONGEST] + " …"
        return f"{self.at:10.3f} {self.link_id:08x}/{self.connection} {self.way:5} {self._name} {text}".rstrip()

    @property
    def _name(self) -> str:
        if isinstance(self.what, Rejected):
            return f"dropped: {self.what.reason.value}"
        return "" if self.what is None else self.what.TYPE.name

    @property
    def _content(self) -> str:
        if isinstance(self.what, Rejected):
            return self.what.detail
        return "" if self.what is None else repr(self.what)


@attrs.define(eq=False)
class _Wire:
    """One connection, listened to from both sides."""

    key: bytes | None
    decoders: dict[str, FrameDecoder] = attrs.field(
        factory=lambda: {way: FrameDecoder(HIGHEST_MAX_FRAME) for way in ("up", "down")}
    )
    nonce: bytes = b""
    channels: dict[str, crypto.Channel] = attrs.field(factory=dict)

    def feed(self, way: str, data: bytes) -> Iterator[tuple[Message | Rejected, int]]:
        for event in self.decoders[way].feed(data):
            body: bytes | Rejected = event if isinstance(event, Rejected) else event.body
            if isinstance(event, Frame) and event.secured:
                channel = self.channels.get(way)
                body = channel.open(event) if channel else Rejected(Reject.CRYPTO, "no key, or no handshake before it")
            packet = body if isinstance(body, Rejected) else messages.decode(body)
            if isinstance(packet, Packet):
                self._learn(packet.message, event)
                yield packet.message, packet.corr
            else:
                yield packet, packet.corr

    def _learn(self, message: Message, event: Frame | Rejected) -> None:
        match message:
            case Hello(nonce=nonce):
                self.nonce = nonce
            case Challenge(nonce=nonce) if self.key is not None and isinstance(event, Frame):
                keys = crypto.session_keys(self.key, self.nonce, nonce)
                self.channels = {
                    "up": crypto.Channel(keys, event.link_id, server=True),
                    "down": crypto.Channel(keys, event.link_id, server=False),
                }


def replay(pieces: Iterable[Piece], keys: Mapping[int, bytes]) -> Iterator[Told]:
    """Everything in the record, in its order; what is sealed under a key that is not in `keys` is dropped as crypto."""
    wires: dict[tuple[int, int], _Wire] = {}
    for one in pieces:
        place = one.link_id, one.connection
        if one.way == "open" or place not in wires:
            wires[place] = _Wire(keys.get(one.link_id))
        if one.way in ("open", "close"):
            yield Told(one.at, *place, one.way, None)
            continue
        for what, corr in wires[place].feed(one.way, one.data):
            yield Told(one.at, *place, one.way, what, corr)
