"""Suspects of balance groups: case files of what the examination of every night found, and what people made of it."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import attrs
from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi.access import DECIDE, STAFF, allow
from hmi.i18n import _
from hmi.lines import LineChart, lines
from hmi.notices import notice
from hmi.paging import Page
from hmi.reasons import in_words
from hmi.services import Services
from hmi.whereabouts import whereabouts
from scada.cases import LONGEST_NOTE, OPEN, CaseState, Suspicion
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
        return render_template(
            "suspect.html", case=case, found=case.suspicion, days=_days(case.suspicion), hours=_hours(case.suspicion),
            longest=LONGEST_NOTE, known=services.registry.directory.point,
            group_known=services.registry.directory.balance_group,
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


@attrs.frozen
class Drawn:
    """Courses over one another, and what they are called: names are those of `Suspicion`."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    courses: tuple[tuple[float, ...], ...]
    chart: LineChart


def _days(found: Suspicion) -> Drawn | None:
    """What the case rests on, day by day."""
    first = date.fromisoformat(found.first_day)
    days = tuple((first + timedelta(days=n)).isoformat() for n in range(len(found.imbalance)))
    if not days:
        return None
    if found.whole:
        return _drawn({"imbalance": found.imbalance, "unassigned": found.unassigned}, days, [day[5:] for day in days])
    courses = {"forecast": found.forecast, "registered": found.registered, "imbalance": found.imbalance}
    return _drawn(courses, days, [day[5:] for day in days])


def _hours(found: Suspicion) -> Drawn | None:
    """The mean day of a member over that of the imbalance: a picture, by which nothing is decided."""
    hours = tuple(f"{n:02}" for n in range(len(found.mean_registered)))
    courses = {"registered": found.mean_registered, "imbalance": found.mean_imbalance}
    return _drawn(courses, hours, hours) if hours else None


def _drawn(courses: dict[str, tuple[float, ...]], places: tuple[str, ...], labels: Sequence[str]) -> Drawn:
    return Drawn(tuple(courses), places, tuple(courses.values()), lines(tuple(courses.values()), labels))
