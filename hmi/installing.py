"""What a form or a program says of an installation, read and judged; every fault by the step it belongs to. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from hmi.i18n import _
from scada.clock import NS
from scada.dial import Installation, Shown, read_dial
from scada.eui import read_eui
from scada.site import Medium

STEPS: Final = ("meter", "dial", "photo", "confirm")
FIELDS: Final = ("serial", "medium", "constant", "point", "dial", "at", "photo", "key")
LONGEST: Final = 200
_KEY: Final = re.compile(r"[0-9A-Za-z._:-]{1,64}")
_CONSTANT: Final = re.compile(r"[0-9]{1,9}([.,][0-9]{1,6})?")


@attrs.frozen
class Said:
    """The fields of the form as far as they were filled in."""

    fields: dict[str, str]
    faults: dict[str, str]              # by field, in the visitor's language

    def fault_of(self, step: str) -> dict[str, str]:
        return {field: text for field, text in self.faults.items() if field in OF_STEP[step]}

    def reached(self, wanted: str) -> str:
        """The step that was asked for, or the first before it that has a fault."""
        before = STEPS[: STEPS.index(wanted)] if wanted in STEPS else ()
        return next((step for step in before if self.fault_of(step)), wanted if wanted in STEPS else STEPS[0])


OF_STEP: Final[dict[str, tuple[str, ...]]] = {
    "meter": ("serial", "medium", "constant", "point"), "dial": ("dial", "at"), "photo": ("photo",), "confirm": ("key",),
}


def said(given: Mapping[str, str]) -> Said:
    """Read what was filled in."""
    fields = {name: given.get(name, "").strip()[:LONGEST] for name in FIELDS}
    faults: dict[str, str] = {}
    if not fields["serial"]:
        faults["serial"] = _("The meter's serial number is missing.")
    if _CONSTANT.fullmatch(fields["constant"]) is None or not number(fields["constant"]) > 0:
        faults["constant"] = _("Expected a number above 0, as on the meter's plate: 1000 imp/kWh is 1000.")
    if fields["medium"] not in {*Medium, ""}:
        faults["medium"] = _("Choose one of the media.")
    try:
        read_dial(fields["dial"])
    except ValueError:
        faults["dial"] = _("Expected all digits as the dial shows them, with the zeros in front: 01234.5")
    if not (fields["at"].isdecimal() and len(fields["at"]) < 12):
        faults["at"] = _("The time of the reading is missing.")
    if _KEY.fullmatch(fields["key"]) is None:
        faults["key"] = _("The form is incomplete: begin anew.")
    return Said(fields, faults)


def number(text: str) -> float:
    return float(text.replace(",", "."))


def installation(eui: int, channel: int, fields: Mapping[str, str]) -> Installation:
    """From fields without faults."""
    return Installation(
        eui, channel, fields["serial"], number(fields["constant"]), read_dial(fields["dial"]), int(fields["at"]) * NS,
        fields["key"], fields["medium"], fields["point"], fields["photo"],
    )


def eui_of(text: str) -> tuple[int | None, str]:
    """The EUI that was typed or scanned, or what is wrong with it."""
    try:
        return read_eui(text), ""
    except ValueError as error:
        return None, str(error)


def dial_of(value: Any) -> Shown:
    """A dial out of JSON: text keeps its places, a number is taken as it is written. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected the dial as text, as \"01234.5\"")
    return read_dial(value if isinstance(value, str) else f"{value:.4f}".rstrip("0").rstrip("."))
