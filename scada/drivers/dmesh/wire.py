"""How fields of DMLP messages become deterministic CBOR and back, with every field checked on the way in.

A message is an attrs class whose fields are annotated with their kind and map key:
`cursor: Annotated[U64, 0]`. A field with a default may be absent and is left out when it has that default.
"""

import math
import typing
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, Protocol, TypeVar

import attrs
import cbor2

from scada.drivers.dmesh.rejected import Reject, Rejected

MAX_DEPTH: Final = 6
R = TypeVar("R")


class Malformed(ValueError):
    """Internal to the decoders of this package: they turn it into `Rejected` at their edge."""


class Kind(Protocol):
    """One type of field."""

    def load(self, value: Any) -> Any:
        """Check what came from outside; raises `Malformed`."""

    def dump(self, value: Any) -> Any:
        """What goes into the map."""


@attrs.frozen
class Int:
    low: int
    high: int

    def load(self, value: Any) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            raise Malformed(f"expected an integer from {self.low} to {self.high}")
        return value

    def dump(self, value: int) -> int:
        return self.load(int(value))


@attrs.frozen
class Choice:
    """An integer that must be one of an enumeration, or of the part of it that is allowed here."""

    of: type[IntEnum]
    only: tuple[IntEnum, ...] = ()      # empty: all

    def load(self, value: Any) -> IntEnum:
        allowed = self.only or tuple(self.of)
        if type(value) is not int or value not in allowed:
            raise Malformed(f"expected one of {', '.join(str(int(one)) for one in allowed)}")
        return self.of(value)

    def dump(self, value: IntEnum) -> int:
        return int(self.load(int(value)))


@attrs.frozen
class Flag:
    def load(self, value: Any) -> bool:
        if type(value) is not bool:
            raise Malformed("expected true or false")
        return value

    def dump(self, value: bool) -> bool:
        return bool(value)


@attrs.frozen
class Real:
    def load(self, value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value):
            raise Malformed("expected a finite number")
        return float(value)

    def dump(self, value: float) -> float:
        return self.load(value)


@attrs.frozen
class Text:
    """Its length is that of its UTF-8, as `.size` of CDDL counts."""

    most: int                           # bytes

    def load(self, value: Any) -> str:
        if type(value) is not str or len(value.encode()) > self.most:
            raise Malformed(f"expected at most {self.most} bytes of text")
        return value

    def dump(self, value: str) -> str:
        return value.encode("utf-8", "replace")[: self.most].decode("utf-8", "ignore")


@attrs.frozen
class Octets:
    least: int
    most: int

    def load(self, value: Any) -> bytes:
        if type(value) is not bytes or not self.least <= len(value) <= self.most:
            raise Malformed(f"expected {self.least} to {self.most} bytes")
        return value

    def dump(self, value: bytes) -> bytes:
        return self.load(bytes(value))


@attrs.frozen
class Scalar:
    """A whole number of 32 bits with sign, or text: what the setting of a device may be."""

    most: int                           # bytes of UTF-8

    def load(self, value: Any) -> int | str:
        if type(value) is int and -(2**31) <= value < 2**31:
            return value
        if type(value) is str and len(value.encode()) <= self.most:
            return value
        raise Malformed(f"expected an integer of 32 bits or at most {self.most} bytes of text")

    def dump(self, value: int | str) -> int | str:
        return self.load(value)


@attrs.frozen
class Many:
    """A list of plain values or of records (classes annotated like messages)."""

    of: Any
    most: int

    def load(self, value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > self.most:
            raise Malformed(f"expected a list of at most {self.most}")
        return tuple(load_fields(self.of, one) if isinstance(self.of, type) else self.of.load(one) for one in value)

    def dump(self, value: Any) -> list[Any]:
        if len(value) > self.most:
            raise Malformed(f"at most {self.most} fit one message")
        return [dump_fields(one) if isinstance(self.of, type) else self.of.dump(one) for one in value]


@attrs.frozen
class Anything:
    """A part with a decoder of its own, which must be able to quarantine what it cannot read."""

    def load(self, value: Any) -> Any:
        return value

    def dump(self, value: Any) -> Any:
        return value


@attrs.frozen
class Place:
    """Where one field stands in the map."""

    name: str
    key: int
    kind: Kind
    default: Any                        # attrs.NOTHING: the field is mandatory


_LAYOUTS: Final[dict[type, tuple[Place, ...]]] = {}


def places(cls: type) -> tuple[Place, ...]:
    """The layout of a message or record class, in the order of its fields; worked out once per class."""
    if cls not in _LAYOUTS:
        hints = typing.get_type_hints(cls, include_extras=True)
        found = []
        for field in attrs.fields(cls):
            kind, key = hints[field.name].__metadata__
            found.append(Place(field.name, key, kind, field.default))
        _LAYOUTS[cls] = tuple(found)
    return _LAYOUTS[cls]


_LOADS: Final[dict[type, tuple[tuple[str, int, Callable[[Any], Any], bool], ...]]] = {}


def _loads(cls: type) -> tuple[tuple[str, int, Callable[[Any], Any], bool], ...]:
    """The same as what reading a message goes through for every field: name, key, check, whether it must be there."""
    _LOADS[cls] = tuple((one.name, one.key, one.kind.load, one.default is attrs.NOTHING) for one in places(cls))
    return _LOADS[cls]


def load_fields(cls: type[R], content: Any) -> R:
    """A message or record from its map; raises `Malformed` naming the field. Unknown keys are ignored."""
    if not isinstance(content, Mapping):
        raise Malformed("expected a map")
    values: dict[str, Any] = {}
    name = ""
    try:
        for name, key, load, mandatory in _LOADS.get(cls) or _loads(cls):
            if key in content:
                values[name] = load(content[key])
            elif mandatory:
                raise Malformed("missing")
    except Malformed as problem:
        raise Malformed(f"{name}: {problem}") from None
    return cls(**values)


def dump_fields(record: Any) -> dict[int, Any]:
    """The map of a message or record."""
    content = {}
    for place in places(type(record)):
        value = getattr(record, place.name)
        if place.default is attrs.NOTHING or value != place.default:
            content[place.key] = place.kind.dump(value)
    return content


def pack(item: Any) -> bytes:
    """Deterministic CBOR (RFC 8949, 4.2.1)."""
    return cbor2.dumps(item, canonical=True)


def unpack(data: bytes) -> Any:
    """
    One CBOR item, or `Rejected`.

    cbor2 alone would accept bytes after the item and compute tagged values (big floats, regular expressions), so the
    heads are walked first: definite lengths only, no tags, at most `MAX_DEPTH` deep, nothing behind the item.
    """
    if not _plain(data):
        return Rejected(Reject.CBOR, "not one plain, definite CBOR item")
    try:
        return cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False, max_depth=MAX_DEPTH)
    except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError, OverflowError) as problem:
        return Rejected(Reject.CBOR, type(problem).__name__)


def _steps() -> bytes:
    """By the first byte of an item: its length, where that alone tells it; 0 where more must be looked at."""
    steps = bytearray(256)
    for head in range(256):
        major, argument = head >> 5, head & 0x1F
        if major in (0, 1, 7) and argument <= 27:           # 28 and above: reserved, or indefinite
            steps[head] = 1 if argument < 24 else 1 + (1 << (argument - 24))
        elif major in (2, 3) and argument < 24:
            steps[head] = 1 + argument
    return bytes(steps)


_STEPS: Final = _steps()


def _plain(data: bytes) -> bool:
    """Whether the bytes are exactly one item of the plain subset; cost bounded by the length of `data`."""
    at, size, steps = 0, len(data), _STEPS
    left = 1                            # items still expected in the innermost container,
    outer: list[int] = []               # and in those around it
    while True:
        while left:
            left -= 1
            if at >= size:
                return False
            head = data[at]
            if step := steps[head]:
                at += step              # beyond the end: found out with the next item, or at last
                continue
            major, argument = head >> 5, head & 0x1F
            at += 1
            if argument >= 24:
                if argument > 27:       # reserved or indefinite
                    return False
                width = 1 << (argument - 24)
                argument = int.from_bytes(data[at:at + width], "big")
                at += width
            if major < 4:
                at += argument
                continue
            items = argument * (major - 3)
            if major > 5 or items > size - at or len(outer) >= MAX_DEPTH:       # 6: a tag
                return False
            outer.append(left)
            left = items
        if not outer:
            return at == size
        left = outer.pop()
