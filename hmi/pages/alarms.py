"""Alarms: what is active, what happened, and the acknowledgement with its comment."""

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from hmi import encode
from hmi.access import ACKNOWLEDGE, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.reasons import in_words
from hmi.services import Services
from scada.errors import CommandRejected
from scada.ports import Alarm

SHOWN = 200                             # rows drawn at once: the browser needs 0.4 s for a thousand


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("alarms", __name__)

    @blueprint.get("/alarms")
    @allow(STAFF)
    def page() -> Any:
        active = services.alarms.active()
        hidden = max(0, len(active) - SHOWN)
        return render_template("alarms.html", tab="active", alarms=active[:SHOWN], hidden=hidden, needs=waits)

    @blueprint.get("/alarms/journal")
    @allow(STAFF)
    def journal() -> Any:
        before = request.args.get("before", "")
        rows = services.alarms.history(int(before) if before.isdecimal() and len(before) < 20 else None, 100)
        return render_template("alarms.html", tab="journal", alarms=rows, hidden=0, needs=waits,
                               older=rows[-1].changed if len(rows) == 100 else None)

    @blueprint.get("/alarms/suppressed")
    @allow(STAFF)
    def suppressed() -> Any:
        hidden = services.alarms.suppressed()
        return render_template("alarms.html", tab="suppressed", alarms=hidden[:SHOWN], hidden=max(0, len(hidden) - SHOWN),
                               needs=lambda alarm: False)

    @blueprint.get("/alarms/rows")
    @allow(STAFF)
    def rows() -> Any:
        """The table alone: the browser's part asks for it again when the stream says that alarms changed."""
        active = services.alarms.active()
        return render_template("_alarm_rows.html", alarms=active[:SHOWN], hidden=max(0, len(active) - SHOWN), needs=waits)

    @blueprint.post("/alarms/acknowledge")
    @allow(ACKNOWLEDGE)
    def acknowledge() -> Any:
        alarm_id, comment = request.form.get("alarm", ""), request.form.get("comment", "").strip()[:500]
        try:
            services.in_reactor(services.alarms.acknowledge, g.session.actor(), alarm_id, comment)
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
        else:
            notice(_("Acknowledged: %(alarm)s", alarm=alarm_id))
        return redirect(url_for("alarms.page"))

    return blueprint


def waits(alarm: Alarm) -> bool:
    """Whether an alarm waits for a person."""
    return alarm.state.value in encode.NEEDS_EYES
