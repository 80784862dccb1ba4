"""What a person can do with a module in each state, what to do next about an event, and how a dialog's form is read."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
from flask import url_for
from flask_babel import lazy_gettext as _l

from hmi.i18n import _
from hmi.services import Services
from scada.clock import HOUR_S
from scada.ports import Alarm
from scada.site import Directory, Module, ModuleState, StepKind, Swap, SwappedMeter
from scada.swaps import unread, with_counted

_S = ModuleState
OFFERED: Final[dict[ModuleState, tuple[StepKind, ...]]] = {
    _S.PLANNED: (StepKind.COMMISSION, StepKind.MOVE, StepKind.RETIRE),
    _S.DISCOVERED: (StepKind.COMMISSION, StepKind.ADOPT, StepKind.MOVE, StepKind.RETIRE),
    _S.COMMISSIONING: (StepKind.ADOPT, StepKind.MOVE, StepKind.RETIRE),
    _S.ACTIVE: (StepKind.MOVE, StepKind.RETIRE),
    _S.LOST: (StepKind.MOVE, StepKind.RETIRE),
    _S.REPLACED: (),
    _S.RETIRED: (),
}
SWAPPABLE: Final = (_S.COMMISSIONING, _S.ACTIVE, _S.LOST)
STEP: Final[dict[StepKind, Any]] = {
    StepKind.COMMISSION: _l("Begin to put it into service"), StepKind.ADOPT: _l("Adopt"),
    StepKind.RETIRE: _l("Take it out of service"), StepKind.MOVE: _l("Move it to another concentrator"),
}
NEXT: Final[dict[str, Any]] = {
    "wrong_subnet": _l(
        "Another concentrator hears this module than the one it is registered at. If it belongs there, move it; "
        "if not, check its place and what is between it and its own concentrator."
    ),
    "duplicate_eui": _l(
        "Two modules call themselves by this EUI. Go to both places; put a new module in the place of one of them."
    ),
    "unexpected_channel": _l(
        "A meter hangs on a channel that this module does not have: exchange the meter's channel, or the module. "
        "Or something counts on a channel where no meter is registered or planned: enter it."
    ),
    "module_gone_heard": _l(
        "It is out of service here and is heard all the same. Take it down on site, or take it off its concentrator's list."
    ),
    "module_lost": _l(
        "It is not heard. Check its supply and the modules it reaches the concentrator through; if it is broken, put "
        "another in its place."
    ),
}
_CHANNEL: Final = re.compile(r"\.ch[0-7]$")
_HEARD_AT: Final = re.compile(r"heard at (?P<where>.+)$")


def module_of(directory: Directory, source: str) -> Module | None:
    """The module that an alarm's source is, or is a tag or channel of."""
    return directory.module_of_name.get(_CHANNEL.sub("", source.partition("/")[0]))


def next_page(directory: Directory, alarm: Alarm) -> str | None:
    """The page where it is solved; None where there is none of its own."""
    if alarm.kind.startswith("leak_"):
        return url_for("leaks.page", medium=alarm.kind.removeprefix("leak_"))
    module = module_of(directory, alarm.source) if alarm.kind in NEXT else None
    return None if module is None else url_for("modules.one", name=module.name) + "#next"


@attrs.frozen
class Advice:
    """What to do about one event, and the dialog that does it."""

    alarm: Alarm
    text: str
    label: str = ""
    url: str = ""


def advice(directory: Directory, module: Module, alarms: tuple[Alarm, ...]) -> list[Advice]:
    """What to do next about a module, event by event."""
    found = []
    for alarm in alarms:
        if alarm.kind not in NEXT or module_of(directory, alarm.source) is not module:
            continue
        label = url = ""
        if alarm.kind == "wrong_subnet" and (heard := _HEARD_AT.search(alarm.detail)):
            where = heard["where"]
            label = _("Move it to %(name)s", name=where)
            url = url_for("modules.step", name=module.name, kind="move", concentrator=where)
        elif alarm.kind in ("duplicate_eui", "module_lost", "unexpected_channel") and module.state in SWAPPABLE:
            label, url = _("Put another module in its place"), url_for("swaps.module", name=module.name)
        found.append(Advice(alarm, str(NEXT[alarm.kind]), label, url))
    return found


def counted(services: Services, swap: Swap) -> Swap:
    """A swap in which a final register that nobody read is the one the server has counted, where it has."""
    directory = services.registry.directory
    points = [one.point for one in unread(directory, swap)]
    found = services.metering.register(points, swap.hour).tolist() if points else []
    return with_counted(directory, swap, dict(zip(points, found, strict=True)))


class FormError(ValueError):
    """What is wrong with a dialog's form, in words for the person who filled it in."""


def hour_of(text: str, zone: str) -> int:
    """A full hour of site time as an hour since 1970."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise FormError(_("The hour is not readable: expected a date and a full hour.")) from None
    seconds = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).timestamp()
    if seconds % HOUR_S:
        raise FormError(_("Expected a full hour: meters change on the hour."))
    return int(seconds) // HOUR_S


def eui_of(text: str) -> int:
    """An EUI as people write it."""
    digits = re.sub(r"[\s:.-]", "", text)
    if not re.fullmatch(r"[0-9A-Fa-f]{16}", digits):
        raise FormError(_("Expected the 16 hexadecimal digits of an EUI."))
    return int(digits, 16)


def meter_of(form: Mapping[str, str], channel: int) -> SwappedMeter:
    """What a dialog says of one channel; fields left empty stay as they were."""

    def number(name: str) -> float | None:
        text = form.get(f"{name}-{channel}", "").strip().replace(",", ".").replace(" ", "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0:
            raise FormError(_("Channel %(channel)s: expected a number, not %(text)s.", channel=channel, text=text[:20]))
        return value

    new = number("channel")
    return SwappedMeter(
        channel, number("final"), None if new is None else int(new), form.get(f"serial-{channel}", "").strip()[:64],
        number("constant"), number("start"),
    )
