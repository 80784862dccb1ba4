"""How complete what was collected is: concentrators, groups or modules by site day, and the hours of one module.

What is missing and still asked for, what was given up and what is not due yet are told apart. A gap can be asked for again.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from numpy.typing import NDArray

from hmi import completeness
from hmi.access import READ_NOW, STAFF, allow
from hmi.heat import Days, heat
from hmi.i18n import _
from hmi.notices import notice
from hmi.paging import Page
from hmi.reasons import in_words
from hmi.services import Services
from hmi.site_time import SiteTime, day_from
from scada.clock import DAY_H, HOUR_S, NS
from scada.errors import CommandRejected
from scada.ports import CollectionSummary, CollectionView

DAYS: Final = 14                        # site days of the table, today the last one
HEAT_DAYS: Final = 30                   # and of the heat map
SIZE: Final = 40                        # rows a page
MOST_ASKED: Final = 10
MOST_DAYS: Final = 31                   # of one wish
HELD, MISSING, GIVEN_UP, NOT_DUE = "held", "missing", "given-up", "not-due"


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("collection", __name__)

    @blueprint.get("/collection")
    @allow(STAFF)
    def page() -> Any:
        time, now = SiteTime(services.site.timezone), services.clock.now()
        names = [one.name for one in services.registry.directory.site.concentrators]
        chosen, module = request.args.get("concentrator", ""), request.args.get("module", "")
        by = "group" if request.args.get("by") == "group" and not chosen else "concentrator"
        number = request.args.get("page", "1")
        today = time.day_of(now)
        days = [today - timedelta(days=n) for n in range(HEAT_DAYS - 1, -1, -1)]
        if chosen and chosen not in names:
            abort(404)
        if module:
            first = days[-DAYS]
            return _hours_page(services, chosen, module, time, days[-DAYS:], time.edges(first, DAYS))
        if not chosen:
            summaries = services.collection.group_summaries() if by == "group" else services.collection.summaries()
            told = {one.name: one for one in completeness.worst_first(summaries)}
            silent = [] if by == "group" else [name for name in names if name not in told]
            shown = Page.of([*told, *silent], number, SIZE)
            rows = [_of_summary(name, told.get(name), time, days) for name in shown.rows]
        else:
            view = services.collection.collection(chosen)
            mine = services.registry.directory.site.modules
            modules = {one.index: one.name for one in mine if one.concentrator == chosen}
            every = _of_modules(view, modules, time.edges(days[0], HEAT_DAYS))
            shown = Page.of(sorted(every, key=lambda one: -int(one.lacking.sum())), number, SIZE)
            rows = list(shown.rows)
        asked = [one for one in services.collection.recalls() if chosen in ("", one.concentrator)][:MOST_ASKED]
        return render_template(
            "collection.html", page=shown, rows=[(one.name, _shares(one)[-DAYS:]) for one in rows], days=days[-DAYS:],
            chosen=chosen, by=by, heat=heat(rows, days) if rows else None, asked=asked, yesterday=days[-2],
            earliest=days[0], today=today,
        )

    @blueprint.post("/collection/ask")
    @allow(READ_NOW)
    def ask() -> Any:
        form, time = request.form, SiteTime(services.site.timezone)
        concentrator, module = form.get("concentrator", ""), form.get("module", "").strip()
        today = time.day_of(services.clock.now())
        first = day_from(form.get("first", ""), today)
        last = min(max(first, day_from(form.get("last", ""), first)), first + timedelta(days=MOST_DAYS - 1))
        begin, hours = time.hours_of(first, (last - first).days + 1)
        try:
            services.in_reactor(
                services.collection.ask_again, g.session.actor(), concentrator, [module] if module else [], begin,
                min(hours, MOST_DAYS * DAY_H),
            )
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
        else:
            notice(_("%(name)s is asked again for what is missing.", name=module or concentrator))
        return redirect(url_for("collection.page", concentrator=concentrator))

    return blueprint


def _hours_page(
    services: Services, chosen: str, module: str, time: SiteTime, days: list[Any], edges: NDArray[np.int64]
) -> Any:
    modules = {one.name: one.index for one in services.registry.directory.site.modules if one.concentrator == chosen}
    index = modules.get(module, 0)
    if not index:
        abort(404)
    hours = _hours(services.collection.collection(chosen), edges, index)
    titles = [[time.minute(hour * HOUR_S * NS) for hour in range(edges[n], edges[n + 1])] for n in range(len(days))]
    return render_template(
        "collection_hours.html", chosen=chosen, module=module, days=days, hours=hours, titles=titles
    )


def _of_summary(name: str, told: CollectionSummary | None, time: SiteTime, days: list[Any]) -> Days:
    """Days by their date: a picture that was made before midnight ends with yesterday."""
    due, lacking = np.zeros(len(days), dtype=np.int64), np.zeros(len(days), dtype=np.int64)
    gone = np.zeros(len(days), dtype=np.bool_)
    if told is not None:
        zone, place = ZoneInfo(time.zone), {day: n for n, day in enumerate(days)}
        for n, start in enumerate(told.edges[:-1]):
            at = place.get(datetime.fromtimestamp(start * HOUR_S, zone).date())
            if at is not None:
                due[at], lacking[at] = told.due[n], told.lacking[n]
                gone[at] = told.edges[n + 1] <= told.given_up_before
    return Days(name, due, lacking, gone)


def _of_modules(view: CollectionView | None, modules: dict[int, str], edges: NDArray[np.int64]) -> list[Days]:
    nothing = np.zeros(len(edges) - 1, dtype=np.int64)
    if view is None:
        return [Days(name, nothing, nothing, nothing > 0) for _index, name in sorted(modules.items())]
    at, gone = np.clip(edges - view.first, 0, view.wanted.shape[1]), edges[1:] <= view.given_up
    found = []
    for index, name in sorted(modules.items()):
        mine = view.index == index
        due, lacking = (
            np.diff(np.concatenate([[0], one[mine].sum(axis=0).cumsum()])[at]) for one in (view.wanted, view.lacking)
        )
        found.append(Days(name, due, lacking, gone))
    return found


def _shares(one: Days) -> list[tuple[float, bool]]:
    """(share held in %, anything given up) of each site day; NaN where nothing is due or nothing is known."""
    return [
        (100 * (due - lack) / due if due else float("nan"), bool(lack) and gone)
        for due, lack, gone in zip(one.due.tolist(), one.lacking.tolist(), one.gone.tolist(), strict=True)
    ]


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
