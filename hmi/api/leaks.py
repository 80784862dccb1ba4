"""Leaks and meters worth replacing for programs: what the nights found, what is always on, and what a person decides."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request

from hmi import encode
from hmi.access import DECIDE_LEAKS, STAFF, allow
from hmi.api.body import fields, optional, whole
from hmi.services import Services
from scada.leaks import LONGEST_NOTE, OPEN, Leak, LeakState, to_json
from scada.site import Medium

MOST: Final = 500                       # in one answer


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/leaks")
    @allow(STAFF)
    def leaks() -> Any:
        """In the states `state` (may come again; those that nobody has settled, by default), of one `medium`."""
        states, medium = tuple(_state(one) for one in request.args.getlist("state")) or OPEN, _medium()
        size, number = whole("size", 100, 1, MOST), whole("page", 1, 1, 10**6)
        found, total = services.leaks.find(states, medium, (number - 1) * size, size)
        return jsonify({
            "examined": services.leaks.night().day, "total": total, "page": number, "pages": max(1, -(-total // size)),
            "leaks": [_leak(one) for one in found],
        })

    @blueprint.get("/leaks/night")
    @allow(STAFF)
    def leak_night() -> Any:
        """What the newest examination looked at, of whom it can say nothing, and what is always on where there is power."""
        return jsonify(to_json(services.leaks.night()))

    @blueprint.get("/leaks/<int:number>")
    @allow(STAFF)
    def leak(number: int) -> Any:
        return jsonify(_leak(_known(services, number), changes=True))

    @blueprint.post("/leaks/<int:number>")
    @allow(DECIDE_LEAKS)
    def decide_leak(number: int) -> Any:
        """`state`, and what it was before (`was`: refused if it is another by now); `note`."""
        _known(services, number)
        state, was = _state(fields(state=str)["state"]), optional("was")
        found = services.leaks.decide(
            g.session.actor(), number, _state(was) if was else None, state, optional("note")[:LONGEST_NOTE]
        )
        return jsonify(_leak(found, changes=True))

    @blueprint.get("/recalibration")
    @allow(STAFF)
    def recalibration() -> Any:
        """Meters of `medium`, or of all, by what replacing each now gains in a year; pages of `size`."""
        medium, size, number = _medium(), whole("size", 100, 1, MOST), whole("page", 1, 1, 10**6)
        found = services.replacements.page((medium,) if medium else tuple(Medium), (number - 1) * size, size)
        said = {**to_json(found), "page": number, "pages": max(1, -(-found.total // size))}
        return jsonify({**said, "currency": services.site.currency})


def _medium() -> Medium | None:
    name = request.args.get("medium", "")
    if name and name not in list(Medium):
        abort(400, f"medium: expected one of {', '.join(Medium)}")
    return Medium(name) if name else None


def _state(name: str) -> LeakState:
    if name not in list(LeakState):
        abort(400, f"state: expected one of {', '.join(LeakState)}")
    return LeakState(name)


def _known(services: Services, number: int) -> Leak:
    found = services.leaks.one(number) if number < 2**63 else None
    return found if found is not None else abort(404, f"no leak {number}")


def _leak(leak: Leak, *, changes: bool = False) -> dict[str, Any]:
    """`changes`: with its history and its nights."""
    flow = to_json(leak.flow)
    if not changes:
        del flow["nights"]
    found = {
        "number": leak.number, "state": leak.state.value, "opened": leak.opened, "seen": leak.seen, "unit": leak.unit,
        "quantity": encode.finite(leak.quantity), "accepted_rate": encode.finite(leak.accepted), **flow,
    }
    if changes:
        found["changes"] = [
            {
                "at_ms": encode.milliseconds(one.at), "who": one.who, "before": one.before, "after": one.after,
                "note": one.note,
            } for one in leak.changes
        ]
    return found
