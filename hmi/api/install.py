"""Installing meters for programs: look at a module, begin, ask for its pulses, install; the same key is done once."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import encode, install, installing
from hmi.access import INSTALL, allow
from hmi.api.body import fields, optional, whole
from hmi.pages.install import ask, begin, look
from hmi.services import Services
from scada.dial import MOST_PHOTO_BYTES, Installation, Installed
from scada.dial_file import time_of

MOST_CHANNEL: Final = 7


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/install")
    @allow(INSTALL)
    def installations() -> Any:
        found = services.registry.dials.recent(whole("limit", 50, 1, 500))
        return jsonify({"installations": [encode.dial(one) for one in found]})

    @blueprint.get("/install/<eui>")
    @allow(INSTALL)
    def install_module(eui: str) -> Any:
        return jsonify(install.encoded(look(services, _eui(eui))))

    @blueprint.post("/install/<eui>/begin")
    @allow(INSTALL)
    def begin_module(eui: str) -> Any:
        begin(services, _eui(eui))
        return jsonify(install.encoded(look(services, _eui(eui))))

    @blueprint.post("/install/<eui>/ask")
    @allow(INSTALL)
    def ask_module(eui: str) -> Any:
        ask(services, _eui(eui))
        return jsonify(install.encoded(look(services, _eui(eui)))), 202

    @blueprint.post("/install")
    @allow(INSTALL)
    def put_into_service() -> Any:
        done: Installed = services.in_reactor(services.registry.install, g.session.actor(), _wish(services))
        return jsonify({
            "module": done.module.name, "state": done.module.state.value, "point": done.period.point,
            "serial": done.period.serial, "channel": done.period.channel, "again": done.again,
            "reading": encode.dial(done.reading),
        }), 200 if done.again else 201

    @blueprint.post("/install/photos")
    @allow(INSTALL, takes=MOST_PHOTO_BYTES + 1024)
    def put_photo() -> Any:
        data = request.get_data(cache=False)
        if not data:
            abort(400, "expected the photo as the body")
        return jsonify({"photo": services.dials.keep_photo(data)}), 201


def _eui(text: str) -> int:
    eui, fault = installing.eui_of(text)
    if eui is None:
        raise BadRequest(f"eui: {fault}")
    return eui


def _wish(services: Services) -> Installation:
    said = fields(eui=str, serial=str, key=str)
    body: dict[str, Any] = request.get_json()
    channel, constant = body.get("channel", 0), body.get("pulses_per_unit")
    if not isinstance(channel, int) or isinstance(channel, bool) or not 0 <= channel <= MOST_CHANNEL:
        raise BadRequest(f"channel: expected a whole number from 0 to {MOST_CHANNEL}")
    if isinstance(constant, bool) or not isinstance(constant, int | float):
        raise BadRequest("pulses_per_unit: expected a number")
    try:
        shown = installing.dial_of(body.get("dial"))
        at = time_of(optional("at")) if optional("at") else services.clock.now()
    except ValueError as error:
        raise BadRequest(f"dial or at: {error}") from None
    return Installation(
        _eui(said["eui"]), channel, said["serial"].strip(), float(constant), shown, at, said["key"], optional("medium"),
        optional("point"), optional("photo"),
    )
