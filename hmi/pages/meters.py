"""The list of metering points: searched and paged by the server, whatever their number."""

from typing import Any, Final

from flask import Blueprint, render_template, request

from hmi.access import STAFF, allow
from hmi.paging import Page, fits
from hmi.services import Services
from scada.site import UNIT_OF_MEDIUM

SIZE: Final = 50


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("meters", __name__)

    @blueprint.get("/meters")
    @allow(STAFF)
    def index() -> Any:
        directory = services.registry.directory
        query, medium = request.args.get("q", "").strip(), request.args.get("medium", "")
        found = []
        for point in directory.site.points:
            consumer = directory.consumer.get(point.consumer)
            if medium and point.medium.value != medium:
                continue
            if fits(query, point.name, point.title, point.consumer, consumer.title if consumer else ""):
                found.append((point, consumer))
        page = Page.of(found, request.args.get("page", "1"), SIZE)
        rows = [
            (point, consumer, UNIT_OF_MEDIUM[point.medium], directory.meters_of_point.get(point.name, ())[-1:])
            for point, consumer in page.rows
        ]
        return render_template("meters.html", page=page, rows=rows, query=query, medium=medium)

    return blueprint
