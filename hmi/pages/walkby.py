"""Walk-by import: files of the hand-held collector come in through a form, and what became of them is shown."""

from typing import Any, Final

from flask import Blueprint, g, render_template, request

from hmi.access import IMPORT, allow
from hmi.api.walkby import MAX_FILE, MAX_NAME
from hmi.i18n import _
from hmi.services import Services
from scada.clock import HOUR_S, NS

SHOWN: Final = 200                      # conflicts and problems on the page; the command line shows all
BODY: Final = MAX_FILE + (64 << 10)     # the form around the files


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("walkby", __name__)

    @blueprint.get("/walkby")
    @allow(IMPORT)
    def page() -> Any:
        return render_template("walkby.html", report=None, said="", megabytes=MAX_FILE >> 20)

    @blueprint.post("/walkby")
    @allow(IMPORT, takes=BODY)
    def upload() -> Any:
        files = [((one.filename or "")[:MAX_NAME], one.read()) for one in request.files.getlist("files") if one.filename]
        if not files:
            said = _("Choose at least one file.")
            return render_template("walkby.html", report=None, said=said, megabytes=MAX_FILE >> 20), 400
        examined = services.walkby.examine(files)
        report = examined.report
        check_only, strict = request.form.get("check") == "1", request.form.get("strict") == "1"
        if not check_only and not (strict and report.problems):
            report = services.in_reactor(services.walkby.store, g.session.actor(), examined)
        return render_template(
            "walkby.html", report=report, said="", megabytes=MAX_FILE >> 20, shown=SHOWN, hour_ns=HOUR_S * NS,
            check_only=check_only,
        )

    return blueprint
