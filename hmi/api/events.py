"""Events of history for programs: what devices and alarms said, newest first, page by page."""

from typing import Any, Final

from flask import Blueprint, abort, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import encode
from hmi.access import STAFF, allow
from hmi.api.body import whole
from hmi.services import Services
from scada.clock import DAY_H, HOUR_S, NS
from scada.event_devices import devices_in, devices_of
from scada.events import Stream
from scada.ports import EventsWanted

MOST_NAMES: Final = 100                 # kinds, in one question
LATEST_S: Final = 2**33


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/events")
    @allow(STAFF)
    def events() -> Any:
        """
        Of a `device` (module, metering point), a `tag` or a `group`, or of all; the last day unless `first`, `last` [s].

        `older` of an answer is the `before` of the next page.
        """
        page = services.events.find(wanted(services))
        older = None if page.older is None else "-".join(map(str, page.older))
        return jsonify({"events": [encode.event(one, services.title(one.source)) for one in page.events], "older": older})


def wanted(services: Services, size: int = 100) -> EventsWanted:
    """What the query string asks for; a 400 or 404 says what is wrong."""
    given = {name: request.args.get(name, "") for name in ("device", "tag", "group")}
    if sum(map(bool, given.values())) > 1:
        raise BadRequest("expected one of device, tag and group")
    directory = services.registry.directory
    devices = devices_of(directory, given["device"]) if given["device"] else None
    if given["group"] and (devices := devices_in(directory, given["group"])) is None:
        abort(404, f"no group {given['group']}")
    last = whole("last", services.clock.seconds() + 1, 0, LATEST_S)
    kinds, streams = (tuple(filter(None, request.args.getlist(name))) for name in ("kind", "stream"))
    if len(kinds) > MOST_NAMES or set(streams) - {one.value for one in Stream}:
        raise BadRequest(f"expected at most {MOST_NAMES} of kind, and as stream one of {', '.join(Stream)}")
    return EventsWanted(
        whole("first", last - DAY_H * HOUR_S, 0, LATEST_S) * NS, last * NS, devices,
        (given["tag"],) if given["tag"] else None, kinds or None, tuple(map(Stream, streams)) or None, _place(),
        whole("size", size, 1, 1000),
    )


def _place() -> tuple[int, int] | None:
    text = request.args.get("before", "")
    moment, _, number = text.partition("-")
    if text and not (moment.isdecimal() and number.isdecimal() and len(moment) < 20 and len(number) < 20):
        raise BadRequest("before: expected what `older` of an answer says")
    return (int(moment), int(number)) if text else None
