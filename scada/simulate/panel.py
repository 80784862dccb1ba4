"""The fault panel: a page and a small JSON interface of the simulator, on loopback only, behind a token.

    GET  /            the page; asks for the token, and keeps it in the tab
    GET  /faults      the catalogue, what is on, what is over, who is there
    POST /faults      {"fault": …, "target": "C01/17", "duration_s": 600}
    POST /end         {"number": 3}

Every request but the page's own two files carries the token in `X-Token`. The Host header must name loopback, so that no
page from elsewhere reaches it by a name that it points here itself.
"""

import hmac
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.web.resource import Resource
from twisted.web.server import Site

from scada.errors import CommandRejected, StartError
from scada.simulate.faults import CATALOGUE
from scada.simulate.panel_page import PAGE, SCRIPT
from scada.simulate.scenario import Target
from scada.simulate.stage import Stage

HOST: Final = "127.0.0.1"
LONGEST_BODY: Final = 4096
LONGEST_S: Final = 400 * 86400
HEADERS: Final = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'",
    b"x-content-type-options": b"nosniff", b"cache-control": b"no-store", b"referrer-policy": b"no-referrer",
}


class Panel:
    """Listens, and leaves its address and token in a file that only its owner can read."""

    def __init__(self, stage: Stage, reactor: Any, file: Path, port: int = 0) -> None:
        self._stage, self._reactor, self._file, self._port = stage, reactor, file, port
        self._token = secrets.token_urlsafe(24)
        self._listening: Any = None

    @property
    def port(self) -> int:
        return int(self._listening.getHost().port)

    def start(self) -> None:
        """Raises `StartError`."""
        site = Site(Door(self._stage, self._token))
        site.noisy = False
        try:
            self._listening = self._reactor.listenTCP(self._port, site, interface=HOST)
        except OSError as error:
            raise StartError("fault panel", f"cannot listen on {HOST} port {self._port}: {error}") from None
        try:
            self._leave({"url": f"http://{HOST}:{self.port}", "token": self._token})
        except OSError as error:
            raise StartError("fault panel", f"{self._file} cannot be written: {error.strerror}") from None

    def stop(self) -> "Deferred[None]":
        """Close, and take the file away: the token in it opens nothing any more."""
        if self._listening is None:
            return succeed(None)
        self._file.unlink(missing_ok=True)
        return maybeDeferred(self._listening.stopListening)

    def _leave(self, content: dict[str, str]) -> None:
        self._file.unlink(missing_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)


class Door(Resource):
    """Everything in one resource: there is little of it."""

    def __init__(self, stage: Stage, token: str) -> None:
        super().__init__()
        self.isLeaf = True                  # twisted asks nobody below
        self._stage, self._token = stage, token

    def render_GET(self, request: Any) -> bytes:
        match request.path:
            case b"/":
                return self._answer(request, 200, PAGE.encode(), b"text/html; charset=utf-8")
            case b"/panel.js":
                return self._answer(request, 200, SCRIPT.encode(), b"text/javascript; charset=utf-8")
            case b"/faults":
                return self._guarded(request, self._faults)
        return self._refuse(request, 404, "no such page; expected /, /faults or /end")

    def render_POST(self, request: Any) -> bytes:
        match request.path:
            case b"/faults":
                return self._guarded(request, lambda: self._begin(self._body(request)))
            case b"/end":
                return self._guarded(request, lambda: self._end(self._body(request)))
        return self._refuse(request, 404, "no such page; expected /faults or /end")

    # ------------------------------------------------------------------ what is asked
    def _faults(self) -> dict[str, Any]:
        stage = self._stage
        return {
            "catalogue": [
                {"name": one.name, "kind": one.kind.value, "does": one.does, "shows": one.shows, "needs": one.needs,
                 "expect": [str(wanted) for wanted in one.expect], "module": one.takes_module,
                 "lasts_s": round(3600 * one.lasts_h)}
                for one in CATALOGUE.values()
            ],
            "there": {name: sorted(modules) for name, modules in stage.there.items()},
            "now": round(stage.now()),
            "running": [one.told() for one in stage.running],
            "over": [one.told() for one in stage.over],
        }

    def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        fault, target, duration = body.get("fault"), body.get("target"), body.get("duration_s")
        reasons = []
        if not isinstance(fault, str):
            reasons.append("fault: expected the name of one")
        if not isinstance(target, str):
            reasons.append("target: expected a concentrator such as C01, or a module such as C01/17")
        if duration is not None and (not isinstance(duration, int | float) or not 0 < duration <= LONGEST_S):
            reasons.append("duration_s: expected seconds of site time, or nothing")
        if reasons:
            raise CommandRejected(reasons)
        try:
            where = Target.read(str(target))
        except ValueError as error:
            raise CommandRejected([f"target: {error}"]) from None
        return self._stage.begin(str(fault), where, duration).told()

    def _end(self, body: dict[str, Any]) -> dict[str, Any]:
        number = body.get("number")
        if not isinstance(number, int):
            raise CommandRejected(["number: expected that of a fault that is on"])
        self._stage.end(number)
        return {}

    # ------------------------------------------------------------------ machinery
    def _guarded(self, request: Any, answer: Callable[[], dict[str, Any]]) -> bytes:
        host = (request.getHeader("host") or "").rpartition(":")[0] or request.getHeader("host")
        if host not in (HOST, "localhost"):
            return self._refuse(request, 403, f"expected a request to {HOST}")
        if not hmac.compare_digest((request.getHeader("x-token") or "").encode(), self._token.encode()):
            return self._refuse(request, 401, "the token is missing or wrong; it is in the panel's file")
        try:
            found = answer()
        except CommandRejected as refusal:
            return self._refuse(request, 400, str(refusal))
        return self._answer(request, 200, json.dumps(found).encode(), b"application/json")

    def _body(self, request: Any) -> dict[str, Any]:
        raw = request.content.read(LONGEST_BODY + 1)
        try:
            body = json.loads(raw) if len(raw) <= LONGEST_BODY else None
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise CommandRejected([f"expected a JSON object of at most {LONGEST_BODY} bytes"])
        return body

    def _refuse(self, request: Any, status: int, why: str) -> bytes:
        return self._answer(request, status, json.dumps({"error": why}).encode(), b"application/json")

    def _answer(self, request: Any, status: int, content: bytes, kind: bytes) -> bytes:
        request.setResponseCode(status)
        request.setHeader(b"content-type", kind)
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        return content
