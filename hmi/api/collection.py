"""How complete what was collected is, for programs; and asking for a gap again."""

from typing import Any, Final

from flask import Blueprint, abort, g, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi import completeness
from hmi.access import READ_NOW, STAFF, allow
from hmi.api.body import fields, whole
from hmi.encode import finite
from hmi.services import Services
from scada.ports import CollectionSummary, Recall

MOST_NAMES: Final = 240
BY: Final = ("concentrator", "module", "group", "day")


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/collection")
    @allow(STAFF)
    def collection() -> Any:
        """Rows of one kind, the worst first; days in their order."""
        by, chosen = request.args.get("by", "concentrator"), request.args.get("concentrator", "")
        limit = whole("limit", 100, 1, 20_000)
        if by not in BY:
            raise BadRequest(f"by: expected one of {', '.join(BY)}")
        if chosen and chosen not in services.registry.directory.concentrator:
            abort(404, f"no concentrator {chosen}")
        if by == "module" and not chosen:
            raise BadRequest("concentrator: expected a name, for modules are told by concentrator")
        summaries = services.collection.group_summaries() if by == "group" else services.collection.summaries()
        if chosen and by != "group":
            summaries = tuple(one for one in summaries if one.name == chosen)
        if by == "day":
            return jsonify({"by": by, "rows": completeness.days(summaries, services.site.timezone)})
        if by == "module":
            rows = completeness.modules(services, chosen, summaries)
        else:
            rows = [_row(one) for one in completeness.worst_first(summaries)]
        return jsonify({"by": by, "total": len(rows), "rows": rows[:limit]})

    @blueprint.get("/collection/asked")
    @allow(STAFF)
    def asked() -> Any:
        found = services.collection.recalls()[: whole("limit", 50, 1, 500)]
        return jsonify({"asked": [recall(one) for one in found]})

    @blueprint.post("/collection/ask")
    @allow(READ_NOW)
    def ask() -> Any:
        body = fields(concentrator=str, first_hour=int, hours=int)
        modules = (request.get_json(silent=True) or {}).get("modules", [])
        if not isinstance(modules, list) or len(modules) > MOST_NAMES or not all(isinstance(one, str) for one in modules):
            raise BadRequest(f"modules: expected a list of at most {MOST_NAMES} names")
        if not 0 <= body["first_hour"] < 2**31:
            raise BadRequest("first_hour: expected hours since 1970")
        done = services.in_reactor(
            services.collection.ask_again, g.session.actor(), body["concentrator"], modules, body["first_hour"],
            body["hours"],
        )
        return jsonify(recall(done)), 202


def recall(one: Recall) -> dict[str, Any]:
    return {
        "number": one.number, "concentrator": one.concentrator, "modules": list(one.modules), "first_hour": one.first,
        "hours": one.hours, "lacking": one.lacking, "brought": one.brought, "by": one.by, "at_s": one.at,
        "until_s": one.until, "state": one.state.value,
    }


def _row(one: CollectionSummary) -> dict[str, Any]:
    today, yesterday, week, month = (finite(100 * share) for share in one.shares)
    row: dict[str, Any] = {
        "name": one.name, "held_today": today, "held_yesterday": yesterday, "held_7_days": week, "held_30_days": month,
        "missing": one.missing, "given_up": one.given_up, "oldest_hour": one.oldest if one.oldest >= 0 else None,
    }
    if one.link_up is not None:
        row |= {"link_up": one.link_up, "packets": one.spent, "budget": one.budget, "busy_s": round(one.busy_s)}
    return row


