"""The tag browser: search in all tags, a page at a time; only the visible rows are live."""

from typing import Any, Final

from flask import Blueprint, render_template, request

from hmi.access import STAFF, allow
from hmi.formats import Cells
from hmi.paging import Page, fits
from hmi.services import Services
from scada.tags import UNCERTAIN

SIZE: Final = 100


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("tags", __name__)

    @blueprint.get("/tags")
    @allow(STAFF)
    def page() -> Any:
        query, only_bad = request.args.get("q", "").strip()[:100], request.args.get("bad") == "1"
        cells = Cells(services.bus)
        quality = cells.shot.quality
        found = [
            tag for n, tag in enumerate(cells.shot.ids)
            if tag and (not only_bad or quality[n] >= UNCERTAIN) and (not query or fits(query, tag))
        ]
        page = Page.of(found, request.args.get("page", "1"), SIZE)
        rows = [(cells(tag), cells.definition(tag)) for tag in page.rows]
        return render_template("tags.html", page=page, rows=rows, query=query, only_bad=only_bad)

    return blueprint
