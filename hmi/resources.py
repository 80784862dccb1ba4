"""What twisted serves itself: live stream, state of the server, UI bundle; the rest goes to the pages' threads."""

import gzip
import hmac
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.wsgi import WSGIResource

from hmi import encode
from hmi.hub import Hub
from hmi.security import COOKIE, HEADERS
from hmi.services import Services
from hmi.sessions import Session, Sessions
from hmi.stream import MAX_TAGS

MAX_BODY: Final = 64 * 1024
MAX_UPLOAD: Final = 9 << 20             # bytes, of somebody who is logged in, to a page that takes files
UPLOADS: Final = re.compile(rb"/api/v1/(walkby|install/photos)|/walkby|/install/[^/]{1,40}/[0-7]/photo")
MAX_IN_FLIGHT: Final = 200
SEND_BUFFER: Final = 64 * 1024
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}


class BoundedRequest(Request):
    """A request whose body cannot fill the memory: beyond the limit it is refused while it comes in.

    Files may be larger than forms, of people who are logged in; what is larger than a form goes to a temporary file.
    """

    largest = MAX_BODY
    sessions: Sessions | None = None

    def process(self) -> None:
        """The request is complete: its connection is in use until it is answered."""
        channel: Any = self.channel
        visitor = channel.transport
        visitor.serving += 1

        def served(_: Any) -> None:
            visitor.serving -= 1

        self.notifyFinish().addBoth(served)
        super().process()

    def gotLength(self, length: int | None) -> None:
        if UPLOADS.fullmatch(getattr(self.channel, "_path", b"").partition(b"?")[0]) and self._logged_in():
            self.largest = MAX_UPLOAD
        super().gotLength(length)
        if length is not None and length > self.largest:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is not None and self.content.tell() + len(data) > self.largest:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def _logged_in(self) -> bool:
        return self.sessions is not None and session_of(self, self.sessions) is not None

    def _refuse(self) -> None:
        connection: Any = self.channel
        connection.transport.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.loseConnection()


def session_of(request: Any, sessions: Sessions) -> Session | None:
    """Who asks; a look does not count as use."""
    token = (request.getCookie(COOKIE.encode()) or b"").decode("ascii", "replace")
    header = request.getHeader("Authorization") or ""
    if header.lower().startswith("bearer "):
        token = header[7:].strip()
    session = sessions.find(token, touch=False)
    return None if session is None or session.account.must_change else session


def answer(request: Any, body: Any, status: int = 200) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", "application/json; charset=utf-8")
    request.setHeader("Cache-Control", "no-store")
    for name, value in HEADERS.items():
        request.setHeader(name, value)
    return json.dumps(body, ensure_ascii=False).encode()


class Live(Resource):
    """GET: the stream. POST {"stream", "tags"}: what a stream should tell from now on."""

    isLeaf = True                       # noqa: N815 — twisted's name

    def __init__(self, hub: Hub, sessions: Sessions) -> None:
        super().__init__()
        self._hub, self._sessions = hub, sessions

    def render_GET(self, request: Any) -> Any:
        session = self._session(request)
        if session is None:
            return answer(request, {"error": "log in first", "reasons": []}, 401)
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Accel-Buffering", "no")
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        # The kernel's megabytes of send buffer would be minutes of old values for a slow browser.
        request.channel.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        wanted = b",".join(request.args.get(b"tags", [])).decode("utf-8", "replace")
        if self._hub.open(request, session, [tag for tag in wanted.split(",") if tag]) is None:
            return answer(request, {"error": "too many live streams", "reasons": []}, 503)
        return NOT_DONE_YET

    def render_POST(self, request: Any) -> bytes:
        session = self._session(request)
        if session is None:
            return answer(request, {"error": "log in first", "reasons": []}, 401)
        given = request.getHeader("X-CSRF-Token") or ""
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            return answer(request, {"error": "the page is too old", "reasons": []}, 403)
        try:
            body = json.loads(request.content.read())
            stream = self._hub.streams.get(body["stream"])
            tags = [str(tag) for tag in body["tags"]][:MAX_TAGS]
        except (ValueError, TypeError, KeyError):
            return answer(request, {"error": "expected {stream, tags}", "reasons": []}, 400)
        if stream is None or stream.session is not session:
            return answer(request, {"error": "no such stream", "reasons": []}, 404)
        stream.want(tags)
        return answer(request, {"tags": len(tags)})

    def _session(self, request: Any) -> Session | None:
        return session_of(request, self._sessions)


class Healthz(Resource):
    """The state of every part, for a monitor: answered by the loop itself, even when every page thread hangs."""

    isLeaf = True                       # noqa: N815 — twisted's name

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    def render_GET(self, request: Any) -> bytes:
        parts = self._services.health()
        return answer(request, {
            "ok": all(part.ok for part in parts), "site": self._services.site.name,
            "site_time_ms": encode.milliseconds(self._services.clock.now()), "rate": self._services.clock.rate,
            "parts": [encode.health(part) for part in parts],
        })


class Bundle(Resource):
    """The built UI, held in memory: names carry a hash, so browsers keep them for ever."""

    isLeaf = True                       # noqa: N815 — twisted's name

    def __init__(self, dist: Path) -> None:
        super().__init__()
        self._files: dict[str, tuple[str, bytes, bytes]] = {}
        for path in sorted(dist.glob("*")) if dist.is_dir() else ():
            if path.suffix in TYPES and path.name != "meta.json":
                packed = path.with_name(path.name + ".gz")
                plain = path.read_bytes()
                squeezed = packed.read_bytes() if packed.exists() else gzip.compress(plain)
                self._files[path.name] = (TYPES[path.suffix], plain, squeezed)

    def render_GET(self, request: Any) -> bytes:
        found = self._files.get(b"/".join(request.postpath).decode("utf-8", "replace"))
        if found is None:
            said = "no such file" if self._files else "UI bundle missing, run make ui"
            return answer(request, {"error": said, "reasons": []}, 404)
        kind, plain, squeezed = found
        request.setHeader("Content-Type", f"{kind}; charset=utf-8")
        request.setHeader("Cache-Control", "public, max-age=31536000, immutable")
        request.setHeader("Vary", "Accept-Encoding")
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        if "gzip" in (request.getHeader("Accept-Encoding") or ""):
            request.setHeader("Content-Encoding", "gzip")
            return squeezed
        return plain


class Pages(Resource):
    """The Flask application, with a count of what is under way: a stop waits for it, a crowd is refused.

    A page is under way until its thread has ended: whoever asks and goes away leaves it in the pool's queue, which has
    no bound of its own.
    """

    isLeaf = True                       # noqa: N815 — twisted's name

    def __init__(self, reactor: Any, pool: Any, app: Any) -> None:
        super().__init__()
        self._reactor, self._pool, self._app = reactor, pool, app
        self.in_flight = self.refused = 0
        self.closing = False

    def render(self, request: Any) -> Any:
        if self.closing or self.in_flight >= MAX_IN_FLIGHT:
            self.refused += 1
            request.setHeader("Retry-After", "2")
            return answer(request, {"error": "the server is busy or going down", "reasons": []}, 503)
        self.in_flight += 1
        return WSGIResource(self._reactor, Job(self._pool, request, self._ended), self._app).render(request)

    def _ended(self, _ok: bool, _result: Any) -> None:
        """In the page's thread."""
        self._reactor.callFromThread(self._over)

    def _over(self) -> None:
        self.in_flight -= 1


class Job:
    """One request's turn in the pool: says when it has ended; a page nobody waits for any more is not made."""

    def __init__(self, pool: Any, request: Any, ended: Callable[[bool, Any], None]) -> None:
        self._pool, self._ended = pool, ended
        self._gone = False
        if request.method in (b"GET", b"HEAD"):            # anything else may be wanted all the same
            request.notifyFinish().addErrback(self._left)

    def callInThread(self, run: Callable[[], None]) -> None:
        self._pool.callInThreadWithCallback(self._ended, self._run, run)

    def _run(self, run: Callable[[], None]) -> None:
        if not self._gone:
            run()

    def _left(self, _reason: Any) -> None:
        self._gone = True


class Root(Resource):
    """Sends each path where it belongs."""

    def __init__(self, pages: Pages, **parts: Any) -> None:
        super().__init__()
        self._pages = pages
        for name, part in parts.items():
            self.putChild(name.encode(), part)

    def getChild(self, path: bytes, request: Any) -> Any:
        request.prepath.pop()
        request.postpath.insert(0, path)
        return self._pages


class Visitor(ProtocolWrapper):
    """One connection, and how many requests are being served on it."""

    serving = 0


class BoundedFactory(WrappingFactory):
    """So many connections and no more; and all of them can be ended.

    When all are taken a newcomer displaces the oldest on which nothing is being served: whoever opens connections and
    sends nothing, or a byte a minute, cannot keep people out.
    """

    protocol = Visitor

    def __init__(self, wrapped: Site, most: int) -> None:
        super().__init__(wrapped)
        self._most = most
        self.refused = 0

    def buildProtocol(self, addr: Any) -> Any:
        if len(self.protocols) >= self._most:
            self.refused += 1
            idle = next((one for one in self.protocols if not one.serving), None)
            if idle is None:
                return None
            self.protocols.pop(idle)
            idle.transport.abortConnection()
        return super().buildProtocol(addr)

    def unregisterProtocol(self, p: Any) -> None:
        self.protocols.pop(p, None)


def site(root: Root, sessions: Sessions | None = None) -> Site:
    """The HTTP factory: bounded bodies, idle connections closed, no version in the headers."""
    bounded = type("BoundedRequest", (BoundedRequest,), {"sessions": sessions})
    factory = Site(root, requestFactory=bounded, timeout=60)
    factory.displayTracebacks = False
    return factory
