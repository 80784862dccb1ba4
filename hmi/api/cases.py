"""Suspects for programs: case files, what a night said of groups, and what a person decides."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request

from hmi import encode
from hmi.access import DECIDE, STAFF, allow
from hmi.api.body import fields, optional, whole
from hmi.services import Services
from hmi.whereabouts import Whereabouts, whereabouts
from scada.cases import LONGEST_NOTE, OPEN, Case, CaseState, GroupState

MOST: Final = 500                       # cases or groups in one answer


def add(blueprint: Blueprint, services: Services) -> None:
    def asked() -> Whereabouts:
        directory = services.registry.directory
        transformer, feeder = (request.args.get(name, "") for name in ("transformer", "feeder"))
        if transformer and transformer not in directory.transformer:
            abort(404, f"no transformer {transformer}")
        return whereabouts(directory, transformer, feeder)

    @blueprint.get("/cases")
    @allow(STAFF)
    def cases() -> Any:
        """In the states `state` (may come again; those not decided, by default), at `transformer`, on `feeder`."""
        states = tuple(_state(one) for one in request.args.getlist("state")) or OPEN
        size, number, place = whole("size", 100, 1, MOST), whole("page", 1, 1, 10**6), asked()
        found, total = services.cases.find(states, (number - 1) * size, size, **place.sought())
        counts = services.cases.counts(**place.sought())
        day, _groups = services.cases.night()
        return jsonify({
            "examined": day, "total": total, "page": number, "pages": max(1, -(-total // size)),
            "counts": {state.value: counts[state] for state in CaseState}, "cases": [_case(one) for one in found],
        })

    @blueprint.get("/cases/<int:number>")
    @allow(STAFF)
    def case(number: int) -> Any:
        found = services.cases.one(number) if number < 2**63 else None
        return jsonify(_case(found, changes=True)) if found else abort(404, f"no case {number}")

    @blueprint.post("/cases/<int:number>")
    @allow(DECIDE)
    def decide_case(number: int) -> Any:
        """`state`, and what it was before (`was`: refused if it is another by now); `note`."""
        if number >= 2**63 or services.cases.one(number) is None:
            abort(404, f"no case {number}")
        state, was = _state(fields(state=str)["state"]), optional("was")
        found = services.cases.decide(
            g.session.actor(), number, _state(was) if was else None, state, optional("note")[:LONGEST_NOTE]
        )
        return jsonify(_case(found, changes=True))

    @blueprint.get("/suspects/groups")
    @allow(STAFF)
    def suspect_groups() -> Any:
        """What the newest examination said of groups that are not in order, most unassigned first."""
        place, (day, groups) = asked(), services.cases.night()
        chosen = [one for one in groups if place.groups is None or one.group in place.groups]
        return jsonify({"examined": day, "total": len(chosen), "groups": [_group(one) for one in chosen[:MOST]]})


def _state(name: str) -> CaseState:
    if name not in list(CaseState):
        abort(400, f"state: expected one of {', '.join(CaseState)}")
    return CaseState(name)


def _case(case: Case, *, changes: bool = False) -> dict[str, Any]:
    """`changes`: with its history and the days it rests on."""
    said = case.suspicion.to_json()
    if not changes:
        said = {name: value for name, value in said.items() if not isinstance(value, list)}
    found = {"number": case.number, "state": case.state.value, "opened": case.opened, "seen": case.seen, **said}
    if changes:
        found["changes"] = [
            {
                "at_ms": encode.milliseconds(one.at), "who": one.who, "before": one.before, "after": one.after,
                "note": one.note,
            } for one in case.changes
        ]
    return found


def _group(one: GroupState) -> dict[str, Any]:
    return {
        "group": one.group, "state": one.state, "unassigned_a_day": encode.finite(one.unassigned), "unit": one.unit,
        "hours": one.hours,
    }
