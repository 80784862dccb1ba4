"""The reads on a bench: a field that does what the test says, threads that are none, a clock that only moves when told."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from scada.bus import TagBus
from scada.clock import NS
from scada.commands import Actor, Role
from scada.errors import LinkError
from scada.reading.service import ReadingService
from scada.reads import ChannelReading, ReadAnswer, ReadOrder, ReadReport, ReadTask
from scada.site import (
    BalanceGroup,
    Concentrator,
    Directory,
    LoadClass,
    LoadGroup,
    Medium,
    MeterPeriod,
    Module,
    ModuleState,
    Point,
    Site,
)
from tests.fakes import NOON, InlinePool, LoopClock, site_clock

ANNA = Actor("anna", Role.ENGINEER, ("north",))
VIEWER = Actor("victor", Role.VIEWER)
LINKS = {"C01": 0x1001, "C02": 0x1002}


def eui(link: int, index: int) -> int:
    return 0xA000_0000_0000_0000 + link * 256 + index


def site(modules: int = 3) -> Site:
    """Two concentrators in the north and one in the south; every module has a meter of 1000 pulses a kWh."""
    places = {**LINKS, "C03": 0x1003}
    found = tuple(
        Module(eui(link, index), f"{name}-{index:03}", name, index, ModuleState.ACTIVE)
        for name, link in places.items() for index in range(1, modules + 1)
    )
    north = tuple(one for one in found if one.concentrator != "C03")
    return Site(
        concentrators=tuple(
            Concentrator(name, link, area="south" if name == "C03" else "north") for name, link in places.items()
        ),
        modules=found,
        points=tuple(Point(f"P-{one.name}", Medium.ELECTRICITY) for one in found),
        meters=tuple(MeterPeriod(f"S{one.name}", f"P-{one.name}", one.eui, 0, 1000.0, 0) for one in found),
        balance_groups=(BalanceGroup("BG-north", Medium.ELECTRICITY, members=tuple(f"P-{one.name}" for one in north)),),
        load_groups=(LoadGroup("LG", 1, LoadClass.YELLOW, members=(found[0].eui,)),),
        generation=1,
    )


class FakeRegistry:
    def __init__(self, content: Site) -> None:
        self.directory = Directory(content)


class FakeAudit:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, dict[str, Any]]] = []

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        self.rows.append((action, actor.name, detail))
        return succeed(None)


class FakeReader:
    """Concentrators that note every order; `say` decides the answer to the next ones."""

    def __init__(self) -> None:
        self.up = set(LINKS.values())
        self.orders: list[ReadOrder] = []
        self.say: ReadAnswer | None = ReadAnswer("ACCEPTED")            # None: no answer, the link breaks
        self.seconds: dict[int, float] = {}
        self._readings: list[Callable[[ReadReport], Deferred[None]]] = []
        self._links: list[Callable[[int, bool], None]] = []
        self.before_order: Callable[[ReadOrder], None] = lambda order: None

    def read_now(self, order: ReadOrder) -> "Deferred[ReadAnswer]":
        self.before_order(order)
        self.orders.append(order)
        if order.link_id not in self.up or self.say is None:
            return fail(LinkError("C", "the link went down: test"))
        return succeed(self.say)

    def on_readings(self, listener: Callable[[ReadReport], "Deferred[None]"]) -> Callable[[], None]:
        self._readings.append(listener)
        return lambda: self._readings.remove(listener)

    def link_up(self, link_id: int) -> bool:
        return link_id in self.up

    def on_link(self, listener: Callable[[int, bool], None]) -> Callable[[], None]:
        self._links.append(listener)
        return lambda: self._links.remove(listener)

    def travel(self, link_id: int) -> Mapping[int, float]:
        return self.seconds

    def link(self, link_id: int, *, up: bool) -> None:
        (self.up.add if up else self.up.discard)(link_id)
        for listener in tuple(self._links):
            listener(link_id, up)

    def report(self, report: ReadReport) -> list[bool]:
        """Hand a part over; whether each listener has it on disk."""
        return [listener(report).called for listener in tuple(self._readings)]


def part(
    order: ReadOrder, number: int, euis: list[int], *, final: bool = False, code: str = "OK", at: int = NOON * NS
) -> ReadReport:
    """A part with one register of 1234567 pulses for each module named."""
    channel = 0 if code == "OK" else -1
    readings = tuple((one, ChannelReading(channel, code, 1_234_567, at)) for one in euis)
    return ReadReport(order.read_id, order.link_id, number, final, readings)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder, self.reader, self.reactor = folder, FakeReader(), LoopClock()
        self.clock = site_clock(self.reactor)
        self.audit, self.registry = FakeAudit(), FakeRegistry(site())
        self.bus = TagBus(self.clock, self.reactor)
        self.told: list[ReadTask] = []
        self.service = self.fresh()

    def fresh(self) -> ReadingService:
        """A service on the same disk: the next life of the server. The one before is left as a kill would leave it."""
        self.pool: Any = InlinePool()
        self.reader._readings.clear()
        self.reader._links.clear()
        self.service = ReadingService(
            self.registry, self.reader, self.audit, self.bus, self.clock, self.reactor, self.folder, self.pool  # type: ignore[arg-type]
        )
        done(self.service.start())
        self.service.subscribe(self.told.append)
        return self.service

    def kill(self) -> None:
        """Nothing more of this life reaches the disk or the field."""
        self.service._loop.stop()
        self.service._running = False
        self.service._book.close()

    def advance(self, seconds: float, step: float = 1.0) -> None:
        while seconds > 0:
            self.reactor.advance(min(step, seconds))
            seconds -= step


def done(deferred: "Deferred[Any]") -> Any:
    """The result of a Deferred that has fired, or its error raised."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "not fired"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]
