"""Technical losses of a transformer's network: where they are, and who makes them. Computed from the stored hours."""

from datetime import timedelta
from typing import Any, Final

from flask import Blueprint, abort, render_template, request

from hmi.access import STAFF, allow
from hmi.network_drawing import drawing
from hmi.services import Services
from hmi.site_time import SiteTime, day_from, month_of, next_month, previous_month

SHOWN: Final = 100                      # rows of each table
ONE_DAY: Final = timedelta(days=1)


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("losses", __name__)
    time = SiteTime(services.site.timezone)

    @blueprint.get("/transformers/<name>/losses")
    @allow(STAFF)
    def page(name: str) -> Any:
        transformer = services.registry.directory.transformer.get(name)
        if transformer is None:
            abort(404)
        today = time.day_of(services.clock.now())
        by_month = request.args.get("span") == "month"
        if by_month:
            first = month_of(request.args.get("month", ""), today)
            start, count = time.hours_of(first, (next_month(first) - first).days)
            shown, before, after = f"{first:%Y-%m}", f"{previous_month(first):%Y-%m}", f"{next_month(first):%Y-%m}"
        else:
            day = day_from(request.args.get("date", ""), today)
            start, count = time.hours_of(day)
            shown, before, after = str(day), str(day - ONE_DAY), str(day + ONE_DAY)
        past = max(0, min(count, services.clock.hour() - start))
        problems = services.losses.problems(name)
        report = services.losses.report(name, start, past) if problems == () and past else None
        known = report is not None and report.known > 0
        return render_template(
            "losses.html", transformer=transformer, by_month=by_month, shown=shown, before=before, after=after,
            goes_on=past == count, past=past, problems=problems, report=report, known=known, limit=SHOWN,
            sections=sorted(report.sections, key=lambda one: -one.lost)[:SHOWN] if report is not None else (),
            consumers=_consumers(report.consumers) if report is not None else (),
            drawing=drawing(report.root, report.sections) if report is not None and known else None,
        )

    return blueprint


def _consumers(found: Any) -> list[Any]:
    """Who makes most of it, then who relieves most; those between are left out where there are too many."""
    by_loss = sorted(found, key=lambda one: -one.lost)
    return by_loss if len(by_loss) <= SHOWN else by_loss[:SHOWN // 2] + by_loss[-SHOWN // 2:]
