"""The audit: who did what, newest first."""

from typing import Any, Final

from flask import Blueprint, render_template, request

from hmi.access import AUDITORS, allow
from hmi.services import Services

SIZE: Final = 50


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("audit", __name__)

    @blueprint.get("/audit")
    @allow(AUDITORS)
    def page() -> Any:
        before, action = request.args.get("before", ""), request.args.get("action", "").strip()[:64]
        number = int(before) if before.isdecimal() and len(before) < 19 else None
        rows = services.audit.page(number, SIZE, action)
        return render_template("audit.html", rows=rows, action=action, first=number is None,
                               older=rows[-1].number if len(rows) == SIZE else None)

    return blueprint
