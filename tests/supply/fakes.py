"""Supplies on a bench: a field that does what the test says, meters that count what it says, a clock that stands."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail, succeed

from scada.bus import TagBus
from scada.clock import NS
from scada.commands import Actor, MemberReport, MemberState, Role
from scada.errors import LinkError
from scada.intervals import HOURLY, MISSING, IntervalSeries
from scada.settings import SupplySettings
from scada.site import (
    Concentrator,
    Consumer,
    Directory,
    Medium,
    MeterPeriod,
    Module,
    ModuleState,
    Point,
    Site,
    Supply,
    SupplyKind,
)
from scada.supplies import SupplyOrder
from scada.supply.service import SupplyService
from tests.fakes import NOON, InlinePool, LoopClock, site_clock

ANA, ION = Actor("ana", Role.DISPATCHER, ("north",)), Actor("ion", Role.DISPATCHER)
SOUTH, ROOT = Actor("sorin", Role.DISPATCHER, ("south",)), Actor("root", Role.ADMINISTRATOR)
LINK = 0x1001
HOUR = NOON // 3600
FLAT, TAP, CLINIC = "P-flat", "W-flat", "P-clinic"


def site() -> Site:
    """A contactor, a water valve, and the contactor of a protected consumer, each with its meter."""
    names = (FLAT, TAP, CLINIC)
    return Site(
        concentrators=(Concentrator("C01", LINK, area="north"),),
        modules=tuple(Module(0xA0 + n, f"C01-{n:03}", "C01", n, ModuleState.ACTIVE) for n in (1, 2, 3)),
        consumers=(Consumer("flat"), Consumer("clinic", protected=True)),
        points=(
            Point(FLAT, Medium.ELECTRICITY, "flat"), Point(TAP, Medium.WATER, "flat"),
            Point(CLINIC, Medium.ELECTRICITY, "clinic"),
        ),
        meters=tuple(MeterPeriod(f"S{n}", name, 0xA0 + n, 0, 1000.0, 0) for n, name in enumerate(names, 1)),
        supplies=(
            Supply(FLAT, 0xA1, SupplyKind.CONTACTOR), Supply(TAP, 0xA2, SupplyKind.VALVE),
            Supply(CLINIC, 0xA3, SupplyKind.CONTACTOR),
        ),
    )


class FakeRegistry:
    def __init__(self) -> None:
        self.directory = Directory(site())

        self.told: list[Callable[[Directory], None]] = []

    def subscribe(self, listener: Callable[[Directory], None]) -> Callable[[], None]:
        self.told.append(listener)
        return lambda: None

    def replace(self, content: Site) -> None:
        self.directory = Directory(content)
        self.told[-1](self.directory)


class FakeAudit:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        self.rows.append((actor.name, action))
        return succeed(None)


class FakeAlarms:
    def __init__(self) -> None:
        self.holding: set[tuple[str, str]] = set()

    def hold(self, source: str, kind: str, area: str, at: int, devices: Iterable[str]) -> None:
        self.holding.add((source, kind))

    def let_go(self, source: str, kind: str) -> None:
        self.holding.discard((source, kind))

    def held(self, prefix: str) -> tuple[tuple[str, str], ...]:
        return tuple(self.holding)


class FakeField:
    """Notes every order; `say` decides what becomes of the next one: "accepted", "breaks", or a waiting obstacle."""

    def __init__(self) -> None:
        self.up, self.say, self.waits = True, "accepted", ""
        self.orders: list[SupplyOrder] = []
        self.asked: list[bytes] = []
        self.known: set[bytes] = set()
        self.before_order: Callable[[SupplyOrder], None] = lambda order: None
        self._reports: list[Callable[[Sequence[MemberReport]], None]] = []

    def obstacle(self, link_id: int, index: int, eui: int) -> "Deferred[str]":
        return succeed(self.waits)

    def switch_supply(self, order: SupplyOrder) -> "Deferred[None]":
        self.before_order(order)
        self.orders.append(order)
        if self.say == "breaks":
            return fail(LinkError("C01", "the link went down: test"))
        self.known.add(order.command_id)
        return succeed(None)

    def inquire(self, command_id: bytes, link_id: int) -> "Deferred[bool]":
        self.asked.append(command_id)
        return succeed(command_id in self.known) if self.up else fail(LinkError("C01", "down"))

    def link_up(self, link_id: int) -> bool:
        return self.up

    def on_report(self, listener: Callable[[Sequence[MemberReport]], None]) -> Callable[[], None]:
        self._reports.append(listener)
        return lambda: self._reports.remove(listener) if listener in self._reports else None

    def on_link(self, listener: Callable[[int, bool], None]) -> Callable[[], None]:
        return lambda: None

    def report(self, state: MemberState, reason: str = "", order: int = -1) -> None:
        one = self.orders[order]
        for listener in tuple(self._reports):
            listener([MemberReport(one.command_id, one.link_id, one.eui, state, reason)])


class FakeMeters:
    """Pulses of module 1 by hour; all others count nothing. Stands for the store too."""

    def __init__(self) -> None:
        self.pulses: dict[int, int] = {}
        self.marked: list[Callable[[Any], None]] = []

    def subscribe(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        self.marked.append(listener)
        return lambda: None

    def came(self, hour: int, pulses: int) -> None:
        self.pulses[hour] = pulses
        self.marked[-1](None)

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        return eui.astype(np.int64)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        counts = np.full((len(slots), hours), MISSING, dtype=np.int64)
        for row, slot in enumerate(slots.tolist()):
            for hour, pulses in self.pulses.items():
                if slot == 0xA1 and 0 <= hour - first_hour < hours:
                    counts[row, hour - first_hour] = pulses
        return IntervalSeries(first_hour, HOURLY, counts, np.zeros(counts.shape, dtype=np.uint8))


class Bench:
    def __init__(self, folder: Path, *, monitor_only: bool = False) -> None:
        self.folder, self.monitor_only = folder, monitor_only
        self.reactor = LoopClock()
        self.clock = site_clock(self.reactor)
        self.field, self.meters, self.alarms, self.audit = FakeField(), FakeMeters(), FakeAlarms(), FakeAudit()
        self.registry: Any = FakeRegistry()
        self.bus = TagBus(self.clock, self.reactor)
        self.service = self.fresh()

    def fresh(self) -> SupplyService:
        """A service on the same disk: the next life of the server."""
        self.field._reports.clear()
        pool: Any = InlinePool()
        anything: Any = self
        self.service = SupplyService(
            SupplySettings(), self.registry, anything.field, anything.audit, anything.alarms, anything.meters,
            anything.meters, self.bus, self.clock, self.reactor, self.folder, pool, monitor_only=self.monitor_only,
        )
        done(self.service.start())
        self.reactor.advance(0)
        return self.service

    def kill(self) -> None:
        """Nothing more of this life reaches the disk or the field."""
        self.service._ticker.stop()
        self.service._meters.stop()
        self.service._running = False
        self.service._book.close()

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.reactor.advance(1.0)

    def hours(self, count: int) -> None:
        self.reactor.advance(3600.0 * count)
        self.advance(12)

    @property
    def now(self) -> int:
        return self.clock.now() // NS


def done(deferred: "Deferred[Any]") -> Any:
    """The result of a Deferred that has fired, or its error raised."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "not fired"
    if hasattr(found[0], "raiseException"):
        found[0].raiseException()
    return found[0]
