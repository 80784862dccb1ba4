"""Phases of a balance group: how even it could be, who hangs elsewhere than written, whom to move; a sheet for the crew."""

from datetime import timedelta
from typing import Any, Final

import attrs
import numpy as np
from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from hmi.access import ORDER_MOVES, STAFF, allow
from hmi.curves import curve_chart
from hmi.i18n import _
from hmi.lines import LineChart, lines
from hmi.notices import notice
from hmi.reasons import in_words
from hmi.services import Services
from hmi.site_time import SiteTime, day_from
from scada.clock import DAY_H, HOUR_S, NS
from scada.errors import CommandRejected
from scada.phase_orders import LONGEST_NOTE, MoveState, OrderState, PhaseOrder
from scada.phase_study import MOST_MOVES, Objective, Simultaneity, Working
from scada.site import BalanceGroup

PERIODS: Final = (7, 14, 28)            # days
SPANS: Final = {"hours": HOUR_S, "days": DAY_H * HOUR_S}
W_PER_KW: Final = 1000.0
WEEKS: Final = 26                       # half a year of stored studies
WEEK_S: Final = 7 * DAY_H * HOUR_S


@attrs.frozen
class Period:
    """Whole days that were chosen, the last of them yesterday at most."""

    days: int
    first: str                          # site day
    date: str                           # the last one
    before: str                         # last day of the period before
    after: str                          # "" where there is none
    first_hour: int
    hours: int


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("phases", __name__)
    time = SiteTime(services.site.timezone)

    def group_of(name: str) -> BalanceGroup:
        group = services.registry.directory.balance_group.get(name)
        if group is None:
            abort(404)
        return group

    def order_of(name: str, number: int) -> PhaseOrder:
        order = services.phase_orders.order(number) if number < 2**63 else None
        if order is None or order.group != name:
            abort(404)
        return order

    def weeks_of(name: str) -> list[dict[str, Any]]:
        """The studies of the last weeks, newest first; of a week of which nothing could be said, nothing."""
        now = services.clock.now() // NS
        found = services.phase_weeks.table(name, now - WEEKS * WEEK_S, now)
        rows = [
            {"day": str(time.day_of(int(start) * NS)), **{column: float(of[at]) for column, of in found.columns.items()}}
            for at, start in enumerate(found.start.tolist())
        ]
        return [row for row in reversed(rows) if row["consumers"] != 0]

    def period(asked: "MultiDict[str, str]") -> Period:
        days = next((one for one in PERIODS if asked.get("days") == str(one)), PERIODS[0])
        yesterday = time.day_of(services.clock.now()) - timedelta(days=1)
        last = min(day_from(asked.get("date", ""), yesterday), yesterday)
        first = last - timedelta(days=days - 1)
        after = str(last + timedelta(days=days)) if last < yesterday else ""
        return Period(days, str(first), str(last), str(last - timedelta(days=days)), after, *time.hours_of(first, days))

    @blueprint.get("/balance/<name>/phases")
    @allow(STAFF)
    def page(name: str) -> Any:
        group, asked = group_of(name), request.args
        when, objective = period(asked), objective_of(asked)
        moves = moves_of(asked)
        found = services.phases.study(name, when.first_hour, when.hours, objective, moves, asked.get("exact") == "1")
        working = found if isinstance(found, Working) else None
        study = None if isinstance(found, Working) else found
        choice = {
            "days": when.days, "date": when.date, "span": "days" if asked.get("span") == "days" else "hours",
            "of": "imbalance" if asked.get("of") == "imbalance" or (study and not study.uneven) else "uneven",
            "net": int(asked.get("net") == "1"), "scaled": int(asked.get("scaled") == "1"), "objective": objective.value,
            "moves": moves or "", "exact": int(asked.get("exact") == "1"),
        }
        span = SPANS[str(choice["span"])]
        kinds = {} if study is None else {"uneven": study.uneven, "imbalance": study.net if choice["net"] else study.losses}
        curves = kinds[str(choice["of"])].get(span) if kinds else None
        chart = None
        if curves is not None and len(curves.start):
            own_unit = choice["of"] == "uneven"
            factor = curves.factor if choice["scaled"] or not own_unit else 1.0
            chart = curve_chart(curves, span, W_PER_KW if own_unit else 1.0, factor)
        orders = services.phase_orders.orders(name)
        return render_template(
            "phases.html", group=group, study=study, working=working, choice=choice, periods=PERIODS, when=when,
            curves=curves, chart=chart, unit="kWh" if choice["of"] == "imbalance" or span > HOUR_S else "kW",
            position=study.uneven[HOUR_S].position if study and HOUR_S in study.uneven else np.nan,
            together=coincidence(study.together) if study and study.together and study.together.sizes else None,
            loss_percent=100 * group.normal_share, objectives=Objective, most_moves=MOST_MOVES,
            weeks=weeks_of(name),
            orders=[(one, services.phase_orders.states(one).count(MoveState.DONE)) for one in orders],
        )

    @blueprint.post("/balance/<name>/phases/orders")
    @allow(ORDER_MOVES)
    def keep(name: str) -> Any:
        group_of(name)
        when = period(request.form)
        found = services.phases.study(name, when.first_hour, when.hours, objective_of(request.form), moves_of(request.form),
                                      request.form.get("exact") == "1")
        if isinstance(found, Working):
            notice(_("The study has to be worked out again first."), "error")
            return redirect(url_for("phases.page", name=name, days=when.days, date=when.date))
        try:
            order = services.phase_orders.keep(g.session.actor(), found)
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
            return redirect(url_for("phases.page", name=name, days=when.days, date=when.date))
        return redirect(url_for("phases.order", name=name, number=order.number))

    @blueprint.get("/balance/<name>/phases/orders/<int:number>")
    @allow(STAFF)
    def order(name: str, number: int) -> Any:
        group, one = group_of(name), order_of(name, number)
        found = services.phase_orders.achieved(one)
        states = services.phase_orders.states(one)
        return render_template(
            "phase_order.html", group=group, order=one, moves=list(zip(one.proposal.moves, states, strict=True)),
            working=found if isinstance(found, Working) else None, found=None if isinstance(found, Working) else found,
            possible=[state for state in OrderState if state is not one.state], longest=LONGEST_NOTE,
            today=str(time.day_of(services.clock.now())), first=one.proposal.first_hour * HOUR_S * NS,
        )

    @blueprint.post("/balance/<name>/phases/orders/<int:number>")
    @allow(ORDER_MOVES)
    def settle(name: str, number: int) -> Any:
        order_of(name, number)
        form = request.form
        if any(form.get(field) not in list(OrderState) for field in ("was", "state")):
            abort(400)
        try:
            services.phase_orders.settle(
                g.session.actor(), number, OrderState(form["was"]), OrderState(form["state"]),
                form.get("note", "")[:LONGEST_NOTE], form.get("day", ""))
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
        return redirect(url_for("phases.order", name=name, number=number))

    return blueprint


def coincidence(of: Simultaneity) -> LineChart:
    """g(n), as it was fitted, and what random groups have; sizes side by side, for they grow like a geometric series."""
    return lines([of.mean, of.fitted, of.low, of.high], [str(n) for n in of.sizes])


def moves_of(asked: "MultiDict[str, str]") -> int | None:
    """Most moves of the work order; None where nobody says so."""
    said = asked.get("moves", "")
    return min(max(int(said), 1), MOST_MOVES) if said.isascii() and said.isdigit() and len(said) < 9 else None


def objective_of(asked: "MultiDict[str, str]") -> Objective:
    return Objective.SQUARES if asked.get("objective") == Objective.SQUARES.value else Objective.ABSOLUTE
