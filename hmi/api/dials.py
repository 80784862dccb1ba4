"""Dials for programs: the table, one point's readings, and new ones; all of a request or nothing."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import dials, encode
from hmi.access import IMPORT, STAFF, allow
from hmi.api.body import whole
from hmi.installing import dial_of
from hmi.services import Services
from scada.clock import HOUR_S
from scada.dial import DialReading, DialSource, read_source
from scada.dial_file import reading_of, time_of

MOST: Final = 1000                        # readings in one request


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/dials")
    @allow(STAFF)
    def table_of_dials() -> Any:
        which = request.args.get("which", "all")
        if which not in dials.CHOICES:
            abort(400, f"which: expected one of {', '.join(dials.CHOICES)}")
        table = services.dials.table()
        rows = dials.chosen(table, which)[: whole("limit", 500, 1, 5000)]
        return jsonify({
            "as_of_ms": encode.milliseconds(table.as_of), "counts": dials.counts(table),
            "dials": [encode.dial_row(table, row) for row in rows.tolist()],
        })

    @blueprint.get("/dials/<name>")
    @allow(STAFF)
    def one_dial(name: str) -> Any:
        if name not in services.registry.directory.point:
            abort(404, f"no metering point {name}")
        table, hour = services.dials.table(), services.clock.hour()
        row = dials.row_of(table, name)
        return jsonify({
            "dial": None if row is None else encode.dial_row(table, row),
            "now": encode.finite(float(services.dials.dial([name], hour)[0])), "now_s": hour * HOUR_S,
            "readings": [encode.dial(one) for one in services.registry.dials.of_point(name)],
        })

    @blueprint.post("/dials")
    @allow(IMPORT)
    def enter_dials() -> Any:
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            raise BadRequest("expected a JSON object")
        given = body.get("readings")
        if not isinstance(given, list) or not 0 < len(given) <= MOST:
            raise BadRequest(f"readings: expected a list of 1 to {MOST} readings")
        readings = [_reading(services, number, one) for number, one in enumerate(given)]
        outcome = services.in_reactor(
            services.registry.add_dials, g.session.actor(), readings, correct=body.get("correct") is True
        )
        return jsonify({"new": outcome.new, "known": outcome.known}), 201


def _reading(services: Services, number: int, given: Any) -> DialReading:
    if not isinstance(given, dict):
        raise BadRequest(f"readings[{number}]: expected a JSON object")
    text = {name: given.get(name, "") for name in ("point", "serial", "at", "source")}
    try:
        if not all(isinstance(one, str) for one in text.values()):
            raise ValueError("expected text for point, serial, at and source")
        at = time_of(text["at"]) if text["at"] else services.clock.now()
        if at > services.clock.now():
            raise ValueError("the time is still to come")
        source = read_source(text["source"] or DialSource.INSPECTION.value)
        if source is DialSource.INSTALLER:
            raise ValueError("an installer's reading belongs to an installation")
        return reading_of(
            services.registry.directory, text["point"], text["serial"], at, dial_of(given.get("dial")), source,
            g.session.account.name,
        )
    except ValueError as error:
        raise BadRequest(f"readings[{number}]: {error}") from None
