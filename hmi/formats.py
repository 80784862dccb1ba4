"""How a value becomes text: display unit, decimals, age, quality. The browser's part is told the same numbers."""

import json
import math
import re
from typing import Any, Final

import attrs
from babel.numbers import format_decimal
from flask import g

from hmi.i18n import _
from hmi.labels import QUALITY, QUALITY_SYMBOL
from scada.clock import NS
from scada.ports import TagSource
from scada.tags import BAD, UNCERTAIN, Quality, Snapshot, TagDef

DASH: Final = "–"
HEXADECIMAL: Final = re.compile("[0-9a-f]+")
DISPLAY: Final = {                      # SI unit -> what people read at a transformer, factor, decimals
    "W": ("kW", 0.001, 2), "VA": ("kVA", 0.001, 2), "var": ("kvar", 0.001, 2), "V": ("V", 1.0, 1), "A": ("A", 1.0, 1),
}


@attrs.frozen
class Cell:
    """One live value as a template shows it and as the browser keeps it alive."""

    tag: str
    text: str
    unit: str
    scale: float
    digits: int
    quality: int
    symbol: str
    quality_text: str
    at: int                             # ns; 0 = never
    age: str
    raw: float

    @property
    def css(self) -> str:
        if self.quality == Quality.BAD_WAITING:
            return "none"                # nothing ever came: nothing is wrong with it
        return "bad" if self.quality >= BAD else "unsure" if self.quality >= UNCERTAIN else "good"


def number(value: float | None, digits: int = 1) -> str:
    """A number in the language of the request; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    pattern = "#,##0." + "0" * digits if digits else "#,##0"
    return str(format_decimal(value, format=pattern, locale=g.get("language", "en")))


def age(ns: int) -> str:
    """An age in its largest unit: 3 s, 5 min, 2 h, 4 d."""
    seconds = max(0, ns // NS)
    if seconds < 120:
        return _("%(n)s s", n=seconds)
    if seconds < 7200:
        return _("%(n)s min", n=seconds // 60)
    if seconds < 172_800:
        return _("%(n)s h", n=seconds // 3600)
    return _("%(n)s d", n=seconds // 86_400)


def duration(seconds: float) -> str:
    return age(int(seconds) * NS)


class Cells:
    """Makes cells of one snapshot, so that a page shows one instant."""

    def __init__(self, bus: TagSource) -> None:
        self.shot: Snapshot = bus.snapshot()
        self._defs: dict[str, TagDef] = {}
        self._devices = bus.devices()

    def definition(self, tag: str) -> TagDef:
        """What is known of a tag; a bare definition where there is no such tag."""
        if tag not in self._defs:
            name, _slash, point = tag.partition("/")
            device = self._devices.get(name)
            self._defs.update({f"{name}/{one.point}": one for one in (device.tags if device else ())})
            self._defs.setdefault(tag, TagDef(point))
        return self._defs[tag]

    def __call__(self, tag: str) -> Cell:
        value, quality, at = self.shot.get(tag)
        known = self.definition(tag)
        unit, scale, digits = DISPLAY.get(known.unit, (known.unit, 1.0, known.digits))
        return Cell(
            tag=tag, text=number(value * scale, digits), unit=unit, scale=scale, digits=digits, quality=int(quality),
            symbol=QUALITY_SYMBOL[quality], quality_text=str(QUALITY[quality]), at=at,
            age=age(self.shot.taken - at) if at else "", raw=value,
        )

    def value(self, tag: str) -> float:
        """The number itself, NaN where its quality forbids to reckon with it."""
        value, quality, _at = self.shot.get(tag)
        return value if quality < BAD else math.nan


def detail(text: str) -> str:
    """The audit's line of JSON as people read it; what is empty is left out, long digests are cut."""
    try:
        return _readable(json.loads(text))
    except ValueError:
        return text


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_readable(inner)}" for name, inner in value.items() if inner not in ({}, [], "", None))
    if isinstance(value, list):
        return ", ".join(_readable(inner) for inner in value)
    if isinstance(value, bool):
        return str(value).lower()
    said = str(value)
    return f"{said[:8]}…" if len(said) >= 32 and HEXADECIMAL.fullmatch(said) else said


def quality_words(quality: int) -> dict[str, Any]:
    known = Quality(quality)
    return {"symbol": QUALITY_SYMBOL[known], "text": str(QUALITY[known])}
