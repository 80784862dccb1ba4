"""Load shedding for programs: the same select → execute → watch as on the page, through the same desk."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify

from hmi import encode
from hmi.access import DISPATCH, STAFF, allow
from hmi.api.body import fields, optional, whole
from hmi.services import Services
from scada.commands import TIMED, Action, ShedRequest

ACTIONS: Final = {action.name.lower(): action for action in sorted(TIMED)}


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.post("/dispatch/select")
    @allow(DISPATCH)
    def select() -> Any:
        body = fields(group=str, off_for_s=int)
        action = ACTIONS.get(optional("action") or "shed")
        if action is None:
            abort(400, f"action: expected {', '.join(ACTIONS)}")
        level = fields(level_w=int)["level_w"] if action is Action.LIMIT else 0
        wish = ShedRequest(body["group"], body["off_for_s"], optional("reason")[:200], action, level)
        selection = services.in_reactor(services.desk.select, g.session.actor(), wish)
        g.session.remember(selection)
        return jsonify(encode.selection(selection)), 201

    @blueprint.post("/dispatch/execute")
    @allow(DISPATCH)
    def execute() -> Any:
        selection = fields(selection=str)["selection"]
        return jsonify(encode.command(services.in_reactor(services.desk.execute, g.session.actor(), selection))), 202

    @blueprint.post("/dispatch/restore")
    @allow(DISPATCH)
    def restore() -> Any:
        command = fields(command=str)["command"]
        return jsonify(encode.command(services.in_reactor(services.desk.restore, g.session.actor(), command))), 202

    @blueprint.get("/dispatch/commands")
    @allow(STAFF)
    def commands() -> Any:
        found = services.desk.commands(whole("limit", 50, 1, 500))
        return jsonify({"commands": [encode.command(one, members=False) for one in found]})

    @blueprint.get("/dispatch/commands/<command_id>")
    @allow(STAFF)
    def command(command_id: str) -> Any:
        found = services.desk.command(command_id)
        return jsonify(encode.command(found)) if found else abort(404, f"no command {command_id}")

    @blueprint.get("/dispatch/groups")
    @allow(STAFF)
    def groups() -> Any:
        return jsonify({"groups": [
            {
                "name": one.name, "title": one.title, "area": one.area, "load_class": one.load_class.name.lower(),
                "max_off_s": one.max_off_s, "members": len(one.members), "epoch": one.epoch,
            }
            for one in services.registry.directory.site.load_groups
        ]})
