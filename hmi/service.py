"""The HMI's shell: the listening port, the pages' threads, the live stream; and a stop that never hangs."""

import threading
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from hmi.app import create_app
from hmi.assets import Assets
from hmi.bridge import ReactorBridge
from hmi.hub import Hub
from hmi.resources import BoundedFactory, Bundle, Healthz, Live, Pages, Root, site
from hmi.services import Services
from hmi.sessions import Sessions
from scada.clock import SiteClock
from scada.errors import StartError
from scada.ports import Health
from scada.settings import HmiSettings

THREADS: Final = (4, 20)
MAX_CONNECTIONS: Final = 1500
BACKLOG: Final = 512                   # twisted's 50 makes visitors wait seconds while a crowd connects
PATIENCE_S: Final = 5.0                 # for requests under way when the server stops
POLL_S: Final = 0.05


class PagePool(ThreadPool):
    """Threads of the pages: daemons, so that one stuck on a disk cannot keep the process alive."""

    threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]  # noqa: N815


class HmiService:
    """Serves the pages, `/live`, `/healthz` and the UI bundle on one port."""

    log = Logger()

    def __init__(
        self, settings: HmiSettings, services: Services, clock: SiteClock, reactor: Any, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._settings, self._clock, self._reactor, self._patience = settings, clock, reactor, patience_s
        self._bridge = ReactorBridge(reactor)
        self._services = attrs.evolve(services, in_reactor=self._bridge)
        self._sessions = Sessions(clock, settings.idle_minutes)
        self._assets = Assets()
        self._hub = Hub(self._services, self._sessions, reactor)
        self._pool = PagePool(*THREADS, name="hmi")
        self._pages = Pages(reactor, self._pool, create_app(self._services, self._sessions, self._assets))
        self._listener: Any = None
        self._factory: Any = None

    def start(self) -> "Deferred[None]":
        """Listen; fails with `StartError` for a port in use or not allowed."""
        root = Root(
            self._pages, live=Live(self._hub, self._sessions), healthz=Healthz(self._services), ui=Bundle(self._assets.dist)
        )
        self._factory = BoundedFactory(site(root, self._sessions), MAX_CONNECTIONS)
        try:
            self._listener = self._reactor.listenTCP(
                self._settings.port, self._factory, backlog=BACKLOG, interface=self._settings.host
            )
        except CannotListenError as error:
            reason = f"cannot listen on {self._settings.host}:{self._settings.port}: {error.socketError}"
            return fail(StartError("hmi", reason, "choose another hmi.port, or stop what uses this one"))
        self._pool.start()
        self._hub.start()
        self.accounts_changed()
        if not self._assets.present:
            self.log.warn("UI bundle missing, run make ui: pages are readable, live values are not")
        return succeed(None)

    def accounts_changed(self) -> None:
        """Somebody's rights or password may have changed: end the sessions, and the streams, that no longer stand."""
        if self._listener is not None:
            deferToThreadPool(self._reactor, self._pool, self._look_at_accounts).addErrback(
                lambda failure: self.log.warn("accounts cannot be read: {reason}", reason=failure.getErrorMessage())
            )

    def _look_at_accounts(self) -> None:
        users = self._services.users
        self._sessions.hold_to(users.accounts(), {name: stored for name, stored, _role, _areas in users.credentials()})

    def stop(self) -> "Deferred[None]":
        """Stop listening, let running requests finish for a few seconds, then end everything.

        The order matters: a page that waits for the reactor while the reactor waits for the page's thread would hang
        for ever.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        await listener.stopListening()
        self._pages.closing = True
        self._hub.stop()
        await self._until(lambda: not self._pages.in_flight, self._patience)
        self._bridge.close()
        await self._until(lambda: not self._pages.in_flight, 1.0)
        for connection in tuple(self._factory.protocols):
            connection.loseConnection()                     # what is written still goes out
        await self._until(lambda: not self._factory.protocols, 0.5)
        for connection in tuple(self._factory.protocols):
            connection.transport.abortConnection()
        ended = threading.Event()
        threading.Thread(target=self._end_pool, args=(ended,), daemon=True, name="hmi-stop").start()
        await self._until(ended.is_set, 2.0)
        if not ended.is_set():
            self.log.warn("a page's thread did not end; it is left behind", waiting=self._bridge.waiting)

    def _end_pool(self, ended: threading.Event) -> None:
        self._pool.stop()
        ended.set()

    async def _until(self, done: Any, limit_s: float) -> None:
        """Wait in real time, a look every few milliseconds, at most `limit_s`."""
        end = self._clock.monotonic() + limit_s
        while not done() and self._clock.monotonic() < end:
            pause: Deferred[None] = Deferred()
            self._reactor.callLater(POLL_S, pause.callback, None)
            await pause

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.getHost().port) if self._listener else self._settings.port

    def health(self) -> Iterable[Health]:
        streams = self._hub.streams.values()
        up = self._listener is not None
        text = "not listening"
        if up:
            text = "serving pages" if self._assets.present else "pages without live values: UI bundle missing, run make ui"
        yield Health("hmi", up and self._assets.present, text, {
            "streams": float(len(self._hub.streams)), "sessions": float(len(self._sessions)),
            "requests_in_flight": float(self._pages.in_flight), "requests_refused": float(self._pages.refused),
            "connections_refused": float(self._factory.refused if self._factory else 0),
            "streams_refused": float(self._hub.refused), "streams_stuck": float(self._hub.stuck),
            "updates_merged": float(self._hub.merged + sum(stream.merged for stream in streams)),
        })
