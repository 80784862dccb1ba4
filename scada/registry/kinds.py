"""The kinds of thing a site holds, and how each of their fields is written as text: the one table behind every format."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from operator import attrgetter
from typing import Any, Final

import attrs

from scada.clock import HOUR_S
from scada.commands import LoadClass
from scada.site import (
    Adoption,
    BalanceGroup,
    BalanceMember,
    Concentrator,
    Consumer,
    Feeder,
    GroupKind,
    Linecode,
    Load,
    LoadGroup,
    Medium,
    MemberRole,
    MeterPeriod,
    MeterTerms,
    Module,
    ModuleState,
    Point,
    Replacement,
    Section,
    Supply,
    SupplyKind,
    Transformer,
)


@attrs.frozen
class Form:
    """How one value is read from text and written for people."""

    read: Callable[[str], Any]          # raises ValueError with what was expected
    plain: Callable[[Any], Any]         # the value as YAML and JSON have it: text, number or truth
    many: bool = False                  # a list of such values
    empty_is_value: bool = False        # text: nothing written is the empty text, not the default

    def text(self, value: Any) -> str:
        """The value as a CSV cell has it."""
        plain = self.plain(value)
        return {True: "true", False: "false"}[plain] if isinstance(plain, bool) else str(plain)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f"expected a whole number, found {text!r}")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError(f"expected a number such as 12.5, found {text!r}")
    return float(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"expected true or false, found {text!r}")
    return text.lower() == "true"


def _hour(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.timestamp() % HOUR_S:
        raise ValueError(f"expected a full hour in UTC such as 2026-01-01T00:00Z, found {text!r}")
    return int(at.timestamp()) // HOUR_S


def hour_text(hour: int) -> str:
    """An hour since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _hexadecimal(digits: int) -> Form:
    def read(text: str) -> int:
        if not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", text):
            raise ValueError(f"expected {digits} hexadecimal digits, found {text!r}")
        return int(text, 16)

    return Form(read, lambda value: f"{value:0{digits}X}")


def _choice(values: type[Enum]) -> Form:
    names = {one.name.lower(): one for one in values}

    def read(text: str) -> Enum:
        if text.lower() not in names:
            raise ValueError(f"expected one of {', '.join(names)}, found {text!r}")
        return names[text.lower()]

    return Form(read, lambda value: value.name.lower())


TEXT: Final = Form(str, str, empty_is_value=True)
EUI: Final = _hexadecimal(16)
HOUR: Final = Form(_hour, hour_text)
_BY_TYPE: Final[dict[Any, Form]] = {
    str: TEXT,
    int: Form(_integer, int),
    float: Form(_number, float),
    bool: Form(_truth, bool),
    float | None: Form(_number, float),
    **{
        one: _choice(one)
        for one in (Adoption, GroupKind, LoadClass, Medium, MemberRole, ModuleState, SupplyKind)
    },
    tuple[int, ...]: attrs.evolve(EUI, many=True),
    tuple[str, ...]: attrs.evolve(TEXT, many=True),
    tuple[float, ...]: Form(_number, float, many=True),
}
_BY_NAME: Final[dict[str, Form]] = {
    "eui": EUI, "heir": EUI, "link_id": _hexadecimal(8), "valid_from": HOUR, "valid_to": HOUR, "hour": HOUR,
}


@attrs.frozen
class Kind:
    """One kind: its name in files, its class, what tells two of them apart, and its fields."""

    name: str
    cls: type[Any]
    key: tuple[str, ...]
    forms: dict[str, Form]
    defaults: dict[str, Any]            # fields without an entry here must be given
    take_key: Callable[[Any], Any]      # one value, or a tuple of them
    kept: tuple[str, ...] = ()          # fields the registry knows better than a file that does not name them

    def key_of(self, thing: Any) -> Any:
        """What identifies a thing: one value, or a tuple of them."""
        return self.take_key(thing)

    def label(self, thing: Any) -> str:
        """A thing's key as people write it."""
        return " ".join(self.forms[field].text(getattr(thing, field)) for field in self.key)


def _kind(name: str, cls: type[Any], *key: str, kept: tuple[str, ...] = ()) -> Kind:
    fields = attrs.fields(attrs.resolve_types(cls))
    forms = {field.name: _BY_NAME.get(field.name) or _BY_TYPE[field.type] for field in fields}
    defaults = {field.name: field.default for field in fields if field.default is not attrs.NOTHING}
    return Kind(name, cls, key, forms, defaults, attrgetter(*key), kept)


# In the order in which things may refer to each other.
KINDS: Final = (
    _kind("transformers", Transformer, "name"),
    _kind("feeders", Feeder, "name"),
    _kind("linecodes", Linecode, "name"),
    _kind("sections", Section, "name"),
    _kind("concentrators", Concentrator, "name"),
    _kind("modules", Module, "eui", kept=("state",)),
    _kind("consumers", Consumer, "name"),
    _kind("points", Point, "name"),
    _kind("meters", MeterPeriod, "eui", "channel", "valid_from"),
    _kind("loads", Load, "eui"),
    _kind("load_groups", LoadGroup, "name"),
    _kind("balance_groups", BalanceGroup, "name"),
    _kind("balance_members", BalanceMember, "group", "member", "valid_from"),
    _kind("replacements", Replacement, "eui"),
    _kind("supplies", Supply, "point"),
    _kind("meter_terms", MeterTerms, "medium"),
)
KIND: Final = {kind.name: kind for kind in KINDS}
