"""Log-in, log-out and state of the server, for programs."""

from typing import Any

from flask import Blueprint, abort, g, jsonify, request

from hmi import encode
from hmi.access import EVERYBODY, PUBLIC, STAFF, allow
from hmi.api.body import fields
from hmi.pages.login import Gate
from hmi.services import Services
from hmi.sessions import Sessions
from scada.commands import Origin
from scada.errors import TooManyTries


def add(blueprint: Blueprint, services: Services, sessions: Sessions, gate: Gate) -> None:
    @blueprint.post("/session")
    @allow(PUBLIC)
    def log_in() -> Any:
        """Name and password for a bearer token; sets no cookie, so no other site's page can use it."""
        body = fields(name=str, password=str)
        address = request.remote_addr or ""
        if wait := gate.wait_s(body["name"], address):
            abort(429, f"too many failed attempts, try again in {int(wait) + 1} s")
        try:
            entered = gate.enter(body["name"].strip(), body["password"], address, Origin.CLI)
        except TooManyTries as error:
            abort(429, str(error))
        if entered is None:
            abort(401, "name or password is not right")
        token, account = entered
        return jsonify({
            "token": token, "name": account.name, "role": account.role.value, "areas": list(account.areas),
            "must_change": account.must_change, "idle_minutes": services.hmi.idle_minutes,
        }), 201

    @blueprint.delete("/session")
    @allow(EVERYBODY)
    def log_out() -> Any:
        services.audit.append_now(g.session.actor(), "logout")
        sessions.close(g.session)
        return jsonify({"ended": True})

    @blueprint.get("/status")
    @allow(STAFF)
    def status() -> Any:
        now = services.clock.now()
        summary = encode.alarm_summary(services.alarms.active(), services.title)
        parts = services.health()
        return jsonify({
            "site": services.site.name, "title": services.site.title, "timezone": services.site.timezone,
            "site_time_ms": encode.milliseconds(now), "rate": services.clock.rate,
            "monitor_only": services.desk.monitor_only,
            "ok": all(part.ok for part in parts), "parts": [encode.health(part) for part in parts], "alarms": summary,
        })
