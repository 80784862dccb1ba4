"""Alarms for programs and for the acknowledge dialog."""

from typing import Any

from flask import Blueprint, g, jsonify, request

from hmi import encode
from hmi.access import ACKNOWLEDGE, STAFF, allow
from hmi.api.body import fields, optional, whole
from hmi.services import Services


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/alarms")
    @allow(STAFF)
    def alarms() -> Any:
        if request.args.get("journal") == "1":
            before = whole("before", 0, 0, 2**62)
            rows = services.alarms.history(before or None, whole("size", 100, 1, 1000))
        else:
            rows = services.alarms.active()
        summary = encode.alarm_summary(services.alarms.active(), services.title)
        return jsonify({"alarms": [encode.alarm(one, services.title(one.source)) for one in rows], "summary": summary})

    @blueprint.post("/alarms")
    @allow(ACKNOWLEDGE)
    def acknowledge() -> Any:
        alarm_id = fields(alarm=str)["alarm"]
        done = services.in_reactor(services.alarms.acknowledge, g.session.actor(), alarm_id, optional("comment")[:500])
        return jsonify(encode.alarm(done, services.title(done.source)))
