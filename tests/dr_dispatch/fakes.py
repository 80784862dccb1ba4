"""A desk on a bench: site, gateway, audit and threads that do what the test says, and a clock that only moves when told."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from scada.bus import TagBus
from scada.clock import NS
from scada.commands import (
    Actor,
    CommandStatus,
    GroupOrder,
    LoadClass,
    MemberReport,
    MemberState,
    RetryOrder,
    Role,
    Selection,
    ShedRequest,
)
from scada.dr_dispatch.desk import CommandDesk
from scada.errors import CommandRejected, LinkError, StorageError
from scada.settings import DispatchSettings
from scada.site import (
    Concentrator,
    Consumer,
    Directory,
    Load,
    LoadGroup,
    Medium,
    MeterPeriod,
    Module,
    ModuleState,
    Point,
    Site,
    Transformer,
)
from scada.supplies import Local
from scada.tags import Batch, Device, Quality, TagDef
from tests.fakes import site_clock

METER = Device("T01-meter", (TagDef("power_active_l1", "W"), TagDef("power_active_total", "W")))
ANNA = Actor("anna", Role.DISPATCHER, ("north",))
LINKS = (0x1001, 0x1002)


def euis(link: int) -> tuple[int, ...]:
    return tuple(0xA000_0000_0000_0000 + link * 256 + index for index in (1, 2, 3))


def link_of(eui: int) -> int:
    """Of the concentrator that speaks for a module."""
    return next((link for link in LINKS if eui in euis(link)), 0)


def site(**changes: Any) -> Site:
    """Two concentrators of three modules; LG-Y is all of them, LG-2 shares two with it."""
    modules = tuple(
        Module(eui, f"C0{number}-{index:03}", f"C0{number}", index, ModuleState.ACTIVE, adapter="AD220/50")
        for number, link in enumerate(LINKS, 1)
        for index, eui in enumerate(euis(link), 1)
    )
    whole = Site(
        transformers=(Transformer("T01", area="north", meter="T01-meter"),),
        concentrators=tuple(
            Concentrator(f"C0{number}", link, area="north", transformer="T01") for number, link in enumerate(LINKS, 1)
        ),
        modules=modules,
        consumers=tuple(Consumer(f"F{module.name}", feeder="") for module in modules),
        points=tuple(Point(f"P{module.name}", Medium.ELECTRICITY, f"F{module.name}") for module in modules),
        meters=tuple(MeterPeriod(f"S{module.name}", f"P{module.name}", module.eui, 0, 1000.0, 0) for module in modules),
        loads=tuple(Load(module.eui, LoadClass.YELLOW, "boiler", f"F{module.name}", 1500.0) for module in modules),
        load_groups=(
            LoadGroup("LG-Y", 1, LoadClass.YELLOW, area="north", members=tuple(module.eui for module in modules)),
            LoadGroup("LG-2", 2, LoadClass.YELLOW, area="north", members=(modules[0].eui, modules[3].eui)),
        ),
        generation=1,
    )
    return attrs.evolve(whole, **changes)


class ThreadClock(Clock):
    """A test clock that "threads" can call back into."""

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args)


class InlinePool:
    """A thread pool without threads. After `crash_after` jobs nothing comes back any more: the process has died."""

    def __init__(self) -> None:
        self.jobs = 0
        self.crash_after: int | None = None
        self.held: list[Callable[[], None]] | None = None       # a slow disk: jobs wait here

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], job: Callable[[], Any]) -> None:
        if self.held is not None:
            self.held.append(lambda: self._run(done, job))
        else:
            self._run(done, job)

    def release(self) -> None:
        held, self.held = self.held or [], None
        for job in held:
            job()

    def _run(self, done: Callable[[bool, Any], None], job: Callable[[], Any]) -> None:
        self.jobs += 1
        dead = self.crash_after is not None and self.jobs >= self.crash_after
        try:
            result = job()
        except Exception:
            if not dead:
                done(False, Failure())
            return
        if not dead:
            done(True, result)


class FakeAudit:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, dict[str, Any]]] = []
        self.full = False

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        if self.full:
            return fail(StorageError("no space left on device"))
        self.rows.append((actor.name, action, target, detail))
        return succeed(None)

    @property
    def actions(self) -> list[str]:
        return [action for _, action, _, _ in self.rows]


class FakeRegistry:
    def __init__(self, content: Site) -> None:
        self.directory = Directory(content)
        self._listeners: list[Callable[[Directory], None]] = []

    def subscribe(self, listener: Callable[[Directory], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def become(self, content: Site) -> None:
        self.directory = Directory(content)
        for listener in tuple(self._listeners):
            listener(self.directory)


class FakeGateway:
    """Takes orders and remembers them; what the field answers is up to the test."""

    def __init__(self) -> None:
        self.up = set(LINKS)
        self.boots = dict.fromkeys(LINKS, 7)
        self.orders: list[GroupOrder] = []
        self.signed: list[tuple[int, int]] = []         # (link, orders handed over before)
        self.pending: list[tuple[GroupOrder, Deferred[None]]] = []
        self.retries: list[RetryOrder] = []
        self.prepared: list[tuple[int, int, int, tuple[tuple[int, int], ...]]] = []
        self.told: bool | Exception = True      # the answer to a retry
        self.asked: list[tuple[bytes, int]] = []
        self.knows: bool | None = True          # None: the question fails
        self.reports: list[Callable[[Sequence[MemberReport]], None]] = []
        self.links: list[Callable[[int, bool], None]] = []

    def send(self, order: GroupOrder) -> "Deferred[None]":
        self.orders.append(order)
        answer: Deferred[None] = Deferred()
        self.pending.append((order, answer))
        return answer

    def accept(self) -> None:
        pending, self.pending = self.pending, []
        for _, answer in pending:
            answer.callback(None)

    def lose(self) -> None:
        pending, self.pending = self.pending, []
        for order, answer in pending:
            answer.errback(LinkError(f"{order.link_id:08x}", "no answer"))

    def refuse(self, reason: str) -> None:
        pending, self.pending = self.pending, []
        for _, answer in pending:
            answer.errback(CommandRejected([reason]))

    def sign(self, order: GroupOrder) -> "Deferred[None]":
        self.signed.append((order.link_id, len(self.orders)))
        return succeed(None)

    def prepare(self, link_id: int, group: int, epoch: int, members: Sequence[tuple[int, int]]) -> "Deferred[None]":
        self.prepared.append((link_id, group, epoch, tuple(members)))
        return succeed(None)

    def retry(self, order: RetryOrder) -> "Deferred[bool]":
        self.retries.append(order)
        return fail(self.told) if isinstance(self.told, Exception) else succeed(self.told)

    def inquire(self, command_id: bytes, link_id: int) -> "Deferred[bool]":
        self.asked.append((command_id, link_id))
        return fail(LinkError(f"{link_id:08x}", "no answer")) if self.knows is None else succeed(self.knows)

    def link_up(self, link_id: int) -> bool:
        return link_id in self.up

    def boot(self, link_id: int) -> int:
        return self.boots[link_id] if link_id in self.up else 0

    def on_report(self, listener: Callable[[Sequence[MemberReport]], None]) -> Callable[[], None]:
        self.reports.append(listener)
        return lambda: self.reports.remove(listener)

    def on_link(self, listener: Callable[[int, bool], None]) -> Callable[[], None]:
        self.links.append(listener)
        return lambda: self.links.remove(listener)

    def link(self, link_id: int, up: bool) -> None:
        (self.up.add if up else self.up.discard)(link_id)
        for listener in tuple(self.links):
            listener(link_id, up)


class FakeLocal:
    """Where people on site have the say."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = list(scopes)

    def locals(self) -> tuple[Local, ...]:
        return tuple(Local(one, "ion", 0) for one in self.scopes)


class Bench:
    """A desk and everything around it; `restart` kills it and starts another one on the same disk."""

    def __init__(
        self, path: Path, content: Site | None = None, *, rate: float = 1.0, start: bool = True, **settings: Any
    ) -> None:
        self.path = path
        self.time = ThreadClock()
        self.trusted = True
        self.clock = site_clock(self.time, rate=rate)
        self.clock._trusted = lambda: self.trusted
        self.settings = DispatchSettings(**({"monitor_only": False} | settings))
        self.registry = FakeRegistry(content or site())
        self.audit, self.gateway, self.pool = FakeAudit(), FakeGateway(), InlinePool()
        self.local = FakeLocal()
        self.bus = TagBus(self.clock, self.time)
        self.bus.add_device(METER)
        self.measure()
        self.heard: list[CommandStatus] = []
        self.live: Any = None               # the history of live tags
        self.desk = self._desk()
        if start:
            done(self.desk.start())

    def _desk(self) -> CommandDesk:
        desk = CommandDesk(
            self.settings, self.registry, self.bus, self.gateway, self.local, self.audit, self.clock, self.time, self.path,
            self.pool, self.bus, self.live,     # type: ignore[arg-type]
        )
        desk.subscribe(self.heard.append)
        return desk

    def measure(self, quality: Quality = Quality.GOOD) -> None:
        now = self.clock.now()
        self.bus.publish(Batch("T01-meter", np.array([9e3, 3e4]), np.full(2, quality, dtype=np.uint8), now, now))

    def kill(self) -> None:
        """The process is gone: nothing of it runs or hears any more."""
        self.desk._running = False
        self.time.calls.clear()
        self.gateway.reports.clear()
        self.gateway.links.clear()
        self.gateway.pending.clear()
        self.registry._listeners.clear()
        self.pool = InlinePool()

    def restart(self) -> None:
        self.kill()
        self.measure()
        self.desk = self._desk()
        done(self.desk.start())

    def wait(self, site_seconds: float) -> None:
        """Let time pass in small steps, with fresh measurements."""
        left = self.clock.delay(site_seconds)
        while left > 0:
            step = min(left, self.clock.delay(20.0))
            self.time.advance(step)
            self.measure()
            left -= step

    def select(self, off_for_s: int = 600, group: str = "LG-Y", actor: Actor = ANNA) -> Selection:
        return done(self.desk.select(actor, ShedRequest(group, off_for_s, "peak")))

    def execute(self, selection: Selection | str, actor: Actor = ANNA) -> CommandStatus:
        return done(self.desk.execute(actor, selection if isinstance(selection, str) else selection.id))

    def shed(self, off_for_s: int = 600, group: str = "LG-Y") -> CommandStatus:
        return self.execute(self.select(off_for_s, group))

    def report(self, command_id: str, state: MemberState, *who: int, reason: str = "") -> None:
        at, identity = self.clock.now(), bytes.fromhex(command_id)
        reports = [MemberReport(identity, link_of(eui), eui, state, reason, at) for eui in who]
        for listener in tuple(self.gateway.reports):
            listener(reports)

    def now(self, command_id: str) -> CommandStatus:
        found = self.desk.command(command_id)
        assert found is not None
        return found

    def states(self, command_id: str) -> list[MemberState]:
        return [result.state for result in self.now(command_id).members]


EVERYBODY = tuple(eui for link in LINKS for eui in euis(link))


def done(deferred: "Deferred[Any]") -> Any:
    """The result of a Deferred that has fired; raises what it failed with."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "it has not fired"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def at(seconds: int) -> int:
    return seconds * NS
