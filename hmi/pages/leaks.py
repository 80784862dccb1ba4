"""Leaks: flows that no night stops, what became of them, and what could not be told; a sheet for the crew."""

from datetime import date, timedelta
from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi.access import DECIDE_LEAKS, STAFF, allow
from hmi.flows import limit_of, rate, scale, silent, size_of_count
from hmi.i18n import _
from hmi.lines import lines
from hmi.notices import notice
from hmi.paging import Page
from hmi.reasons import in_words
from hmi.services import Services
from hmi.sheets import sheet
from hmi.sparks import spark
from scada.errors import CommandRejected
from scada.leaks import LONGEST_NOTE, OPEN, RUNNING, Leak, LeakState
from scada.site import Medium

SIZE: Final = 50
MOST_IN_SHEET: Final = 10_000
UNKNOWN_SHOWN: Final = 200
STANDBY_SHOWN: Final = 50
FLOWS: Final = tuple(medium for medium in Medium if medium is not Medium.ELECTRICITY)
CHOICES: Final = {"open": OPEN, **{state.value: (state,) for state in LeakState}}
DECIDABLE: Final = tuple(state for state in RUNNING if state is not LeakState.NEW)


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("leaks", __name__)

    def chosen() -> tuple[str, Medium | None]:
        which, medium = request.args.get("which", ""), request.args.get("medium", "")
        return (
            which if which in CHOICES else "open", next((one for one in FLOWS if one.value == medium), None)
        )

    def where(point: str) -> dict[str, str]:
        directory = services.registry.directory
        known, periods = directory.point.get(point), directory.meters_of_point.get(point, ())
        consumer = directory.consumer.get(known.consumer) if known else None
        module = directory.module_of_eui.get(periods[-1].eui) if periods else None
        return {
            "consumer": consumer.title or consumer.name if consumer else "",
            "building": (consumer.building if consumer else "") or (module.building if module else ""),
            "serial": periods[-1].serial if periods else "", "module": module.name if module else "",
        }

    @blueprint.get("/leaks")
    @allow(STAFF)
    def page() -> Any:
        which, medium = chosen()
        counts = services.leaks.counts()
        numbers = {
            name: sum(counts.get((state, one), 0) for state in states for one in FLOWS if medium in (None, one))
            for name, states in CHOICES.items()
        }
        shown = Page.of(range(numbers[which]), request.args.get("page", "1"), SIZE)
        found, total = services.leaks.find(CHOICES[which], medium, (shown.number - 1) * SIZE, SIZE)
        night = services.leaks.night()
        return render_template(
            "leaks.html", page=Page(found, shown.number, shown.pages, total), which=which, medium=medium, numbers=numbers,
            night=night, unknown=night.unknown[:UNKNOWN_SHOWN], standby=night.standby[:STANDBY_SHOWN], where=where,
            lacking=sum(one.few_nights + one.coarse + one.no_meter for one in night.media), media=FLOWS,
            spark=lambda leak: spark(leak.flow.nights, limit_of(leak.flow)), rate=rate, size_of_count=size_of_count,
            health=[part for part in services.health() if part.part == "leaks"],
        )

    @blueprint.get("/leaks.csv")
    @allow(STAFF)
    def crew() -> Any:
        """What is chosen on the page, for whoever goes there."""
        which, medium = chosen()
        found, _total = services.leaks.find(CHOICES[which], medium, 0, MOST_IN_SHEET)
        return sheet(f"leaks-{services.leaks.night().day}", (
            "number", "state", "point", "medium", "consumer", "building", "serial", "module", "rate", "doubt", "rate_unit",
            "since", "since_at_least", "so_far", "unit", "last_night",
        ), ([
            one.number, one.state.value, one.flow.point, one.flow.medium.value,
            *(where(one.flow.point)[name] for name in ("consumer", "building", "serial", "module")),
            f"{one.flow.rate:.5g}", f"{one.flow.doubt:.5g}", f"{one.unit}/h", one.flow.since, one.flow.at_least,
            f"{one.quantity:.5g}", one.unit, one.seen,
        ] for one in found))

    @blueprint.get("/leaks/<int:number>")
    @allow(STAFF)
    def one(number: int) -> Any:
        leak = _leak(services, number)
        first = date.fromisoformat(leak.flow.first_day)
        days = [(first + timedelta(days=n)).isoformat() for n in range(len(leak.flow.nights))]
        factor, unit = scale(leak.flow)
        nights = [factor * one for one in leak.flow.nights]
        limit = factor * limit_of(leak.flow)
        directory = services.registry.directory
        return render_template(
            "leak.html", leak=leak, flow=leak.flow, days=days, nights=nights, limit=limit, unit=unit, rate=rate,
            chart=lines((nights, [limit] * len(nights)), [day[5:] for day in days]), where=where(leak.flow.point),
            silent=silent(leak), known=directory.point, supply=directory.supply_of_point.get(leak.flow.point),
            longest=LONGEST_NOTE, possible=[state for state in DECIDABLE if state is not leak.state],
        )

    @blueprint.post("/leaks/<int:number>")
    @allow(DECIDE_LEAKS)
    def decide(number: int) -> Any:
        form = request.form
        if number >= 2**63 or any(form.get(name) not in list(LeakState) for name in ("was", "state")):
            abort(400)
        was, state = LeakState(form["was"]), LeakState(form["state"])
        try:
            services.leaks.decide(g.session.actor(), number, was, state, form.get("note", "")[:LONGEST_NOTE])
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
        else:
            notice(_("The leak is changed."))
        return redirect(url_for("leaks.one", number=number))

    return blueprint


def _leak(services: Services, number: int) -> Leak:
    if number >= 2**63 or (leak := services.leaks.one(number)) is None:
        abort(404)
    return leak
