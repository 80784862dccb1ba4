"""Phases of a balance group: how even it could be, who hangs elsewhere than written, whom to move; a sheet for the crew."""

from datetime import timedelta
from typing import Any, Final

import numpy as np
from flask import Blueprint, abort, render_template, request

from hmi.access import STAFF, allow
from hmi.curves import curve_chart
from hmi.services import Services
from hmi.site_time import SiteTime, day_from
from scada.clock import DAY_H, HOUR_S, NS

PERIODS: Final = (7, 14, 28)            # days
SPANS: Final = {"hours": HOUR_S, "days": DAY_H * HOUR_S}
W_PER_KW: Final = 1000.0


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("phases", __name__)
    time = SiteTime(services.site.timezone)

    @blueprint.get("/balance/<name>/phases")
    @allow(STAFF)
    def page(name: str) -> Any:
        group = services.registry.directory.balance_group.get(name)
        if group is None:
            abort(404)
        asked = request.args
        days = next((one for one in PERIODS if asked.get("days") == str(one)), PERIODS[0])
        yesterday = time.day_of(services.clock.now()) - timedelta(days=1)
        last = min(day_from(asked.get("date", ""), yesterday), yesterday)
        first_hour, hours = time.hours_of(last - timedelta(days=days - 1), days)
        found = services.phases.study(name, first_hour, hours)
        choice = {
            "days": days, "date": str(last), "span": "days" if asked.get("span") == "days" else "hours",
            "of": "imbalance" if asked.get("of") == "imbalance" or (found and not found.uneven) else "uneven",
            "net": int(asked.get("net") == "1"), "scaled": int(asked.get("scaled") == "1"),
        }
        span = SPANS[str(choice["span"])]
        kinds = {} if found is None else {"uneven": found.uneven, "imbalance": found.net if choice["net"] else found.losses}
        curves = kinds[str(choice["of"])].get(span) if kinds else None
        chart = None
        if curves is not None and len(curves.start):
            own_unit = choice["of"] == "uneven"
            factor = curves.factor if choice["scaled"] or not own_unit else 1.0
            chart = curve_chart(curves, span, W_PER_KW if own_unit else 1.0, factor)
        return render_template(
            "phases.html", group=group, study=found, choice=choice, periods=PERIODS, curves=curves, chart=chart,
            position=found.uneven[HOUR_S].position if found and HOUR_S in found.uneven else np.nan,
            unit="kWh" if choice["of"] == "imbalance" or span > HOUR_S else "kW",
            first=first_hour * HOUR_S * NS, end=(first_hour + hours) * HOUR_S * NS,
            before=str(last - timedelta(days=days)), after=str(last + timedelta(days=days)) if last < yesterday else "",
            loss_percent=100 * group.normal_share,
        )

    return blueprint
