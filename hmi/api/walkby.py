"""Files of the hand-held collector for programs: one file is one request's body (docs/walk-by.md)."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request

from hmi import encode
from hmi.access import IMPORT, allow
from hmi.services import Services

MAX_FILE: Final = 8 << 20               # bytes
MAX_NAME: Final = 200


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.post("/walkby")
    @allow(IMPORT, takes=MAX_FILE)
    def walkby() -> Any:
        name, data = request.args.get("name", "").strip()[:MAX_NAME], request.get_data(cache=False)
        if not name or not data:
            abort(400, "expected the file as the body, and its name as ?name=")
        examined = services.walkby.examine([(name, data)])
        if request.args.get("dry_run") == "1" or (request.args.get("strict") == "1" and examined.report.problems):
            return jsonify(encode.walkby(examined.report))
        return jsonify(encode.walkby(services.in_reactor(services.walkby.store, g.session.actor(), examined))), 201
