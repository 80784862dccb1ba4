"""Outages: who is out, since when, and what is likely to be the cause; then those that are over."""

from typing import Any, Final

from flask import Blueprint, render_template, request

from hmi.access import STAFF, allow
from hmi.services import Services

PAGE: Final = 50
SHOWN: Final = 200                      # open ones drawn at once


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("outages", __name__)

    @blueprint.get("/outages")
    @allow(STAFF)
    def page() -> Any:
        before = request.args.get("before", "")
        opened = services.outages.open()
        over = services.outages.history(int(before) if before.isdecimal() and len(before) < 20 else None, PAGE)
        subjects = {one.id: one.subject for one in (*opened, *over)}
        return render_template(
            "outages.html", open=opened[:SHOWN], hidden=max(0, len(opened) - SHOWN), over=over, subjects=subjects,
            older=over[-1].until if len(over) == PAGE else None,
            consumers=sum(one.consumers for one in opened), suppressed=len(services.alarms.suppressed()),
            health=[one for one in services.health() if one.part == "outages"],
        )

    return blueprint
