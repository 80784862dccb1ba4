"""Balance groups: fed in, taken, missing, hour by hour, now or as known once; what is incomplete is drawn so."""

from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from flask import Blueprint, abort, render_template, request

from hmi.access import STAFF, allow
from hmi.balance_sheet import sheet
from hmi.balances import WHOLE, newest, with_provisional
from hmi.charts import bars
from hmi.group_tree import as_tree, children, trail
from hmi.labels import BALANCE_STATE
from hmi.paging import Page
from hmi.services import Services
from hmi.site_time import SiteTime, day_from, known_at, month_of, next_month, previous_month
from hmi.whereabouts import whereabouts
from scada.beyond import beyond
from scada.clock import DAY_H, HOUR_S, NS
from scada.errors import NotKept
from scada.ports import BALANCE_COLUMNS, MONTH_S, ResultTable
from scada.site import UNIT_OF_MEDIUM, BalanceGroup, MemberRole

DAY_S: Final = DAY_H * HOUR_S
ONE_DAY: Final = timedelta(days=1)
CHILDREN_SHOWN: Final = 50
SIZE: Final = 100                       # groups on a page of the index
MOST_LOOKED: Final = 2000               # whose newest hour is read to choose by it


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("balance", __name__)
    time, zone = SiteTime(services.site.timezone), ZoneInfo(services.site.timezone)

    @blueprint.get("/balance")
    @allow(STAFF)
    def index() -> Any:
        directory = services.registry.directory
        place = whereabouts(directory, *(request.args.get(one, "").strip()[:100] for one in ("transformer", "feeder")))
        state = request.args.get("state", "")
        state = state if state in BALANCE_STATE else ""
        groups = [
            one for one in as_tree(directory, services.clock.hour()) if place.groups is None or one[0].name in place.groups
        ]
        if state:                               # what state a group is in is known when its newest hour is read
            looked = [(group, depth, *_newest(services, group)) for group, depth in groups[:MOST_LOOKED]]
            page = Page.of([row for row in looked if _state(row[0], row[4]) == state], request.args.get("page", "1"), SIZE)
            rows = page.rows
        else:
            page = Page.of(groups, request.args.get("page", "1"), SIZE)
            rows = [(group, depth, *_newest(services, group)) for group, depth in page.rows]
        return render_template(
            "balance_index.html", rows=rows, whole=WHOLE, page=page, place=place, state=state, states=BALANCE_STATE,
            left_out=max(len(groups) - MOST_LOOKED, 0) if state else 0,
            transformers=[one.name for one in directory.site.transformers],
            feeders=[one.name for one in directory.site.feeders],
        )

    @blueprint.get("/balance/<name>")
    @allow(STAFF)
    def page(name: str) -> Any:
        group = services.registry.directory.balance_group.get(name)
        if group is None:
            abort(404)
        today = time.day_of(services.clock.now())
        by_year, by_month = (request.args.get("span") == one for one in ("year", "month"))
        if by_year:
            year = month_of(request.args.get("year", "") + "-01", today).year
            months = [date(year, n + 1, 1) for n in range(12)] + [date(year + 1, 1, 1)]
            edges = np.array([time.midnight(one) for one in months], dtype=np.int64)
            shown, before, after = str(year), str(year - 1), str(year + 1)
        elif by_month:
            first = month_of(request.args.get("month", ""), today)
            edges = time.edges(first, (next_month(first) - first).days)
            shown, before, after = f"{first:%Y-%m}", f"{previous_month(first):%Y-%m}", f"{next_month(first):%Y-%m}"
        else:
            day = day_from(request.args.get("date", ""), today)
            start, count = time.hours_of(day)
            edges = start + np.arange(count + 1, dtype=np.int64)
            shown, before, after = str(day), str(day - ONE_DAY), str(day + ONE_DAY)
        span = MONTH_S if by_year else DAY_S if by_month else HOUR_S
        asked, refused = request.args.get("known", "")[:40], None
        as_of = known_at(asked, zone, services.clock.now())
        of = name, span, int(edges[0]) * HOUR_S, int(edges[-1]) * HOUR_S
        try:
            table = services.balances.table(*of, as_of)
        except NotKept as error:
            as_of, refused = None, error
            table = services.balances.table(*of)
        found = _spread(table, edges[:-1] * HOUR_S)
        columns = with_provisional(found)
        directory, now = services.registry.directory, services.clock.hour()
        past = edges[:-1] < now
        above, beside = trail(directory, name, min(int(edges[-1]) - 1, now))
        inside = [] if as_of else children(directory, name, min(int(edges[-1]) - 1, now))   # shown with their newest hour
        unfed = np.isfinite(columns["version"]) & np.isnan(columns["feed"])
        numbered = by_month or by_year
        labels = [f"{n + 1}" if numbered else time.clock(int(hour)) for n, hour in enumerate(edges[:-1])]
        members = directory.members_of_group.get(name, ())
        return render_template(
            "balance.html", group=group, members=len(members), unit=UNIT_OF_MEDIUM[group.medium], by_month=by_month,
            by_year=by_year, above=above, beside=beside, all_inside=len(inside),
            inside=[(member, child, *_newest(services, child)) for member, child in inside[:CHILDREN_SHOWN]],
            special=[one for one in members if one.role is not MemberRole.CONSUMPTION], known=directory.point,
            sheet=sheet(found, np.isfinite(found["imbalance"]), past, group.normal_share),
            shown=shown, before=before, after=after, past=past.tolist(), whole=WHOLE,
            columns={
                **{name: column.tolist() for name, column in columns.items()},
                "deducted": (np.nan_to_num(found["technical"]) + np.nan_to_num(found["own"])).tolist(),
            },
            starts=(edges[:-1] * HOUR_S * NS).tolist(),
            chart=bars(
                columns["imbalance"], columns["whole"], labels, columns["uncertainty"], past, unfed, columns["by_estimates"]
            ),
            over=int(past.sum()), goes_on=bool(past.all()), as_of=as_of, asked=asked, refused=refused,
            today_known=f"{time.local(services.clock.now()):%Y-%m-%dT%H:%M}",
        )

    return blueprint


def _state(group: BalanceGroup, last: dict[str, float]) -> str:
    """Of a group's newest hour."""
    if not last or last["feed"] != last["feed"]:
        return "none"
    if last["by_estimates"]:
        return "estimated"
    if not last["whole"]:
        return "incomplete"
    return "over" if beyond(group, last).over else "whole"


def _newest(services: Services, group: BalanceGroup) -> tuple[str, int, dict[str, float]]:
    start, last = newest(services, group.name)
    return UNIT_OF_MEDIUM[group.medium], start * NS, last


def _spread(table: ResultTable, starts: "np.ndarray[Any, np.dtype[np.int64]]") -> "dict[str, np.ndarray[Any, Any]]":
    """The table's columns on a full axis of intervals, NaN (completeness 0) where there is no row."""
    place = np.searchsorted(starts, table.start)
    fits = (place < len(starts)) & (starts[np.minimum(place, len(starts) - 1)] == table.start)
    spread = {}
    for name in BALANCE_COLUMNS:
        column = np.full(len(starts), 0.0 if name == "completeness" else np.nan)
        if name in table.columns:
            column[place[fits]] = table.columns[name][fits]
        spread[name] = column
    return spread
