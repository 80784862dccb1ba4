"""The guard in front of every page: session, role, form token; and the headers behind it."""

import hmac
import secrets
from typing import Any, Final

from flask import Flask, Response, abort, g, redirect, request, url_for
from werkzeug.exceptions import BadRequest, Forbidden

from hmi.access import PUBLIC, roles_of, taken_by
from hmi.i18n import LANGUAGES
from hmi.services import Services
from hmi.sessions import Session, Sessions
from scada.errors import StorageError

COOKIE: Final = "scada_session"
VISITOR: Final = "scada_visitor"        # a random value that ties a form to the browser before log-in
LANGUAGE: Final = "scada_language"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_TO_NEWCOMERS: Final = frozenset({"account.password", "account.language", "login.logout"})
CSP: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def wants_json() -> bool:
    return request.path.startswith("/api/")


def bearer() -> str | None:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def set_cookie(response: Response, name: str, value: str, services: Services) -> None:
    response.set_cookie(name, value, httponly=True, samesite="Lax", secure=services.hmi.behind_tls_proxy, path="/")


def end_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", httponly=True, samesite="Lax")


def install(app: Flask, services: Services, sessions: Sessions) -> None:
    """Hang the guard before, and the headers behind, every view."""

    @app.before_request
    def identify() -> None:
        if largest := taken_by(app, request.endpoint):
            request.max_content_length = largest
        token = bearer()
        g.by_bearer = bool(token)                           # an empty one leaves the cookie to decide, with its form token
        # Asking for the time does not count as use: a page left open must still time out.
        g.session = sessions.find(token or request.cookies.get(COOKIE), touch=request.headers.get("X-Background") != "1")
        if g.session is not None and not _stands(g.session):
            sessions.close(g.session)
            g.session = None
        g.visitor = request.cookies.get(VISITOR) or secrets.token_urlsafe(24)
        g.form_token = g.session.csrf if g.session else sessions.form_token(g.visitor)
        g.language = _language(g.session, services)

    def _stands(session: Session) -> bool:
        """Rights count as they are now, not as they were at the log-in."""
        try:
            return session.stands(services.users.account(session.account.name))
        except StorageError:
            return True                                       # nobody can look: the view goes on, a command needs the audit

    @app.before_request
    def guard() -> Any:
        if request.endpoint is None:
            return None                                       # 404 and 405 speak for themselves
        roles = roles_of(app, request.endpoint)
        if roles is None:
            abort(403)
        session: Session | None = g.session
        if request.method not in SAFE and not g.by_bearer:
            _check_form()
        if roles == PUBLIC:
            return None
        if session is None:
            return abort(401) if wants_json() else redirect(url_for("login.page", next=_here()))
        if session.account.must_change and request.endpoint not in OPEN_TO_NEWCOMERS:
            if wants_json():
                abort(403, "the password must be changed first")
            return redirect(url_for("account.password"))
        if session.account.role not in roles:
            abort(403)
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        if not g.get("session") and VISITOR not in request.cookies and not wants_json():
            set_cookie(response, VISITOR, g.get("visitor", secrets.token_urlsafe(24)), services)
        return response


def _check_form() -> None:
    """A form or fetch must carry the token of its browser. The API's log-in carries JSON instead,
    which another site's page cannot send."""
    if request.endpoint == "api.log_in":
        if not request.is_json:
            raise BadRequest("expected a JSON body")
        return
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), g.form_token.encode()):
        raise Forbidden("the form is too old or came from elsewhere: load the page again")


def _here() -> str | None:
    """Where to go after log-in: only paths of our own, only pages."""
    return request.full_path.rstrip("?") if request.method == "GET" and request.path != "/" else None


def _language(session: Session | None, services: Services) -> str:
    chosen = request.cookies.get(LANGUAGE) or (session.account.language if session else "")
    return chosen if chosen in LANGUAGES else services.site.language


def safe_next(target: str | None) -> str:
    """A redirect target of our own site, or the overview. Browsers and `urlsplit` leave out tabs and line ends."""
    if target and target.isprintable() and target.startswith("/") and not target.startswith("//") and "\\" not in target:
        return target
    return "/"
