"""Metering points in depth: intervals as they were delivered, how they came to be, and sums over balance groups."""

from typing import Any, Final

import numpy as np
from flask import Blueprint, abort, jsonify, request

from hmi.access import STAFF, allow
from hmi.api.body import whole
from hmi.api.series import MOST_RANGE_H, jsonable, qualities
from hmi.encode import finite
from hmi.paging import Page
from hmi.services import Services
from scada.clock import HOUR_S, NS
from scada.intervals import ChangeKind, IntervalStatus
from scada.ports import PointChange
from scada.site import UNIT_OF_MEDIUM

MOST_INTERVALS: Final = 5000            # of one point in one answer
MOST_SUMS: Final = 250_000              # group-hours in one answer
MOST_GROUPS: Final = 1000


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/points/<name>/profile")
    @allow(STAFF)
    def profile(name: str) -> Any:
        """Intervals of 15 or 30 minutes from `first` [s], `count` of them; with `as_of` [s] as they were known then."""
        _known(services, name)
        interval_s = whole("interval_s", 900, 900, 1800)
        if interval_s not in (900, 1800):
            abort(400, "interval_s: expected 900 or 1800")
        count = whole("count", 24 * HOUR_S // interval_s, 1, MOST_INTERVALS)
        first = whole("first", max(services.clock.seconds() - count * interval_s, 0), 0, 2**33) // interval_s
        found = services.metering.profile([name], first, count, interval_s, whole("as_of", 0, 1, 2**33) * NS or None)
        return jsonify({
            "point": name, "unit": found.units[0], "interval_s": interval_s, "first_s": first * interval_s,
            "values": jsonable(found.values[0]), "quality": qualities(found.quality[0]),
        })

    @blueprint.get("/points/<name>/changes")
    @allow(STAFF)
    def changes(name: str) -> Any:
        """How the hours of a point came to what they say, newest first; with `since` [s] what came from then on."""
        point = _known(services, name)
        first, hours = _hours(services)
        since = whole("since", 0, 0, 2**33) * NS
        found = [one for one in reversed(services.metering.changes(name, first, hours)) if one.at >= since]
        page = Page.of(found, request.args.get("page", "1"), whole("size", 100, 1, 1000))
        return jsonify({
            "point": name, "unit": UNIT_OF_MEDIUM[point.medium], "first_hour": first, "hours": hours,
            "changes": [change_row(one) for one in page.rows],
            "page": page.number, "pages": page.pages, "total": page.total,
        })

    @blueprint.get("/points/<name>/estimates")
    @allow(STAFF)
    def estimates(name: str) -> Any:
        """Validated hours of a point as they were entered, newest first; the newest of an hour stands."""
        point = _known(services, name)
        first, hours = _hours(services)
        found = services.metering.estimates(name, first, hours)[::-1]
        page = Page.of(found, request.args.get("page", "1"), whole("size", 100, 1, 1000))
        return jsonify({
            "point": name, "unit": UNIT_OF_MEDIUM[point.medium], "page": page.number, "pages": page.pages,
            "total": page.total, "estimates": [
                {"hour": one.hour, "value": finite(one.value), "method": one.method.value, "by": one.by,
                 "at_s": one.at / NS, "note": one.note}
                for one in page.rows
            ],
        })

    @blueprint.get("/groups/sums")
    @allow(STAFF)
    def sums() -> Any:
        """What the members of balance groups took together, hour by hour: those named `group`, or a page of all."""
        every = services.registry.directory.balance_group
        asked = request.args.getlist("group") or list(every)
        if unknown := [one for one in asked if one not in every]:
            abort(404, f"no balance group {unknown[0]}")
        page = Page.of(asked, request.args.get("page", "1"), whole("size", 100, 1, MOST_GROUPS))
        first, hours = _hours(services)
        if hours * len(page.rows) > MOST_SUMS:
            abort(400, f"hours, size: at most {MOST_SUMS} hours of groups at once")
        found = services.history.group_sums(page.rows, first, hours, whole("as_of", 0, 1, 2**33) * NS or None)
        return jsonify({
            "first_hour": first, "hours": hours, "page": page.number, "pages": page.pages, "total": page.total,
            "groups": [
                {"group": name, "unit": found.units[row], "members": int(found.expected[row].max(initial=0)),
                 "sums": jsonable(found.sums[row]), "completeness": jsonable(np.round(found.completeness[row], 6))}
                for row, name in enumerate(found.groups)
            ],
        })


def change_row(one: PointChange) -> dict[str, Any]:
    """A change for programs; `before` and `after` are names of status bits where those were joined."""
    bits, source = one.kind is ChangeKind.JOINED, one.provenance
    before, after = (one.bits_before, one.bits_after) if bits else (one.before, one.after)
    return {
        "start_s": one.start // NS, "interval_s": one.interval_s, "kind": one.kind.value,
        "at_s": one.at / NS if one.at else None,
        "before": _bits(int(before)) if bits else jsonable(np.array([before]))[0],
        "after": _bits(int(after)) if bits else jsonable(np.array([after]))[0],
        "link_id": f"{source.link_id:08x}" if source else None, "archive_id": source.archive_id if source else None,
        "record": source.record if source else None, "eui": f"{one.eui:016x}", "channel": one.channel,
    }


def _bits(bits: int) -> list[str]:
    return [flag.name.lower() for flag in IntervalStatus if bits & flag and flag.name]


def _hours(services: Services) -> tuple[int, int]:
    """(first hour, hours) that are asked for; the newest day unless they are said."""
    hours = whole("hours", 24, 1, MOST_RANGE_H)
    return whole("first_hour", max(services.clock.hour() - hours, 0), 0, 2**31), hours


def _known(services: Services, name: str) -> Any:
    point = services.registry.directory.point.get(name)
    if point is None:
        abort(404, f"no metering point {name}")
    return point
