"""Main-process side of the OPC UA server: starts and supervises the process, feeds it, asks the desk for it."""

import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.addresses import authority
from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.errors import StartError
from scada.opcua_server.calls import OUTSIDE, DeskCalls
from scada.opcua_server.child import ChildProtocol, LinkProtocol, spawn
from scada.opcua_server.link import Frame, encode, encode_batches
from scada.opcua_server.outbox import Outbox
from scada.ports import Audit, Desk, Health, Registry, TagSource, Unsubscribe, Users
from scada.settings import OpcuaSettings
from scada.tags import Batch, Device
from scada.timers import cancel

PART: Final = "opcua"
FIRST_WAIT_S: Final = 1.0               # before a restart; doubles up to the last
LAST_WAIT_S: Final = 30.0
STABLE_S: Final = 60.0                  # listening for so long makes the next wait short again
SILENT_S: Final = 30.0                  # without a sign of life the process is ended (building 100,000 tags takes 10 s)
USERS_EVERY_S: Final = 5.0
STOP_WITHIN_S: Final = 5.0
log = Logger()


class OpcuaService:
    """The OPC UA server as the rest of the main process sees it: a crash of the process is an event, not an end."""

    def __init__(
        self, settings: OpcuaSettings, site_name: str, data_dir: Path, clock: SiteClock, reactor: Any, bus: TagSource,
        registry: Registry, desk: Desk, users: Users, audit: Audit, pool: ThreadPool,
    ) -> None:
        self._settings, self._site_name, self._folder = settings, site_name, data_dir / "opcua"
        self._clock, self._reactor, self._bus = clock, reactor, bus
        self._users, self._audit, self._pool = users, audit, pool
        self._calls = DeskCalls(desk, lambda name: deferToThreadPool(reactor, pool, users.account, name))
        self._outbox = Outbox()
        self._link: LinkProtocol | None = None
        self._child: ChildProtocol | None = None
        self._process: Any = None
        self._listening = False
        self._heard = self._since = 0.0                    # monotonic: last sign of life, listening since
        self._wait = FIRST_WAIT_S
        self._restarts = self._sent = 0
        self._figures: dict[str, float] = {}
        self._text = "not started"
        self._failure = ""
        self._started: Deferred[None] | None = None
        self._stopped: Deferred[None] | None = None
        self._unsubscribe: list[Unsubscribe] = []
        self._known_users: list[dict[str, Any]] = []
        self._flush_call: Any = None
        self._restart_call: Any = None
        self._kill_call: Any = None
        self._watch = LoopingCall(self._check_life)
        self._refresh = LoopingCall(self._refresh_users)
        self._watch.clock = self._refresh.clock = reactor

    # ----------------------------------------------------------------------------- life
    def start(self) -> "Deferred[None]":
        """Fires when the server is listening (2-4 s: start it beside the other parts); fails with `StartError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._probe()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot make {self._folder}: {error.strerror}"
            raise StartError(PART, reason, "make room or give the permission") from None
        self._known_users = await deferToThreadPool(self._reactor, self._pool, self._credentials)
        self._unsubscribe = [
            self._bus.subscribe(self._on_batches, name=PART), self._bus.on_devices(self._on_device),
        ]
        self._started = Deferred()
        started = self._started
        self._watch.start(5.0, now=False)
        self._refresh.start(USERS_EVERY_S, now=False)
        self._spawn()
        await started

    def _probe(self) -> None:
        """Say at once, and plainly, what the process would find out seconds later."""
        host, port = self._settings.host, self._settings.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family[0], socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(family[4])
        except OSError as error:
            reason = f"cannot listen on {host} port {port}: {error.strerror or error}"
            raise StartError(PART, reason, "change opcua.host or opcua.port") from None

    def stop(self) -> "Deferred[None]":
        """Fires when the process has ended; never takes longer than a few seconds, clients attached or not."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        for loop in (self._watch, self._refresh):
            if loop.running:
                loop.stop()
        cancel(self._flush_call)
        cancel(self._restart_call)
        self._text = "stopped"
        if self._process is None:
            return succeed(None)
        if self._stopped is not None:                      # asked twice: the first asker waits, the second need not
            return succeed(None)
        self._stopped = Deferred()
        if self._link is not None:
            self._link.send(encode({"t": "stop"}))
        self._kill_call = self._reactor.callLater(STOP_WITHIN_S, self._kill)
        return self._stopped

    def health(self) -> Iterable[Health]:
        figures = {
            **self._figures, "restarts": float(self._restarts), "values_sent": float(self._sent),
            "values_merged": float(self._outbox.merged),
        }
        text = self._text
        if self._listening:
            tags, sessions = self._figures.get("tags", 0.0), self._figures.get("sessions", 0.0)
            text = f"{tags:.0f} tags on {self.endpoint}, {sessions:.0f} sessions"
        yield Health(PART, self._listening, text, figures)

    @property
    def endpoint(self) -> str:
        return f"opc.tcp://{authority(self._settings.host, self._settings.port)}/"

    @property
    def pid(self) -> int | None:
        """Process id of the server process; None while there is none."""
        return None if self._process is None else self._process.pid

    # ---------------------------------------------------------------------- supervision
    def _spawn(self) -> None:
        self._text, self._failure = "starting", ""
        self._heard = self._clock.monotonic()
        self._link = LinkProtocol(self._on_frame, self._flush)
        self._child = ChildProtocol(self._on_end)
        try:
            self._process = spawn(self._reactor, self._child, self._link)
        except OSError as error:                           # out of descriptors or memory now; that may pass
            self._failure = f"it cannot be started: {error.strerror or error}"
            self._on_end("")
            return
        settings = self._settings
        self._link.send(encode({
            "t": "configure", "site": self._site_name, "folder": os.fspath(self._folder), "host": settings.host,
            "port": settings.port, "application_uri": settings.application_uri,
            "allow_unencrypted": settings.allow_unencrypted, "trust_any_client": settings.trust_any_client,
        }))
        self._link.send(encode({"t": "users", "users": self._known_users}))
        self._outbox.restart(self._bus.devices(), self._bus.snapshot())
        self._flush()

    def _on_end(self, how: str) -> None:
        """The process is gone: at the first start that is a failure, later it is started again."""
        was_listening, self._listening, self._process, self._link = self._listening, False, None, None
        self._outbox.clear()
        self._figures = {}
        cancel(self._kill_call)
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)
            if self._started is not None:
                self._started.errback(StartError(PART, "stopped while it was starting"))
            return
        last = self._child.lines[-1] if self._child is not None and self._child.lines else "it said nothing"
        why = self._failure or f"{how}; {last}"
        if self._started is not None:
            started, self._started = self._started, None
            self.stop()
            started.errback(StartError(PART, f"the OPC UA process could not start: {why}", "see the log"))
            return
        if was_listening and self._clock.monotonic() - self._since > STABLE_S:
            self._wait = FIRST_WAIT_S
        self._text = f"the process ended ({why}); starting again"
        log.error("no OPC UA process: {why}; again in {wait} s", why=why, wait=self._wait)
        self._restarts += 1
        self._restart_call = self._reactor.callLater(self._wait, self._spawn)
        self._wait = min(self._wait * 2, LAST_WAIT_S)

    def _check_life(self) -> None:
        if self._process is not None and self._clock.monotonic() - self._heard > SILENT_S:
            self._failure = f"no sign of life for {SILENT_S:.0f} s"
            self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            try:
                self._process.signalProcess("KILL")
            except ProcessExitedAlready:
                return

    # ---------------------------------------------------------------------------- feeding
    def _on_device(self, device: Device) -> None:
        if self._link is not None:
            self._outbox.add_device(device)
            self._flush_soon()

    def _on_batches(self, batches: Sequence[Batch]) -> None:
        if self._link is None:
            return
        if self._link.room and not self._outbox:
            self._sent += sum(len(batch.values) for batch in batches)
            self._link.send(encode_batches(batches))
            return
        for batch in batches:
            self._outbox.add_batch(batch)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush_call is None or not self._flush_call.active():
            self._flush_call = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        """One chunk a loop turn, as long as the process reads: the loop never waits for it."""
        if self._link is not None and self._link.room and self._outbox:
            self._link.send(self._outbox.take())
            self._flush_soon()

    def _credentials(self) -> list[dict[str, Any]]:
        """Who may come in: staff and other systems; a subscriber or an installer would read the values of everybody."""
        return [
            {"name": name, "hash": hashed, "role": role.value, "areas": list(areas)}
            for name, hashed, role, areas in self._users.credentials() if role not in OUTSIDE
        ]

    async def _refresh_users(self) -> None:
        try:
            users = await deferToThreadPool(self._reactor, self._pool, self._credentials)
        except Exception:                                  # a periodic loop: the old list holds until the next turn
            log.failure("cannot read the users for OPC UA")
            return
        if users != self._known_users:
            self._known_users = users
            if self._link is not None:
                self._link.send(encode({"t": "users", "users": users}))

    # ---------------------------------------------------------------------------- hearing
    def _on_frame(self, frame: Frame) -> None:
        self._heard = self._clock.monotonic()
        header = frame.header
        match frame.kind:
            case "stats":
                self._figures = {str(name): float(value) for name, value in header["figures"].items()}
            case "listening":
                self._listening, self._since = True, self._heard
                log.info("OPC UA server listens on {endpoint}", endpoint=self.endpoint)
                if self._started is not None:
                    started, self._started = self._started, None
                    started.callback(None)
            case "failed":
                self._failure = str(header["reason"])
            case "login":
                self._audit_login(str(header["name"]), bool(header["ok"]), str(header["peer"]), str(header["reason"]))
            case "call":
                call = self._call(int(header["id"]), str(header["user"]), str(header["method"]), list(header["arguments"]))
                Deferred.fromCoroutine(call).addErrback(lambda failure: log.failure("OPC UA call", failure=failure))

    def _audit_login(self, name: str, ok: bool, peer: str, reason: str) -> None:
        role = next((Role(one["role"]) for one in self._known_users if one["name"] == name), Role.SUBSCRIBER)
        actor = Actor(name or "?", role, (), Origin.OPCUA)
        detail = {"address": peer} if ok else {"address": peer, "reason": reason}
        done = self._audit.append(actor, "login" if ok else "login.failed", PART, **detail)
        done.addErrback(lambda failure: log.failure("log-in not audited", failure=failure))

    async def _call(self, number: int, user: str, method: str, arguments: Sequence[Any]) -> None:
        link = self._link
        answer = await self._calls.answer(user, method, arguments)
        if link is not None and link is self._link:
            link.send(encode({
                "t": "answer", "id": number, "status": answer.status, "outputs": list(answer.outputs),
                "reasons": answer.reasons,
            }))


