"""A message to its CBOR body and back, with its correlation number; both ways pure."""

from functools import lru_cache
from typing import Final

import attrs

from scada.drivers.dmesh import wire
from scada.drivers.dmesh.messages.base import BY_TYPE, Message
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.rejected import Reject, Rejected

SAID_TO_MANY: Final = frozenset({Type.GROUP_COMMAND})      # one and the same for every concentrator of a city
ARCHIVED: Final = frozenset({Type.PROFILE, Type.SAMPLES})   # messages that may be records of an archive


@attrs.frozen
class Packet:
    """One message with its correlation number."""

    message: Message
    corr: int = 0


def encode(message: Message, corr: int = 0) -> bytes:
    """The deterministic CBOR body of a message."""
    if message.TYPE in SAID_TO_MANY:
        return b"\x83" + wire.pack(int(message.TYPE)) + wire.pack(corr) + _content(message)
    return wire.pack([int(message.TYPE), corr, wire.dump_fields(message)])


@lru_cache(maxsize=8)
def _content(message: Message) -> bytes:
    return wire.pack(wire.dump_fields(message))


def decode(body: bytes) -> Packet | Rejected:
    """A message from a body; every field is checked, no input raises."""
    item = wire.unpack(body)
    if isinstance(item, Rejected):
        return item
    if type(item) is not list or len(item) != 3:
        return Rejected(Reject.MESSAGE, "expected [type, corr, map]")
    number, corr, content = item
    numbers = type(number) is int and type(corr) is int and 0 <= number <= 0xFFFF and 0 <= corr <= 0xFFFF_FFFF
    if not numbers or type(content) is not dict:
        return Rejected(Reject.MESSAGE, "expected [type, corr, map]")
    cls = BY_TYPE.get(number)
    if cls is None:
        return Rejected(Reject.UNKNOWN_TYPE, f"type {number:#04x}", type=number, corr=corr)
    try:
        return Packet(wire.load_fields(cls, content), corr)
    except wire.Malformed as problem:
        record = _record(content) if number in ARCHIVED else 0
        detail, evidence = f"{Type(number).name}: {problem}", body if record else b""
        return Rejected(Reject.FIELD, detail, type=number, corr=corr, record=record, body=evidence)


def _record(content: dict[object, object]) -> int:
    """The archive record that a message which is not understood carries; 0 if it is none."""
    number = content.get(0)
    return number if type(number) is int and 0 < number < 2**63 else 0


def without(body: bytes, key: int) -> bytes:
    """The body of a handshake message that came in, encoded again without one map key: what its MAC is over."""
    number, corr, content = wire.unpack(body)
    return wire.pack([number, corr, {one: value for one, value in content.items() if one != key}])


CHALLENGE_MAC_KEY: Final = 5
AUTH_MAC_KEY: Final = 0
