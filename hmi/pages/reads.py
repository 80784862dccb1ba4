"""Reads on demand: the queue with its reasons and expected times, and what became of one, module by module."""

from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi import encode
from hmi.access import READ_NOW, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.paging import Page, names
from hmi.reasons import in_words
from hmi.services import Services
from scada.errors import CommandRejected
from scada.reads import OVER, ChannelReading, ReadMember, ReadPriority, ReadRequest, ReadTask
from scada.site import UNIT_OF_MEDIUM, Directory

SIZE: Final = 50
MEMBERS: Final = 200                    # modules on a page of one read
NEWEST: Final = 2000
HOUR_NS: Final = 3_600_000_000_000


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("reads", __name__)

    @blueprint.get("/reads")
    @allow(STAFF)
    def page() -> Any:
        only_open = request.args.get("open") == "1"
        shown = [one for one in services.reading.tasks(NEWEST) if not only_open or one.state not in OVER]
        page = Page.of(shown, request.args.get("page", "1"), SIZE)
        return render_template("reads.html", page=page, only_open=only_open)

    @blueprint.post("/reads")
    @allow(READ_NOW)
    def read() -> Any:
        """From a point, a module, a concentrator's list or the form: names are taken apart at commas."""
        form = request.form
        minutes = form.get("minutes", "15")
        wish = ReadRequest(
            names(form.get("points", "")), names(form.get("modules", "")), names(form.get("groups", "")),
            int(minutes) * 60 if minutes.isdecimal() and len(minutes) < 6 else 0,
            ReadPriority.URGENT if form.get("urgent") else ReadPriority.NORMAL,
            form.get("key", "")[:64],
        )
        try:
            task = services.in_reactor(services.reading.request, g.session.actor(), wish)
        except CommandRejected as error:
            for reason in error.reasons:
                notice(in_words(reason), "error")
            return redirect(url_for("reads.page"))
        return redirect(url_for("reads.task", task_id=task.id))

    @blueprint.get("/reads/<task_id>")
    @allow(STAFF)
    def task(task_id: str) -> Any:
        found = services.reading.task(task_id) or abort(404)
        rows = [(share, member) for share in found.shares for member in share.members]
        shown = Page.of(rows, request.args.get("page", "1"), MEMBERS)
        directory = services.registry.directory
        return render_template(
            "read.html", task=found, over=found.state in OVER, page=shown, encoded=encode.read(found, members=False),
            rows=[(share, member, _registers(directory, member)) for share, member in shown.rows],
        )

    @blueprint.post("/reads/<task_id>/cancel")
    @allow(READ_NOW)
    def cancel(task_id: str) -> Any:
        found: ReadTask = services.reading.task(task_id) or abort(404)
        try:
            services.in_reactor(services.reading.cancel, g.session.actor(), found.id)
        except CommandRejected as error:
            for reason in error.reasons:
                notice(in_words(reason), "error")
        else:
            notice(_("The read is cancelled; what is already on its way by radio runs to its end."))
        return redirect(url_for("reads.task", task_id=found.id))

    return blueprint


def _registers(directory: Directory, member: ReadMember) -> list[tuple[ChannelReading, str, float, str]]:
    """Each channel with its point, its register in the point's unit and that unit; NaN without a meter."""
    found = []
    for reading in member.readings:
        if reading.channel < 0 or reading.code != "OK":
            continue
        hour = reading.at // HOUR_NS
        period = next((one for one in directory.meters_of_eui.get(member.eui, ()) if one.channel == reading.channel
                       and one.valid_from <= hour and (one.valid_to is None or hour < one.valid_to)), None)
        point = directory.point.get(period.point) if period else None
        value = reading.pulses / period.pulses_per_unit if period else float("nan")
        found.append((reading, point.name if point else "", value, UNIT_OF_MEDIUM[point.medium] if point else ""))
    return found
