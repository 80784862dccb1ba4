"""One concentrator itself: what it says of itself now, its parameters, discovery and reboot."""

from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi.access import ADOPT, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.reasons import in_words
from hmi.services import Services
from scada.errors import CommandRejected

TEXTS: Final = ("server_host", "apn")
HOUR_S: Final = 3600


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("concentrators", __name__)

    @blueprint.get("/concentrators/<name>")
    @allow(STAFF)
    def page(name: str) -> Any:
        """Asked now: what it does not answer is said, and the rest of the page stands."""
        known = services.registry.directory.concentrator.get(name) or abort(404)
        found: dict[str, Any] = {"info": None, "parameters": None}
        said: list[str] = []
        for what in found:
            try:
                found[what] = services.in_reactor(getattr(services.concentrators, what), name)
            except CommandRejected as error:
                said += [one for one in error.reasons if one not in said]
        return render_template("concentrator.html", one=known, said=said, hour=HOUR_S, **found)

    @blueprint.post("/concentrators/<name>/set")
    @allow(ADOPT)
    def set_parameter(name: str) -> Any:
        form = request.form
        parameter, text, version = form.get("parameter", ""), form.get("value", "").strip(), form.get("version", "")
        if not version.isdecimal() or len(version) > 10 or not text:
            notice(_("A value is missing: nothing was sent."), "error")
            return redirect(url_for("concentrators.page", name=name))
        number = text.isascii() and text.isdecimal() and len(text) < 16 and parameter not in TEXTS
        value: int | str = int(text) if number else text[:128]
        return _do(name, _("%(name)s has the new value.", name=name), lambda: services.in_reactor(
            services.concentrators.set_parameters, g.session.actor(), name, int(version), {parameter: value}
        ))

    @blueprint.post("/concentrators/<name>/reboot")
    @allow(ADOPT)
    def reboot(name: str) -> Any:
        return _do(name, _("%(name)s has accepted the reboot.", name=name), lambda: services.in_reactor(
            services.concentrators.reboot, g.session.actor(), name
        ))

    @blueprint.post("/concentrators/<name>/discovery")
    @allow(ADOPT)
    def discovery(name: str) -> Any:
        duration = HOUR_S if request.form.get("step") == "open" else 0
        said = _("%(name)s takes up newcomers for an hour.", name=name) if duration else (
            _("%(name)s takes up nobody by itself any more.", name=name)
        )
        return _do(name, said, lambda: services.in_reactor(
            services.concentrators.discover, g.session.actor(), name, duration
        ), confirmed=True)

    return blueprint


def _do(name: str, said: str, act: Any, *, confirmed: bool = False) -> Any:
    """What cannot be taken back wants the concentrator's name typed."""
    if not confirmed and request.form.get("confirm", "").strip() != name:
        notice(_("Type the name of the concentrator to confirm: nothing was sent."), "error")
        return redirect(url_for("concentrators.page", name=name))
    try:
        act()
    except CommandRejected as error:
        notice("; ".join(map(in_words, error.reasons)), "error")
    else:
        notice(said)
    return redirect(url_for("concentrators.page", name=name))
