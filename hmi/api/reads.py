"""Reading on demand for programs: ask for registers now, follow the task, cancel it."""

from typing import Any

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import encode
from hmi.access import READ_NOW, STAFF, allow
from hmi.api.body import names, optional, whole
from hmi.services import Services
from scada.reads import ReadPriority, ReadRequest


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.post("/reads")
    @allow(READ_NOW)
    def read() -> Any:
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            raise BadRequest("expected a JSON object")
        within = body.get("within_s", 900)
        priority = optional("priority", "normal").upper()
        if not isinstance(within, int) or isinstance(within, bool):
            raise BadRequest("within_s: expected int")
        if priority not in ReadPriority.__members__:
            raise BadRequest("priority: expected urgent, normal or low")
        wish = ReadRequest(
            names(body, "points"), names(body, "modules"), names(body, "groups"), within, ReadPriority[priority],
            optional("key"),
        )
        return jsonify(encode.read(services.in_reactor(services.reading.request, g.session.actor(), wish))), 202

    @blueprint.get("/reads")
    @allow(STAFF)
    def reads() -> Any:
        found = services.reading.tasks(whole("limit", 50, 1, 500))
        return jsonify({"reads": [encode.read(one, members=False) for one in found]})

    @blueprint.get("/reads/<task_id>")
    @allow(STAFF)
    def task(task_id: str) -> Any:
        found = services.reading.task(task_id)
        return jsonify(encode.read(found)) if found else abort(404, f"no read {task_id}")

    @blueprint.post("/reads/<task_id>/cancel")
    @allow(READ_NOW)
    def cancel(task_id: str) -> Any:
        return jsonify(encode.read(services.in_reactor(services.reading.cancel, g.session.actor(), task_id)))
