"""docs/dmlp.md is held against the code: type numbers, map keys, kinds, codes, the state table, the golden frames."""

import json
import re
from enum import IntEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from scada.commands import Action, LoadClass
from scada.drivers.dmesh import machine, messages, numbers, profile, wire
from scada.events import EventCode
from scada.intervals import IntervalStatus

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/dmlp.md").read_text(encoding="utf-8")
CDDL = "\n".join(re.findall(r"```cddl\n(.*?)```", TEXT, re.DOTALL))
ALIASES = {name: value for name, value in vars(messages).items() if hasattr(value, "__metadata__")}
CDDL_NAME = {
    "U8": "u8", "U16": "u16", "U32": "u32", "U64": "u64", "Number": "number", "Seconds": "seconds", "Hour": "hour",
    "Index": "index", "Parent": "parent", "Dbm": "dbm", "Level": "level", "Bool": "bool", "Nonce": "octets16",
    "Mac64": "octets8", "Bitmap": "bitmap",
}
RECORDS = {
    "sample": messages.Sample, "event": messages.Event, "module": messages.ModuleEntry, "refusal": messages.Refusal,
    "node": messages.TopologyNode, "link-stat": messages.LinkStat, "param": messages.Param, "reading": messages.Reading,
    "alternative": messages.Alternative, "neighbour": messages.Neighbour, "manifest": messages.Manifest,
    "missing": messages.Missing, "fw-device": messages.FwDevice,
}
CHOICES = {
    "Action": "action", "LoadClass": "load-class", "ClockMode": "clock-mode", "KeyTarget": "key-target", "Holder": "holder",
}


def cddl(kind: Any) -> str:
    """One of our kinds as CDDL; names where docs/dmlp.md has one."""
    for name, alias in ALIASES.items():
        if alias.__metadata__[0] == kind and name in CDDL_NAME:
            return CDDL_NAME[name]
    match kind:
        case wire.Int(low, high):
            return f"{low}..{high}"
        case wire.Choice(of, only):
            return f"group-{CHOICES[of.__name__]}" if only else CHOICES[of.__name__]
        case wire.Text(most):
            return f"tstr .size (0..{most})"
        case wire.Octets(least, most):
            return f"bstr .size {most}" if least == most else f"bstr .size ({least}..{most})"
        case wire.Scalar():
            return "param-value"
        case wire.Real():
            return "float / int"
        case wire.Anything():
            return "block"
        case wire.Many(of, most):
            inner = next((name for name, cls in RECORDS.items() if cls is of), None) or cddl(of)
            return f"[0*{most} {inner}]"
    raise AssertionError(kind)


def documented(body: str) -> list[tuple[int, str, str, bool]]:
    """(key, name, type, optional) of the fields in one CDDL map."""
    fields = re.findall(r"^\s*(\? )?(\d+): (.+?),?\s+; (\w+)", body, re.M)
    return [(int(key), name, kind, bool(optional)) for optional, key, kind, name in fields]


def expected(cls: type) -> list[tuple[int, str, str, bool]]:
    """The same from the code. MACs have a default only because they are filled in last."""
    return sorted(
        (place.key, place.name, cddl(place.kind), place.default is not attrs.NOTHING and place.name != "mac")
        for place in wire.places(cls)
    )


MESSAGES = {
    int(number, 16): body for number, body in re.findall(r"^\S+ = \[0x([0-9A-F]{2}), corr, \{(.*?)\}\]", CDDL, re.M | re.S)
}


def test_every_message_type_is_documented_and_no_other() -> None:
    """The numbers in the CDDL are those of the code."""
    assert set(MESSAGES) == set(messages.BY_TYPE) == {int(one) for one in numbers.Type}


@pytest.mark.parametrize("number", sorted(messages.BY_TYPE), ids=lambda number: numbers.Type(number).name)
def test_the_documented_fields_are_those_of_the_code(number: int) -> None:
    """Key, name, type and optionality of every field."""
    assert documented(MESSAGES[number]) == expected(messages.BY_TYPE[number])


def test_every_record_inside_a_message_is_among_those_compared() -> None:
    """Found through the messages, so that a new record cannot be forgotten."""
    seen: set[type] = set()
    rest: list[type] = [*messages.BY_TYPE.values(), messages.Manifest]
    while rest:
        inner = [
            place.kind.of for place in wire.places(rest.pop())
            if isinstance(place.kind, wire.Many) and isinstance(place.kind.of, type)
        ]
        rest += [one for one in inner if one not in seen]
        seen |= set(inner)

    assert seen | {messages.Manifest} == set(RECORDS.values())


def test_the_documented_choices_are_those_of_the_code() -> None:
    """The CDDL's ranges of enumerations, and the part of the actions that groups may be given."""
    ranges = {name: (int(low), int(high)) for name, low, high in re.findall(r"^([a-z-]+) = (\d+)\.\.(\d+)\b", CDDL, re.M)}
    used = {
        cddl(place.kind): place.kind for cls in messages.BY_TYPE.values() for place in wire.places(cls)
        if isinstance(place.kind, wire.Choice)
    }

    assert set(used) == {*CHOICES.values(), "group-action"}
    for name, kind in used.items():
        allowed = [int(one) for one in kind.only or kind.of]
        assert allowed == list(range(ranges[name][0], ranges[name][1] + 1)), name


def test_the_table_of_messages_says_who_sends_what() -> None:
    """Number, name and direction of every message, and no other."""
    rows = re.findall(r"^\| 0x([0-9A-F]{2}) \| (\w+) \| (\w+) \| .+ \|", TEXT, re.M)

    assert {(int(number, 16), name, who) for number, name, who in rows} == {
        (int(one), one.name, "both" if one in numbers.EITHER else
         "concentrator" if one in numbers.FROM_CONCENTRATOR else "server")
        for one in numbers.Type
    }


def test_the_answers_named_in_the_text_are_those_of_the_code() -> None:
    """With a corr these are answers, everything else is a request."""
    sentence = re.search(r"within one\s+session\. (.*?) with a corr are answers;", TEXT, re.S)

    assert sentence is not None
    assert set(re.findall(r"[A-Z_]{4,}", sentence[1])) == {one.name for one in numbers.ANSWERS}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_the_documented_records_are_those_of_the_code(name: str) -> None:
    """The maps inside lists."""
    match = re.search(rf"^{name} = \{{(.*?)^\}}", CDDL, re.M | re.S)

    assert match is not None
    assert documented(match[1]) == expected(RECORDS[name])


def documented_defaults(body: str) -> dict[int, Any]:
    """What an absent field means: said in its comment, else 0, "", empty or false."""
    found: dict[int, Any] = {}
    for key, comment in re.findall(r"^\s*\? (\d+): .+?\s+; (.*)$", body, re.M):
        said = re.search(r"default (true|\d+)", comment)
        found[int(key)] = 0 if said is None else True if said[1] == "true" else int(said[1])
    return found


@pytest.mark.parametrize("cls", [*messages.BY_TYPE.values(), *RECORDS.values()], ids=lambda cls: cls.__name__)
def test_an_absent_field_means_what_is_documented(cls: type) -> None:
    """A sender leaves out what has its default, so both ends must have the same."""
    name = next((name for name, record in RECORDS.items() if record is cls), "")
    match = re.search(rf"^{name} = \{{(.*?)^\}}", CDDL, re.M | re.S)
    body = match[1] if name and match else MESSAGES[int(getattr(cls, "TYPE", 0))]
    ours = {
        place.key: place.default if isinstance(place.default, int) else int(any(place.default))
        for place in wire.places(cls) if place.default is not attrs.NOTHING and place.name != "mac"
    }

    assert ours == documented_defaults(body)


def test_the_documented_block_has_the_keys_of_the_code() -> None:
    """PROFILE's block is read by `profile`, not by the generic decoder."""
    match = re.search(r"^block = \{(.*?)^\}", CDDL, re.M | re.S)

    assert match is not None
    assert {(key, name) for key, name, _, _ in documented(match[1])} == {
        (int(key), key.name.lower()) for key in profile.Key
    }


@pytest.mark.parametrize(
    ("heading", "enum"),
    [
        ("Result codes", numbers.Code), ("Reasons of CLOSE", numbers.Reason), ("Event codes", EventCode),
        ("Actions", Action), ("Load classes", LoadClass), ("Sensors", numbers.Sensor),
        ("Status bits", IntervalStatus), ("Capabilities", numbers.Capability), ("Key targets", numbers.KeyTarget),
        ("Clock modes", numbers.ClockMode), ("Holders", numbers.Holder), ("Firmware states", numbers.FirmwareState),
        ("Parameters", numbers.Parameter),
    ],
)
def test_the_documented_numbers_are_those_of_the_code(heading: str, enum: type[IntEnum]) -> None:
    """Each table of numbers, complete and exact."""
    section = re.search(rf"^\*\*{heading}\*\*:(.*?)\.$", TEXT, re.M | re.S)

    assert section is not None
    assert dict(re.findall(r"(\d+) ([A-Z][A-Z_]+)", section[1])) == {str(int(one)): one.name for one in enum}


def test_the_documented_state_table_is_the_one_that_runs() -> None:
    """Every row of the server's table, and no other."""
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| (.*?) \|$", TEXT, re.M)
    table = {
        (before.name, what.name, after.name, ", ".join(action.value for action in actions) or "nothing")
        for (before, what), (after, actions) in machine.TRANSITIONS.items()
    }

    assert {row for row in rows if row[0] in machine.State.__members__} == table


def test_the_golden_values_stand_in_the_document() -> None:
    """What is tested is what is printed."""
    golden = json.loads((ROOT / "tests/golden/dmlp/frames.json").read_text())
    printed = re.sub(r"\s+", "", TEXT)

    for value in (golden["auth_key"], golden["sid"], golden["ping"]["frame"], golden["profile"]["frame"]):
        assert value in printed
