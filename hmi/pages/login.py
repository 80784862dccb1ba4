"""Coming in and going out: log-in with a limit on guessing, log-out, both audited."""

from typing import Any, Final

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for

from hmi.access import EVERYBODY, INSTALL, PUBLIC, STAFF, allow
from hmi.i18n import _
from hmi.limiter import FailureLimiter
from hmi.security import COOKIE, end_cookie, safe_next, set_cookie
from hmi.services import Services
from hmi.sessions import Sessions
from scada.commands import Actor, Origin, Role
from scada.errors import TooManyTries
from scada.ports import Account

PER_NAME: Final = (5, 300.0)            # failures, window [s]; of one address, so that no stranger locks a person out
PER_ADDRESS: Final = (30, 300.0)
LONGEST: Final = 256                    # characters of a name or password; argon2 must not chew on megabytes


class Gate:
    """One place where passwords are checked, for the form and for the API."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services, self._sessions = services, sessions
        self.by_name = FailureLimiter(services.clock, *PER_NAME)
        self.by_address = FailureLimiter(services.clock, *PER_ADDRESS)

    def wait_s(self, name: str, address: str) -> float:
        return max(self.by_name.wait_s(_key(name, address)), self.by_address.wait_s(address))

    def enter(self, name: str, password: str, address: str, origin: Origin) -> tuple[str, Account] | None:
        """(token, account) of a new session, or None; the attempt is audited either way.

        Raises `TooManyTries`, which is neither a failure nor audited: nothing was looked at.
        """
        account = None
        if 0 < len(name) <= LONGEST and 0 < len(password) <= LONGEST:
            account = self._services.users.authenticate(name, password, address)
        if account is None or account.disabled:
            self.by_name.failed(_key(name, address))
            self.by_address.failed(address)
            stranger = Actor(name[:64], Role.VIEWER, origin=origin)
            self._services.audit.append_now(stranger, "login.failed", address=address)
            return None
        self.by_name.succeeded(_key(name, address))
        token = self._sessions.open(account, origin)
        self._services.audit.append_now(Actor(account.name, account.role, account.areas, origin), "login", address=address)
        return token, account


def _key(name: str, address: str) -> str:
    """A name as the registry takes it, at an address."""
    return f"{name.strip().casefold()[:LONGEST]} {address}"


def make(services: Services, sessions: Sessions, gate: Gate) -> Blueprint:
    blueprint = Blueprint("login", __name__)

    @blueprint.route("/login", methods=["GET", "POST"])
    @allow(PUBLIC)
    def page() -> Any:
        if request.method == "GET":
            return render_template("login.html", next=safe_next(request.args.get("next")))
        name, password = request.form.get("name", "").strip(), request.form.get("password", "")
        target, address = safe_next(request.form.get("next")), request.remote_addr or ""
        if wait := gate.wait_s(name, address):
            said = _("Too many failed attempts. Try again in %(n)s minutes.", n=int(wait // 60) + 1)
            return render_template("login.html", next=target, name=name, error=said), 429
        try:
            entered = gate.enter(name, password, address, Origin.HMI)
        except TooManyTries:
            said = _("Too many failed attempts. Try again in %(n)s minutes.", n=1)
            return render_template("login.html", next=target, name=name, error=said), 429
        if entered is None:
            said = _("Name or password is not right.")
            return render_template("login.html", next=target, name=name, error=said), 401
        token, account = entered
        if target == "/" and account.role not in STAFF and account.role in INSTALL:
            target = url_for("install.page")
        response = make_response(redirect(url_for("account.password") if account.must_change else target))
        set_cookie(response, COOKIE, token, services)
        return response

    @blueprint.post("/logout")
    @allow(EVERYBODY)
    def logout() -> Any:
        services.audit.append_now(g.session.actor(), "logout")
        sessions.close(g.session)
        response = make_response(redirect(url_for("login.page")))
        end_cookie(response, COOKIE)
        return response

    return blueprint
