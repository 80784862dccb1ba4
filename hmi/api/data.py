"""Values for programs and for the charts: tags, their history, hourly quantities and balances."""

from typing import Any, Final

import numpy as np
from flask import Blueprint, abort, jsonify, request
from numpy.typing import NDArray

from hmi.access import STAFF, allow
from hmi.api.body import whole
from hmi.api.series import jsonable, series_asked, series_of_point, series_of_tags
from hmi.encode import finite, milliseconds
from hmi.formats import Cells
from hmi.paging import Page, fits
from hmi.services import Services
from scada.clock import HOUR_S, NS
from scada.ports import MONTH_S
from scada.site import UNIT_OF_MEDIUM
from scada.tags import BAD, Quality

MAX_HOURS: Final = 24 * 400
MAX_TREND_TAGS: Final = 8
DRAWN: Final = 1200                     # points of a trend: more than a screen has pixels is waste


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/tags")
    @allow(STAFF)
    def tags() -> Any:
        cells = Cells(services.bus)
        found = [tag for tag in cells.shot.ids if tag and fits(request.args.get("q", ""), tag)]
        page = Page.of(found, request.args.get("page", "1"), whole("size", 100, 1, 1000))
        rows = []
        for tag in page.rows:
            value, quality, at = cells.shot.get(tag)
            known = cells.definition(tag)
            rows.append({"id": tag, "value": finite(value), "unit": known.unit, "title": known.title,
                         "quality": quality.name.lower(), "at_ms": milliseconds(at)})
        return jsonify({"tags": rows, "page": page.number, "pages": page.pages, "total": page.total,
                        "taken_ms": milliseconds(cells.shot.taken)})

    @blueprint.get("/history")
    @allow(STAFF)
    def history() -> Any:
        """
        Samples of up to eight tags over the last minutes; unusable ones are null, so that a gap is a gap.

        With `step` and `how`, or `points`, of any range up to a month (`first`, `last`), with quality and completeness.
        """
        if series_asked():
            return jsonify(series_of_tags(services, request.args.getlist("tag")[:MAX_TREND_TAGS]))
        minutes, now = whole("minutes", 60, 1, 24 * 60), services.clock.now()
        series = []
        for tag in request.args.getlist("tag")[:MAX_TREND_TAGS]:
            held = services.live.read(tag, now - minutes * 60 * NS, now + NS)
            at, values = thin(held.at, np.where(held.quality < BAD, held.values, np.nan), DRAWN)
            series.append({"tag": tag, "at_s": (at / NS).round(3).tolist(), "values": jsonable(values)})
        return jsonify({"series": series, "now_s": now / NS, "minutes": minutes})

    @blueprint.get("/points/<name>/hourly")
    @allow(STAFF)
    def hourly(name: str) -> Any:
        """Hours of a point, raw or with `series=validated`; with `as_of` [s] as they were known then."""
        point = services.registry.directory.point.get(name)
        if point is None:
            abort(404, f"no metering point {name}")
        which = request.args.get("series", "raw")
        if which not in ("raw", "validated") or (which == "validated" and series_asked()):
            abort(400, "series: expected raw or validated, and the latter without step and points")
        if series_asked():
            return jsonify({"point": name, "medium": point.medium.value, **series_of_point(services, point, MAX_HOURS)})
        hours = whole("hours", 24, 1, MAX_HOURS)
        first = whole("first_hour", services.clock.hour() - hours, 0, 2**31)
        as_of = whole("as_of", 0, 1, 2**33) * NS or None
        found = services.metering.hourly([name], first, hours, as_of, validated=which == "validated")
        return jsonify({
            "point": name, "series": which, "medium": point.medium.value, "unit": found.units[0], "first_hour": first,
            "hours": hours,
            "values": jsonable(found.values[0]), "quality": [Quality(q).name.lower() for q in found.quality[0].tolist()],
        })

    @blueprint.get("/balances/<name>")
    @allow(STAFF)
    def balance(name: str) -> Any:
        group = services.registry.directory.balance_group.get(name)
        if group is None:
            abort(404, f"no balance group {name}")
        span = whole("span", HOUR_S, HOUR_S, MONTH_S)
        if span not in (HOUR_S, 24 * HOUR_S, MONTH_S):
            abort(400, f"span: expected 3600, 86400 or {MONTH_S} (months of the site)")
        last = whole("last", services.clock.seconds(), 0, 2**40)
        first = whole("first", last - 24 * span, 0, 2**40)
        if last - first > MAX_HOURS * HOUR_S:
            abort(400, f"first, last: at most {MAX_HOURS} hours at once")
        table = services.balances.table(name, span, first, last)
        return jsonify({
            "group": name, "medium": group.medium.value, "unit": UNIT_OF_MEDIUM[group.medium], "span_s": span,
            "start": table.start.tolist(), **{column: jsonable(values) for column, values in table.columns.items()},
        })


def thin(at: NDArray[np.int64], values: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most about `most` samples that keep every peak: of each run the lowest and the highest, in their order."""
    if len(at) <= most:
        return at, values
    run = -(-len(at) * 2 // most)
    whole_runs = len(at) // run
    body = values[: whole_runs * run].reshape(whole_runs, run)
    gap = np.isnan(body).any(axis=1)
    lowest = np.where(gap, np.isnan(body).argmax(axis=1), np.where(np.isnan(body), np.inf, body).argmin(axis=1))
    highest = np.where(np.isnan(body), -np.inf, body).argmax(axis=1)
    picked = np.unique(np.concatenate([np.arange(whole_runs) * run + lowest, np.arange(whole_runs) * run + highest,
                                       np.arange(whole_runs * run, len(at))]))
    return at[picked], values[picked]
