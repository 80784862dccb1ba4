"""Single supplies for programs: how they stand, and the two persons, the holders and the say on site."""

from typing import Any

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import encode
from hmi.access import DISPATCH, LOCAL, STAFF, allow
from hmi.api.body import fields, optional, whole
from hmi.services import Services
from scada.supplies import Holding, HoldReason, SupplyRequest, SwitchAction


def add(blueprint: Blueprint, services: Services) -> None:
    supplies = services.supplies

    @blueprint.get("/supplies")
    @allow(STAFF)
    def every_supply() -> Any:
        return jsonify({
            "supplies": [encode.supply(one) for one in supplies.supplies()],
            "local": [encode.local(one) for one in supplies.locals()],
        })

    @blueprint.get("/supplies/<point>")
    @allow(STAFF)
    def one_supply(point: str) -> Any:
        found = supplies.supply(point)
        if found is None:
            abort(404, f"there is no supply at {point[:64]} that can be switched")
        news = supplies.history(point, size=whole("limit", 50, 1, 500))
        return jsonify(encode.supply(found) | {"history": [encode.supply_news(one) for one in news]})

    @blueprint.post("/supplies/<point>/disconnect")
    @allow(DISPATCH)
    def disconnect(point: str) -> Any:
        wish = SupplyRequest(
            point, SwitchAction.DISCONNECT, _reason(), optional("tag"), optional("name"), optional("note")
        )
        return jsonify(encode.supply(services.in_reactor(supplies.request, g.session.actor(), wish))), 202

    @blueprint.post("/supplies/<point>/reconnect")
    @allow(DISPATCH)
    def reconnect(point: str) -> Any:
        wish = SupplyRequest(point, SwitchAction.RECONNECT, note=optional("note"))
        return jsonify(encode.supply(services.in_reactor(supplies.request, g.session.actor(), wish))), 202

    @blueprint.post("/supplies/<point>/confirm")
    @allow(DISPATCH)
    def confirm(point: str) -> Any:
        done = services.in_reactor(supplies.confirm, g.session.actor(), point, fields(switch=str)["switch"])
        return jsonify(encode.supply(done)), 202

    @blueprint.post("/supplies/<point>/withdraw")
    @allow(DISPATCH)
    def withdraw(point: str) -> Any:
        done = services.in_reactor(supplies.withdraw, g.session.actor(), point, fields(switch=str)["switch"])
        return jsonify(encode.supply(done))

    @blueprint.post("/supplies/<point>/hold")
    @allow(DISPATCH)
    def hold(point: str) -> Any:
        holding = Holding("", _reason(), "", 0, optional("tag"), optional("name"), optional("note"))
        return jsonify(encode.supply(services.in_reactor(supplies.hold, g.session.actor(), point, holding)))

    @blueprint.post("/supplies/<point>/release")
    @allow(DISPATCH)
    def release(point: str) -> Any:
        told = {"tag": optional("tag"), "name": optional("name"), "note": optional("note")}
        done = services.in_reactor(supplies.release, g.session.actor(), point, fields(holder=str)["holder"], **told)
        return jsonify(encode.supply(done))

    @blueprint.post("/supplies-local")
    @allow(LOCAL)
    def local() -> Any:
        """`local` true: the point, or the whole area, is switched on site alone; false: from here again."""
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not isinstance(body.get("local"), bool):
            raise BadRequest("local: expected true or false")
        point, area = optional("point"), optional("area")
        if bool(point) == bool(area):
            raise BadRequest("expected either point or area")
        services.in_reactor(
            supplies.set_local, g.session.actor(), point=point, area=area, local=body["local"], note=optional("note")
        )
        return jsonify({"local": [encode.local(one) for one in supplies.locals()]})


def _reason() -> HoldReason:
    given = fields(reason=str)["reason"]
    if given not in [one.value for one in HoldReason]:
        raise BadRequest(f"reason: expected one of {', '.join(HoldReason)}")
    return HoldReason(given)
