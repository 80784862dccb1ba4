"""Every sample of a tag, however many there are: a page at a time, newest first, nothing left out and nothing twice."""

from typing import Any

from flask import Blueprint, jsonify, request
from werkzeug.exceptions import BadRequest

from hmi.access import STAFF, allow
from hmi.api.body import whole
from hmi.api.series import definition, jsonable, qualities
from hmi.services import Services
from scada.clock import NS
from scada.ports import LiveReader, TagHistory


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/samples")
    @allow(STAFF)
    def samples() -> Any:
        """Of `tag` in [first, last) [s], newest first; `before_ns` of one answer asks for the next page."""
        tag = request.args.get("tag", "")
        if "/" not in tag:
            raise BadRequest("tag: expected DEVICE/POINT")
        now = services.clock.seconds()
        last = whole("last", now + 1, 1, 2**33)
        first = whole("first", max(last - 3600, 0), 0, 2**33)
        before = whole("before_ns", last * NS, 0, 2**62)
        found, rest = page(services.live, tag, first * NS, min(before, last * NS), whole("size", 1000, 2, 10_000))
        return jsonify({
            "tag": tag, "unit": definition(services.bus, tag).unit, "at_ns": found.at[::-1].tolist(),
            "values": jsonable(found.values[::-1]), "quality": qualities(found.quality[::-1]), "before_ns": rest,
        })


def page(live: LiveReader, tag: str, first: int, before: int, size: int) -> tuple[TagHistory, int | None]:
    """The newest samples in [first, before) [ns], about `size`, and where the next page ends, None = this is the last.

    What is said at one instant stays together.
    """
    if first >= before:
        return live.read(tag, first, first, size), None
    found = live.read(tag, first, before, size)
    if len(found.at) < size:
        return found, None
    oldest = int(found.at[0])
    if oldest == int(found.at[-1]):                         # all of one instant: there may be more of it than a page holds
        return live.read(tag, oldest, oldest + 1), oldest
    kept = found.at > oldest
    return TagHistory(found.at[kept], found.values[kept], found.quality[kept]), oldest + 1
