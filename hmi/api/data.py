"""Values for programs and for the charts: tags, their history, hourly quantities and balances."""

from typing import Any, Final

from flask import Blueprint, abort, jsonify, request

from hmi.access import STAFF, allow
from hmi.api.body import whole
from hmi.api.series import MOST_RANGE_H, jsonable, series_asked, series_of_point, series_of_tags
from hmi.encode import finite, milliseconds
from hmi.formats import Cells
from hmi.paging import Page, fits
from hmi.services import Services
from scada.clock import HOUR_S, NS
from scada.errors import NotKept
from scada.ports import MONTH_S
from scada.site import UNIT_OF_MEDIUM
from scada.tags import Quality

MOST_ROWS: Final = 24 * 400             # of a point or a balance in one answer
MAX_TREND_TAGS: Final = 8


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
        Up to eight tags, thinned for drawing to `points`, or in steps (`step`, `how`), with quality and completeness.

        Of the last `minutes`, or of any range (`first`, `last`); unusable samples are null, so that a gap is a gap. Steps
        come `size` at once: `next_s` is where the others begin, null behind the last.
        """
        return jsonify(series_of_tags(services, request.args.getlist("tag")[:MAX_TREND_TAGS]))

    @blueprint.get("/points/<name>/hourly")
    @allow(STAFF)
    def hourly(name: str) -> Any:
        """Hours of a point, raw or with `series=validated`; with `as_of` [s] as they were known then.

        Those that one answer does not hold begin at its `next_hour`.
        """
        point = services.registry.directory.point.get(name)
        if point is None:
            abort(404, f"no metering point {name}")
        which = request.args.get("series", "raw")
        if which not in ("raw", "validated") or (which == "validated" and series_asked()):
            abort(400, "series: expected raw or validated, and the latter without step and points")
        if series_asked():
            return jsonify({"point": name, "medium": point.medium.value, **series_of_point(services, point)})
        asked = whole("hours", 24, 1, MOST_RANGE_H)
        first = whole("first_hour", max(services.clock.hour() - asked, 0), 0, 2**31)
        hours = min(asked, MOST_ROWS)
        as_of = whole("as_of", 0, 1, 2**33) * NS or None
        found = services.metering.hourly([name], first, hours, as_of, validated=which == "validated")
        return jsonify({
            "point": name, "series": which, "medium": point.medium.value, "unit": found.units[0], "first_hour": first,
            "hours": hours, "next_hour": first + hours if hours < asked else None,
            "values": jsonable(found.values[0]), "quality": [Quality(q).name.lower() for q in found.quality[0].tolist()],
        })

    @blueprint.get("/balances/<name>")
    @allow(STAFF)
    def balance(name: str) -> Any:
        """A balance by hours, days or months; with `as_of` [s] as it was known then. What is left begins at `next_s`."""
        group = services.registry.directory.balance_group.get(name)
        if group is None:
            abort(404, f"no balance group {name}")
        span = whole("span", HOUR_S, HOUR_S, MONTH_S)
        if span not in (HOUR_S, 24 * HOUR_S, MONTH_S):
            abort(400, f"span: expected 3600, 86400 or {MONTH_S} (months of the site)")
        last = whole("last", services.clock.seconds(), 0, 2**33)
        first = whole("first", max(last - 24 * span, 0), 0, 2**33)
        end = min(last, first + MOST_ROWS * span)
        try:
            table = services.balances.table(name, span, first, end, whole("as_of", 0, 1, 2**33) * NS or None)
        except NotKept as error:
            since = "at no instant" if error.since is None else f"from {-(-error.since // NS)} on"
            abort(400, f"as_of: how balances were known is kept {since}")
        return jsonify({
            "group": name, "medium": group.medium.value, "unit": UNIT_OF_MEDIUM[group.medium], "span_s": span,
            "next_s": end if end < last else None, "start": table.start.tolist(),
            **{column: jsonable(values) for column, values in table.columns.items()},
        })
