"""Firmware campaigns for programs: images, a draft, how far it is module by module, and what a person may do with it."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import rollouts
from hmi.access import ROLL_OUT, STAFF, allow
from hmi.api.body import names, numbers, optional, whole
from hmi.rollouts import DOINGS, do
from hmi.services import Services
from scada.rollout import CampaignRequest, UpdateFilter, UpdateState

PAGE: Final = 200
MOST: Final = 5000                      # modules in one answer
LIMITS: Final = {"canary": int, "wave": int, "soak_s": int, "patience_s": int, "most_failed_percent": float}


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/firmware/images")
    @allow(STAFF)
    def images() -> Any:
        return jsonify({"images": [rollouts.image(one) for one in services.firmware.images()]})

    @blueprint.get("/firmware/campaigns")
    @allow(STAFF)
    def campaigns() -> Any:
        return jsonify({"campaigns": [rollouts.campaign(one, stages=False) for one in services.firmware.campaigns()]})

    @blueprint.post("/firmware/campaigns")
    @allow(ROLL_OUT)
    def draft() -> Any:
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            raise BadRequest("expected a JSON object")
        wish = CampaignRequest(
            optional("image"), names(body, "concentrators"), names(body, "groups"), **numbers(body, LIMITS),
            reason=optional("reason"),
        )
        return jsonify(rollouts.campaign(services.in_reactor(services.firmware.draft, g.session.actor(), wish))), 201

    @blueprint.get("/firmware/campaigns/<int:number>")
    @allow(STAFF)
    def campaign(number: int) -> Any:
        found = services.firmware.campaign(number)
        return jsonify(rollouts.campaign(found)) if found else abort(404, f"no firmware campaign {number}")

    @blueprint.get("/firmware/campaigns/<int:number>/modules")
    @allow(STAFF)
    def campaign_modules(number: int) -> Any:
        state = request.args.get("state", "").upper()
        if state and state not in UpdateState.__members__:
            raise BadRequest("state: expected one of " + ", ".join(one.lower() for one in UpdateState.__members__))
        stage = whole("stage", -1, -1, 10**9)
        wanted = UpdateFilter(
            (UpdateState[state],) if state else (), None if stage < 0 else stage, whole("first", 0, 0, 10**9),
            whole("most", PAGE, 1, MOST),
        )
        found, total = services.firmware.updates(number, wanted)
        return jsonify({"total": total, "modules": [rollouts.update(one) for one in found]})

    @blueprint.post("/firmware/campaigns/<int:number>/<doing>")
    @allow(ROLL_OUT)
    def act(number: int, doing: str) -> Any:
        if doing not in DOINGS:
            abort(404, f"expected one of {', '.join(DOINGS)}")
        body = request.get_json(silent=True)
        retry = isinstance(body, dict) and body.get("retry") is True
        return jsonify(rollouts.campaign(do(services, g.session.actor(), number, doing, optional("why"), retry=retry))), 202
