"""Dials against counts: which meters are to be read, which do not agree and why; one meter's readings, and a new one."""

from typing import Any, Final
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi import dials, encode
from hmi.access import IMPORT, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.paging import Page
from hmi.reasons import in_words
from hmi.services import Services
from hmi.site_time import instant_of
from scada.clock import HOUR_S, NS
from scada.dial import DialReading, DialSource, read_dial
from scada.dial_file import reading_of
from scada.errors import CommandRejected
from scada.site import UNIT_OF_MEDIUM

SIZE: Final = 50
HISTORY: Final = 100
ENTERED: Final = (DialSource.INSPECTION, DialSource.WALK_BY, DialSource.SUBSCRIBER)


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("dials", __name__)
    zone = ZoneInfo(services.site.timezone)

    @blueprint.get("/dials")
    @allow(STAFF)
    def page() -> Any:
        table = services.dials.table()
        counts = dials.counts(table)
        usual = next((one for one in dials.CHOICES if counts[one]), "all")
        which = request.args.get("which", "")
        which = which if which in dials.CHOICES else usual
        shown = Page.of(dials.chosen(table, which).tolist(), request.args.get("page", "1"), SIZE)
        return render_template(
            "dials.html", table=table, page=shown, which=which, counts=counts, choices=dials.CHOICES,
        )

    @blueprint.get("/dials/<name>")
    @allow(STAFF)
    def point(name: str) -> Any:
        return _point(services, name)

    @blueprint.post("/dials/<name>")
    @allow(IMPORT)
    def enter(name: str) -> Any:
        directory = services.registry.directory
        if name not in directory.point:
            abort(404)
        text, when = request.form.get("dial", "")[:40], request.form.get("at", "")[:40]
        source = request.form.get("source", "")
        try:
            shown = read_dial(text)
        except ValueError:
            return _point(services, name, text, _("Expected all digits as the dial shows them: 01234.5")), 400
        at = instant_of(when, zone) if when else services.clock.seconds() * NS
        if at is None or at > services.clock.now() or source not in ENTERED:
            return _point(services, name, text, _("Expected the time of the reading, not one to come.")), 400
        try:
            reading = reading_of(directory, name, "", at, shown, DialSource(source), g.session.account.name)
            outcome = services.in_reactor(
                services.registry.add_dials, g.session.actor(), [reading], correct=request.form.get("correct") == "1"
            )
        except ValueError as error:
            return _point(services, name, text, in_words(str(error))), 400
        except CommandRejected as error:
            return _point(services, name, text, "; ".join(map(in_words, error.reasons))), 409
        notice(_("The reading is entered.") if outcome.new else _("This reading was known already."))
        return redirect(url_for("dials.point", name=name))

    return blueprint


def _point(services: Services, name: str, text: str = "", fault: str = "") -> str:
    directory = services.registry.directory
    point = directory.point.get(name) or abort(404)
    table, hour = services.dials.table(), services.clock.hour()
    row = dials.row_of(table, name)
    readings: tuple[DialReading, ...] = services.registry.dials.of_point(name, HISTORY)
    return render_template(
        "dial.html", point=point, unit=UNIT_OF_MEDIUM[point.medium], table=table, row=row, readings=readings, text=text,
        fault=fault, now_dial=float(services.dials.dial([name], hour)[0]), now_at=hour * HOUR_S * NS, sources=ENTERED,
        one=encode.dial_row(table, row) if row is not None else None,
    )

