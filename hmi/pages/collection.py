"""How complete what was collected is: concentrators or modules by site day, and the hours of one module.

What is missing and still asked for, what was given up and what is not due yet are told apart.
"""

from datetime import timedelta
from typing import Any, Final

import numpy as np
from flask import Blueprint, abort, render_template, request
from numpy.typing import NDArray

from hmi.access import STAFF, allow
from hmi.paging import Page
from hmi.services import Services
from hmi.site_time import SiteTime
from scada.clock import HOUR_S, NS
from scada.ports import CollectionView

DAYS: Final = 14                        # site days shown, today the last one
SIZE: Final = 25                        # concentrators or modules a page
HELD, MISSING, GIVEN_UP, NOT_DUE = "held", "missing", "given-up", "not-due"


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("collection", __name__)

    @blueprint.get("/collection")
    @allow(STAFF)
    def page() -> Any:
        time, now = SiteTime(services.site.timezone), services.clock.now()
        first = time.day_of(now) - timedelta(days=DAYS - 1)
        days, edges = [first + timedelta(days=n) for n in range(DAYS)], time.edges(first, DAYS)
        names = [one.name for one in services.registry.directory.site.concentrators]
        chosen, module = request.args.get("concentrator", ""), request.args.get("module", "")
        number = request.args.get("page", "1")
        if not chosen:
            shown = Page.of(names, number, SIZE)
            rows = [(name, _shares(services.collection.collection(name), edges, None)) for name in shown.rows]
            return render_template("collection.html", page=shown, rows=rows, days=days, chosen="")
        if chosen not in names:
            abort(404)
        view = services.collection.collection(chosen)
        modules = {one.index: one.name for one in services.registry.directory.site.modules if one.concentrator == chosen}
        if module:
            index = next((index for index, name in modules.items() if name == module), 0)
            if not index:
                abort(404)
            hours = _hours(view, edges, index)
            titles = [[time.minute(hour * HOUR_S * NS) for hour in range(edges[n], edges[n + 1])] for n in range(DAYS)]
            return render_template(
                "collection_hours.html", chosen=chosen, module=module, days=days, hours=hours, titles=titles
            )
        shown = Page.of(sorted(modules), number, SIZE)
        rows = [(modules[index], _shares(view, edges, index)) for index in shown.rows]
        return render_template("collection.html", page=shown, rows=rows, days=days, chosen=chosen)

    return blueprint


def _shares(view: CollectionView | None, edges: NDArray[np.int64], index: int | None) -> list[tuple[float, bool]]:
    """(share held in %, anything given up) of each site day; NaN where nothing is due or nothing is known."""
    if view is None:
        return [(float("nan"), False)] * (len(edges) - 1)
    rows = slice(None) if index is None else view.index == index
    wanted, lacking = view.wanted[rows].sum(axis=0), view.lacking[rows].sum(axis=0)
    found = []
    for start, end in zip(edges[:-1] - view.first, edges[1:] - view.first, strict=True):
        due, gone = (int(one[max(0, start):max(0, end)].sum()) for one in (wanted, lacking))
        found.append((100 * (due - gone) / due if due else float("nan"), bool(gone) and end + view.first <= view.given_up))
    return found


def _hours(view: CollectionView | None, edges: NDArray[np.int64], index: int) -> list[list[str]]:
    """The state of every hour of each site day, which has 23, 24 or 25: missing if any channel lacks it."""
    found = []
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        day = []
        for hour in range(start, end):
            state = NOT_DUE
            if view is not None and 0 <= (at := hour - view.first) < view.wanted.shape[1]:
                mine = view.index == index
                if view.lacking[mine, at].any():
                    state = GIVEN_UP if hour < view.given_up else MISSING
                elif view.wanted[mine, at].any():
                    state = HELD
            day.append(state)
        found.append(day)
    return found
