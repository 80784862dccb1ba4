"""Events of history: what devices and alarms said, of a device, a point or a group, newest first."""

from typing import Any, Final

from flask import Blueprint, render_template, request
from flask_babel import lazy_gettext as _l

from hmi import labels
from hmi.access import STAFF, allow
from hmi.services import Services
from scada.event_devices import devices_in, devices_of
from scada.ports import EventsWanted

SIZE: Final = 100
FOREVER: Final = 2**62                  # ns
STATES: Final = {"raised": _l("raised"), "cleared": _l("over")}


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/alarms/events")
    @allow(STAFF)
    def page() -> Any:
        asked = {name: request.args.get(name, "").strip()[:64] for name in ("device", "group", "kind")}
        directory = services.registry.directory
        devices, sources = None, None
        if "/" in asked["device"]:
            sources = (asked["device"],)
        elif asked["device"]:
            devices = devices_of(directory, asked["device"])
        elif asked["group"]:
            devices = devices_in(directory, asked["group"]) or ()
        found = services.events.find(EventsWanted(
            0, FOREVER, devices, sources, (asked["kind"],) if asked["kind"] else None, None,
            place(request.args.get("before", "")), SIZE,
        ))
        return render_template(
            "events.html", tab="events", events=found.events, asked=asked,
            older="-".join(map(str, found.older)) if found.older else "",
            kinds=sorted(((name, labels.kind(name)) for name in labels.ALARM_KIND), key=lambda one: one[1].casefold()),
            states=STATES | {state.value: text for state, text in labels.ALARM_STATE.items()},
            priorities=labels.PRIORITY_BY_NAME,
        )

    return blueprint


def place(text: str) -> tuple[int, int] | None:
    """Where a page begins, of an address; None for what nobody wrote there."""
    moment, _, number = text.partition("-")
    if moment.isdecimal() and number.isdecimal() and len(moment) < 20 and len(number) < 20:
        return int(moment), int(number)
    return None
