"""A concentrator itself, for programs: information, parameters, reboot, discovery, the end of a broadcast's repeats.

What cannot be taken back is confirmed with the concentrator's name.
"""

from typing import Any, Final

from flask import Blueprint, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi.access import ADOPT, DISPATCH, STAFF, allow
from hmi.api.body import fields, optional
from hmi.services import Services
from scada.concentrators import ConcentratorInfo, Parameters

MOST: Final = 64                        # parameters at once


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/concentrators/<name>/info")
    @allow(STAFF)
    def concentrator_info(name: str) -> Any:
        return jsonify(_info(services.in_reactor(services.concentrators.info, name)))

    @blueprint.get("/concentrators/<name>/parameters")
    @allow(STAFF)
    def concentrator_parameters(name: str) -> Any:
        return jsonify(_parameters(services.in_reactor(services.concentrators.parameters, name)))

    @blueprint.post("/concentrators/<name>/parameters")
    @allow(ADOPT)
    def set_concentrator_parameters(name: str) -> Any:
        """`version`: the one that was looked at; `values`: by name; `confirm`: the concentrator's name."""
        body = fields(version=int, values=dict)
        _confirmed(name)
        values = body["values"]
        strange = [one for one in values.values() if isinstance(one, bool) or not isinstance(one, int | str)]
        if strange or len(values) > MOST:
            raise BadRequest(f"values: expected at most {MOST} whole numbers or texts by name")
        done = services.in_reactor(
            services.concentrators.set_parameters, g.session.actor(), name, body["version"], values
        )
        return jsonify(_parameters(done))

    @blueprint.post("/concentrators/<name>/reboot")
    @allow(ADOPT)
    def reboot_concentrator(name: str) -> Any:
        """`module`: one of its modules, else itself; `delay_s`; `confirm`: the concentrator's name."""
        body = fields(delay_s=int)
        _confirmed(name)
        services.in_reactor(
            services.concentrators.reboot, g.session.actor(), name, module=optional("module"), delay_s=body["delay_s"]
        )
        return jsonify({"accepted": True}), 202

    @blueprint.post("/concentrators/<name>/discovery")
    @allow(ADOPT)
    def concentrator_discovery(name: str) -> Any:
        """`duration_s` of real time for which newcomers may join; 0 ends it."""
        body = fields(duration_s=int)
        services.in_reactor(services.concentrators.discover, g.session.actor(), name, body["duration_s"])
        return jsonify({"duration_s": body["duration_s"]})

    @blueprint.post("/concentrators/<name>/cancel")
    @allow(DISPATCH)
    def cancel_repeats(name: str) -> Any:
        """`command`: the number of a group command whose repeats are to end."""
        body = fields(command=str)
        services.in_reactor(services.concentrators.cancel, g.session.actor(), name, body["command"])
        return jsonify({"cancelled": True})


def _confirmed(name: str) -> None:
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or body.get("confirm") != name:
        raise BadRequest("confirm: expected the name of the concentrator; nothing was sent")


def _info(one: ConcentratorInfo) -> dict[str, Any]:
    return {
        "name": one.name, "model": one.model, "firmware": one.firmware, "uptime_s": one.uptime_s, "modules": one.modules,
        "configuration": one.configuration,
    }


def _parameters(one: Parameters) -> dict[str, Any]:
    return {"name": one.name, "version": one.version, "values": dict(one.values)}
