"""One's own account: password and language."""

from typing import Any

import attrs
from flask import Blueprint, abort, g, make_response, redirect, render_template, request

from hmi.access import EVERYBODY, PUBLIC, allow
from hmi.i18n import LANGUAGES, _
from hmi.pages.login import LONGEST
from hmi.reasons import in_words
from hmi.security import LANGUAGE, safe_next, set_cookie
from hmi.services import Services
from hmi.sessions import Sessions
from scada.errors import CommandRejected, TooManyTries


def make(services: Services, sessions: Sessions) -> Blueprint:
    blueprint = Blueprint("account", __name__)

    @blueprint.get("/account")
    @allow(EVERYBODY)
    def page() -> Any:
        return render_template("account.html", done=request.args.get("done") == "1")

    @blueprint.route("/account/password", methods=["GET", "POST"])
    @allow(EVERYBODY)
    def password() -> Any:
        if request.method == "GET":
            return render_template("password.html")
        if problem := _change(services, sessions):
            return render_template("password.html", error=problem), 400
        return redirect("/account?done=1")

    @blueprint.post("/language")
    @allow(PUBLIC)
    def language() -> Any:
        chosen = request.form.get("language", "")
        if chosen not in LANGUAGES:
            abort(400)
        if g.session:
            services.users.set_language(g.session.account.name, chosen)
            g.session.account = attrs.evolve(g.session.account, language=chosen)
        response = make_response(redirect(safe_next(request.form.get("next"))))
        set_cookie(response, LANGUAGE, chosen, services)
        return response

    return blueprint


def _change(services: Services, sessions: Sessions) -> str:
    """Change the password of this session's account; returns what is wrong, or ""."""
    name = g.session.account.name
    old, new, again = (request.form.get(field, "") for field in ("old", "new", "again"))
    if new != again:
        return _("The two new passwords differ.")
    if not 0 < len(new) <= LONGEST or len(old) > LONGEST:
        return _("The new password is empty or too long.")
    if new == old:
        return _("The new password is the old one.")
    try:
        account = services.users.authenticate(name, old, request.remote_addr or "")
    except TooManyTries:
        return _("Too many failed attempts. Try again in %(n)s minutes.", n=1)
    if account is None:
        services.audit.append_now(g.session.actor(), "password.refused", name)
        return _("The present password is not right.")
    try:
        services.users.set_password(name, new)
    except CommandRejected as error:
        return "; ".join(map(in_words, error.reasons))
    g.session.account = attrs.evolve(g.session.account, must_change=False)
    sessions.close_all_of(name, keep=g.session)
    services.audit.append_now(g.session.actor(), "password.change", name)
    return ""
