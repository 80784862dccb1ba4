"""Suspects of balance groups: case files of what the examination of every night found, and what people made of it."""

from datetime import date, timedelta
from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi.access import DECIDE, STAFF, allow
from hmi.i18n import _
from hmi.lines import lines
from hmi.notices import notice
from hmi.paging import Page
from hmi.reasons import in_words
from hmi.services import Services
from hmi.whereabouts import whereabouts
from scada.cases import LONGEST_NOTE, OPEN, CaseState
from scada.errors import CommandRejected

SIZE: Final = 50
GROUPS_SHOWN: Final = 50
CHOICES: Final = {"open": OPEN, **{state.value: (state,) for state in CaseState}}


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("suspects", __name__)

    @blueprint.get("/suspects")
    @allow(STAFF)
    def page() -> Any:
        place = whereabouts(services.registry.directory, *(
            request.args.get(name, "").strip()[:100] for name in ("transformer", "feeder")
        ))
        counts = services.cases.counts(**place.sought())
        which = request.args.get("which", "")
        which = which if which in CHOICES else "open"
        numbers = {name: sum(counts[state] for state in states) for name, states in CHOICES.items()}
        shown = Page.of(range(numbers[which]), request.args.get("page", "1"), SIZE)
        cases, total = services.cases.find(CHOICES[which], (shown.number - 1) * SIZE, SIZE, **place.sought())
        day, every = services.cases.night()
        groups = [one for one in every if place.groups is None or one.group in place.groups]
        return render_template(
            "suspects.html", page=Page(cases, shown.number, shown.pages, total), which=which, numbers=numbers, day=day,
            groups=groups[:GROUPS_SHOWN], all_groups=len(groups), place=place,
            transformers=[one.name for one in services.registry.directory.site.transformers],
            feeders=[one.name for one in services.registry.directory.site.feeders],
            health=[part for part in services.health() if part.part == "suspects"],
        )

    @blueprint.get("/suspects/<int:number>")
    @allow(STAFF)
    def one(number: int) -> Any:
        if number >= 2**63 or (case := services.cases.one(number)) is None:
            abort(404)
        found = case.suspicion
        first = date.fromisoformat(found.first_day)
        days = [(first + timedelta(days=n)).isoformat() for n in range(len(found.imbalance))]
        courses = (found.forecast, found.registered, found.imbalance)
        return render_template(
            "suspect.html", case=case, found=found, days=days, courses=courses, longest=LONGEST_NOTE,
            chart=lines(courses, [day[5:] for day in days]) if days else None,
            known=services.registry.directory.point, group_known=services.registry.directory.balance_group,
            possible=[state for state in CaseState if state is not case.state],
        )

    @blueprint.post("/suspects/<int:number>")
    @allow(DECIDE)
    def decide(number: int) -> Any:
        form = request.form
        if number >= 2**63 or any(form.get(name) not in list(CaseState) for name in ("was", "state")):
            abort(400)
        was, state = CaseState(form["was"]), CaseState(form["state"])
        try:
            services.cases.decide(g.session.actor(), number, was, state, form.get("note", "")[:LONGEST_NOTE])
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
        else:
            notice(_("The case is changed."))
        return redirect(url_for("suspects.one", number=number))

    return blueprint
