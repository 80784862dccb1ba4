"""Technical losses for programs: stored hours computed anew, and the balances that deduct them."""

from typing import Any

from flask import Blueprint, abort, g, jsonify, request

from hmi.access import IMPORT, allow
from hmi.api.body import fields, names
from hmi.services import Services


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.post("/losses/recompute")
    @allow(IMPORT)
    def recompute() -> Any:
        """Of `transformers`, by default all that have a network, in first_hour <= hour < last_hour [h since 1970]."""
        asked = fields(first_hour=int, last_hour=int)
        first, last = asked["first_hour"], min(asked["last_hour"], services.clock.hour())
        if not 0 <= first < last:
            abort(400, "first_hour, last_hour: expected hours that are over, the first before the last")
        directory = services.registry.directory
        chosen = names(request.get_json(), "transformers") or tuple(
            one.name for one in directory.site.transformers if services.losses.problems(one.name) == ()
        )
        for name in chosen:
            if name not in directory.transformer:
                abort(404, f"no transformer {name}")
            if services.losses.problems(name) != ():
                abort(400, f"transformers: {name} has no network whose losses can be computed")
        groups = services.in_reactor(services.losses.recompute, chosen, first, last)
        services.audit.append_now(
            g.session.actor(), "losses.recompute", ",".join(chosen[:100]), first_hour=first, last_hour=last,
            transformers=len(chosen),
        )
        return jsonify({"transformers": list(chosen), "groups": list(groups), "first_hour": first, "last_hour": last}), 202
