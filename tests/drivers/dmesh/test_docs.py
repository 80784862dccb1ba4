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
    "node": messages.TopologyNode, "link-stat": messages.LinkStat,
}


def cddl(kind: Any) -> str:
    """One of our kinds as CDDL; names where docs/dmlp.md has one."""
    for name, alias in ALIASES.items():
        if alias.__metadata__[0] == kind and name in CDDL_NAME:
            return CDDL_NAME[name]
    match kind:
        case wire.Int(low, high):
            return f"{low}..{high}"
        case wire.Choice(of):
            return {"Action": "action", "LoadClass": "load-class", "ClockMode": "clock-mode", "KeyTarget": "key-target"}[
                of.__name__
            ]
        case wire.Text(most):
            return f"tstr .size (0..{most})"
        case wire.Octets(least, most):
            return f"bstr .size {most}" if least == most else f"bstr .size ({least}..{most})"
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


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_the_documented_records_are_those_of_the_code(name: str) -> None:
    """The maps inside lists."""
    match = re.search(rf"^{name} = \{{(.*?)^\}}", CDDL, re.M | re.S)

    assert match is not None
    assert documented(match[1]) == expected(RECORDS[name])


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
        ("Clock modes", numbers.ClockMode),
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

    assert {row for row in rows if row[1] in machine.Happening.__members__} == table


def test_the_golden_values_stand_in_the_document() -> None:
    """What is tested is what is printed."""
    golden = json.loads((ROOT / "tests/golden/dmlp/frames.json").read_text())
    printed = re.sub(r"\s+", "", TEXT)

    for value in (golden["auth_key"], golden["sid"], golden["ping"]["frame"], golden["profile"]["frame"]):
        assert value in printed
