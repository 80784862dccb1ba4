"""A message to its CBOR body and back, with its correlation number; both ways pure."""

from typing import Final

import attrs

from scada.drivers.dmesh import wire
from scada.drivers.dmesh.messages.base import BY_TYPE, Message
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.rejected import Reject, Rejected


@attrs.frozen
class Packet:
    """One message with its correlation number."""

    message: Message
    corr: int = 0


def encode(message: Message, corr: int = 0) -> bytes:
    """The deterministic CBOR body of a message."""
    return wire.pack([int(message.TYPE), corr, wire.dump_fields(message)])


def decode(body: bytes) -> Packet | Rejected:
    """A message from a body; every field is checked, no input raises."""
    item = wire.unpack(body)
    if isinstance(item, Rejected):
        return item
    match item:
        case [int(number), int(corr), dict(content)] if (
            type(number) is int and type(corr) is int and 0 <= number <= 0xFFFF and 0 <= corr <= 0xFFFF_FFFF
        ):
            pass
        case _:
            return Rejected(Reject.MESSAGE, "expected [type, corr, map]")
    cls = BY_TYPE.get(number)
    if cls is None:
        return Rejected(Reject.UNKNOWN_TYPE, f"type {number:#04x}", type=number, corr=corr)
    try:
        return Packet(wire.load_fields(cls, content), corr)
    except wire.Malformed as problem:
        return Rejected(Reject.FIELD, f"{Type(number).name}: {problem}", type=number, corr=corr)


def without(body: bytes, key: int) -> bytes:
    """The body of a handshake message that came in, encoded again without one map key: what its MAC is over."""
    number, corr, content = wire.unpack(body)
    return wire.pack([number, corr, {one: value for one, value in content.items() if one != key}])


CHALLENGE_MAC_KEY: Final = 5
AUTH_MAC_KEY: Final = 0
