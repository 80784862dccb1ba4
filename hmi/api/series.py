"""Long ranges in few values, in steps or thinned for drawing, and many values at one instant: how good, how complete."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from flask import Blueprint, abort, jsonify, request
from numpy.typing import NDArray

from hmi.access import STAFF, allow
from hmi.api.body import whole
from hmi.encode import finite
from hmi.services import Services
from scada.clock import HOUR_S, NS
from scada.ports import TagSource
from scada.series import How, Instant, first_steps
from scada.site import UNIT_OF_MEDIUM, Point
from scada.tags import Quality, TagDef

MOST_VALUES: Final = 5000               # of one series in one answer
DRAWN: Final = 1200                     # points of a line, unless said: more than a screen has pixels is waste
MOST_NAMES: Final = 500                 # at one instant
MOST_MINUTES: Final = 400 * 24 * 60
MOST_RANGE_H: Final = 200 * 366 * 24    # hours of a point in one question: as many as there will ever be
LONG_S: Final = 32 * 24 * HOUR_S        # seconds of a month are 2.7 million samples of a live tag
LONG_AT_ONCE: Final = 4                 # of the threads that answer people
_long = threading.BoundedSemaphore(LONG_AT_ONCE)
NAMES: Final = {int(one): one.name.lower() for one in Quality}
UNKNOWN: Final = TagDef("")


def add(blueprint: Blueprint, services: Services) -> None:
    @blueprint.get("/instant")
    @allow(STAFF)
    def instant() -> Any:
        """
        Tags as they were last said before an instant, and registers of points at the start of its hour.

        With `as_of` [s] registers are as they were known then.
        """
        tags, points = request.args.getlist("tag"), request.args.getlist("point")
        if max(len(tags), len(points)) > MOST_NAMES:
            abort(400, f"tag, point: at most {MOST_NAMES} of each at once")
        directory = services.registry.directory
        if unknown := [name for name in points if name not in directory.point]:
            abort(404, f"no metering point {unknown[0]}")
        at = whole("at", services.clock.seconds(), 0, 2**33)
        said = services.live.at(tags, at * NS, whole("minutes", 60, 1, 24 * 60) * 60 * NS)
        defined = [definition(services.bus, tag) for tag in tags]
        said = outdated(said, at * NS, np.array([one.stale_after for one in defined], dtype=np.int64))
        registers = services.history.registers(points, at // HOUR_S, whole("as_of", 0, 1, 2**33) * NS or None)
        return jsonify({
            "at_s": at, "register_at_s": at // HOUR_S * HOUR_S,
            "tags": rows(tags, [one.unit for one in defined], said), "tags_completeness": finite(said.completeness),
            "points": rows(points, [UNIT_OF_MEDIUM[directory.point[name].medium] for name in points], registers),
            "points_completeness": finite(registers.completeness),
        })


def series_asked() -> bool:
    """Whether the query string asks for fewer values than there are."""
    return "step" in request.args or "points" in request.args


def series_of_tags(services: Services, tags: list[str]) -> dict[str, Any]:
    """Of live tags, between `first` and `last` [s]; by default the last `minutes`."""
    now = services.clock.seconds()
    last = whole("last", now, 1, 2**33)
    minutes = whole("minutes", 60, 1, MOST_MINUTES)
    first = whole("first", max(last - minutes * 60, 0), 0, 2**33)
    end = min(last, now) if first < now else last           # what is still to come is not missing
    found = []
    for tag in tags:
        known = definition(services.bus, tag)
        found.append({"tag": tag, "unit": known.unit, **_series(services, tag, first, end, How.MEAN, known.stale_after)})
    return {"series": found, "now_s": services.clock.now() / NS, "minutes": minutes}


def series_of_point(services: Services, point: Point) -> dict[str, Any]:
    """Of a metering point's hours, from `first_hour`; by default the last `hours` that are over."""
    hours, over = whole("hours", 24, 1, MOST_RANGE_H), services.clock.hour()
    first = whole("first_hour", max(over - hours, 0), 0, 2**31)
    last = min(first + hours, over) if first < over else first + hours
    series = _series(services, point.name, first * HOUR_S, last * HOUR_S, How.SUM)
    if "next_s" in series:
        rest = series.pop("next_s")
        series["next_hour"] = None if rest is None else rest // HOUR_S
    return {"unit": UNIT_OF_MEDIUM[point.medium], "first_hour": first, "hours": last - first, **series}


@contextmanager
def _long_range(name: str, first: int, last: int) -> Iterator[None]:
    """Whoever reads years of a tag [ns] holds a thread for some seconds: some may at once, so that others are answered."""
    if "/" not in name or last - first <= LONG_S * NS:
        yield
        return
    if not _long.acquire(blocking=False):
        abort(503, f"{LONG_AT_ONCE} ranges of more than {LONG_S // HOUR_S} hours are being read; ask again in a moment")
    try:
        yield
    finally:
        _long.release()


def _series(services: Services, name: str, first: int, last: int, how: How, silence: int = 0) -> dict[str, Any]:
    """`step` with `how`, `size` of them at once, or a line of `points`, over [first, last) [s]."""
    if "step" not in request.args:
        points = whole("points", DRAWN, 6, MOST_VALUES)
        with _long_range(name, first * NS, last * NS):
            line = services.history.line(name, first * NS, last * NS, points, silence)
        return {
            "at_s": (line.at / NS).round(3).tolist(), "values": jsonable(line.values), "quality": qualities(line.quality),
            "samples": line.samples, "completeness": finite(line.completeness),
        }
    if "points" in request.args:
        abort(400, "expected step or points, not both")
    try:
        how = How(request.args.get("how", how))
    except ValueError:
        abort(400, f"how: expected one of {', '.join(How)}")
    step = request.args["step"]
    try:
        size = whole("size", MOST_VALUES, 1, MOST_VALUES)
        edges = first_steps(step, first * NS, last * NS, ZoneInfo(services.site.timezone), size)
    except ValueError as error:
        abort(400, f"step: {error}")
    try:
        with _long_range(name, int(edges[0]), int(edges[-1])):
            found = services.history.resample(name, edges, how)
    except ValueError as error:
        abort(400, f"how: {error}")
    end = int(found.edges[-1])
    return {
        "step": step, "how": how.value, "at_s": (found.edges[:-1] / NS).tolist(), "end_s": end / NS,
        "next_s": end // NS if end < last * NS else None,
        "values": jsonable(found.values), "quality": qualities(found.quality), "count": found.count.tolist(),
        "completeness": jsonable(found.completeness),
    }


def definition(bus: TagSource, tag: str) -> TagDef:
    """What is known about a tag; one that nobody defines has no unit and is never stale."""
    device, _, point = tag.partition("/")
    known = bus.devices().get(device)
    return next((one for one in known.tags if one.point == point), UNKNOWN) if known else UNKNOWN


def outdated(said: Instant, at: int, stale_after: NDArray[np.int64]) -> Instant:
    """What was stale by then is marked so: nobody writes down that a tag fell silent."""
    stale = (stale_after > 0) & (said.at > 0) & (at - said.at > stale_after)
    return Instant(said.at, said.values, np.where(stale, np.maximum(said.quality, Quality.BAD_STALE), said.quality))


def rows(names: list[str], units: list[str], found: Instant) -> list[dict[str, Any]]:
    """One a name, in the order asked; `at_s` null where nothing is known."""
    return [
        {"id": name, "unit": unit, "value": value, "quality": quality, "at_s": at / NS if at else None}
        for name, unit, value, quality, at in zip(
            names, units, jsonable(found.values), qualities(found.quality), found.at.tolist(), strict=True
        )
    ]


def qualities(codes: NDArray[np.uint8]) -> list[str]:
    return [NAMES[code] for code in codes.tolist()]


def jsonable(values: NDArray[np.float64]) -> list[float | None]:
    """A JSON list with null where there is no number."""
    return [value if value == value and abs(value) != float("inf") else None for value in values.tolist()]
