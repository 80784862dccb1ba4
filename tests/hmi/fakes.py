"""A small district that behaves: every port of `Services` faked in memory, the same for view tests and for the browser."""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail, succeed

from hmi.services import Services
from scada.balancing.casebook import Casebook
from scada.balancing.leakbook import Leakbook
from scada.balancing.phases.orderbook import FILE, OrderBook
from scada.balancing.phases.service import PhaseStudyService
from scada.balancing.recalibrating import Reckoned, example_curve, gathered, reckoned
from scada.bus import TagBus
from scada.cases import Case, CaseState, GroupState, Suspicion
from scada.clock import HOUR_S, NS, SiteClock
from scada.commands import (
    Action,
    Actor,
    CommandState,
    CommandStatus,
    LoadClass,
    Member,
    MemberResult,
    MemberState,
    Role,
    Selection,
    ShedRequest,
)
from scada.compute import InThisProcess
from scada.concentrators import ConcentratorInfo, Parameters
from scada.dial import DialOutcome, DialReading, DialSource, DialTable, Installation, Installed
from scada.dials import reckon
from scada.dials.images import kind_of
from scada.dials.readings import Readings, grown
from scada.drivers.dmesh.walkby import merge
from scada.drivers.dmesh.walkby.merge import Pending
from scada.errors import CommandRejected, NotKept, Problem, TooManyTries
from scada.estimates import Estimate, Method
from scada.events import KeptEvent, Stream
from scada.group_keys import GroupKeyShare, GroupKeyState
from scada.historian.database import ReadPool
from scada.historian.event_rows import EVENT_FILE, open_events, store_events
from scada.historian.events import EventArchive
from scada.historian.queries import Queries
from scada.intervals import MISSING, ChangeKind, IntervalSeries, Provenance
from scada.leaks import Flowing, Leak, LeakNight, LeakState, MediumNight, Standby, TooLittle, Unknown
from scada.mesh.figures import Bounds, Known, figures, overlaps
from scada.network import NetworkFigures, Place
from scada.outage import Outage, Scope
from scada.phase_orders import OrderedMove, OrderState, Proposal
from scada.phase_study import PHASE_WEEK_COLUMNS, Objective, PhaseCheck
from scada.ports import (
    BALANCE_COLUMNS,
    Account,
    Alarm,
    AlarmState,
    AuditRow,
    ChannelPulses,
    ClockView,
    CollectionSummary,
    CollectionView,
    ConsumerLoss,
    Consumption,
    GroupSums,
    Health,
    LossReport,
    ModuleClock,
    PhaseWeek,
    PointChange,
    Priority,
    Profile,
    Recall,
    ResultTable,
    SectionLoss,
    TagHistory,
    UnbalanceWeek,
    VoltageWeek,
    WalkbyExamination,
    WalkbyReport,
)
from scada.reading import wish
from scada.reads import OVER, ChannelReading, ReadRequest, ReadShare, ReadState, ReadTask
from scada.registry.checks import check
from scada.registry.installing import installation_of, installed, installed_before
from scada.registry.stepping import difference, stepped
from scada.registry.swapping import carried_out, swapped
from scada.replacement import Replaceable, ReplacementList
from scada.series import Instant
from scada.settings import HmiSettings, SiteSettings, TimeSettings
from scada.site import (
    BalanceGroup,
    Concentrator,
    Consumer,
    Directory,
    Load,
    LoadGroup,
    Medium,
    MeshNeighbour,
    MeshNode,
    MeshView,
    MeterPeriod,
    MeterTerms,
    Module,
    ModuleState,
    Point,
    Site,
    SiteChange,
    Step,
    StepKind,
    Supply,
    SupplyKind,
    Swap,
    Transformer,
)
from scada.supplies import (
    Effect,
    Holding,
    HoldReason,
    Local,
    SupplyNews,
    SupplyRequest,
    SupplyStatus,
    Switch,
    SwitchAction,
    SwitchState,
)
from scada.supply import record as steps
from scada.supply import rules
from scada.supply.record import Record
from scada.supply.rules import status_of
from scada.tags import Batch, Device, Quality, TagDef
from tests.fakes import InlinePool
from tests.hmi.fake_firmware import FakeFirmware

MODULES = 24  # per concentrator
PASSWORD = "correct horse battery"
SAID_OF_DMESH = (
    "1 of 2 concentrators are connected; 3 refusals of strangers in the last hour; "
    "the last with link id 000000aa, unknown link"
)
SAID_OF_INFLUX = "influx-host:8086 refuses user or secret (401), put them right: unable to parse"
METER_TAGS = (
    *(TagDef(f"voltage_l{n}_n", "V", f"Voltage L{n}", stale_after=5 * NS) for n in (1, 2, 3)),
    *(TagDef(f"current_l{n}", "A", f"Current L{n}", stale_after=5 * NS) for n in (1, 2, 3)),
    *(TagDef(f"power_active_l{n}", "W", f"Active power L{n}", stale_after=5 * NS) for n in (1, 2, 3)),
    *(TagDef(f"power_reactive_l{n}", "var", f"Reactive power L{n}", stale_after=5 * NS) for n in (1, 2, 3)),
    *(TagDef(f"power_apparent_l{n}", "VA", f"Apparent power L{n}", stale_after=5 * NS) for n in (1, 2, 3)),
    *(TagDef(f"power_factor_l{n}", "", f"Power factor L{n}", stale_after=5 * NS, digits=3) for n in (1, 2, 3)),
    TagDef("power_active_total", "W", "Active power", stale_after=5 * NS),
    TagDef("frequency", "Hz", "Frequency", stale_after=5 * NS, digits=2),
    TagDef("energy_import", "kWh", "Energy taken", stale_after=5 * NS),
    TagDef("energy_export", "kWh", "Energy returned", stale_after=5 * NS),
    TagDef("current_neutral", "A", "Neutral current", stale_after=5 * NS),
)


def district() -> Site:
    """Two concentrators, one transformer with its meter and one without, three load groups of the three classes."""
    modules, consumers, points, meters, loads = [], [], [], [], []
    supplies = []
    for c in (1, 2):
        for n in range(1, MODULES + 1):
            eui, name = 0x00124B0000000000 + c * 1000 + n, f"C{c:02}-{n:03}"
            waiting = c == 2 and n == MODULES
            state = ModuleState.DISCOVERED if waiting else ModuleState.LOST if (c, n) == (1, 13) else ModuleState.ACTIVE
            modules.append(
                Module(
                    eui,
                    name,
                    f"C{c:02}",
                    n,
                    state,
                    channels=3 if n % 5 == 0 else 1,
                    adapter="AD220/50" if n % 3 == 0 else "",
                    building=f"Bd. Ștefan cel Mare {c}",
                )
            )
            consumers.append(
                Consumer(
                    f"K{c:02}{n:03}", f"ap. {n}", f"L{n % 3 + 1}", building=f"Bd. Ștefan cel Mare {c}", protected=n == 6
                )
            )
            points.append(Point(f"P-{c:02}-{n:03}", Medium.ELECTRICITY, f"K{c:02}{n:03}"))
            meters.append(MeterPeriod(f"E{c}{n:05}", f"P-{c:02}-{n:03}", eui, 0, 1000.0, 480_000))
            if n % 5 == 0:
                points.append(Point(f"W-{c:02}-{n:03}", Medium.WATER, f"K{c:02}{n:03}"))
                meters.append(MeterPeriod(f"W{c}{n:05}", f"W-{c:02}-{n:03}", eui, 1, 100.0, 480_000))
            if n % 3 == 0:
                kind = LoadClass.GREEN if n % 2 else LoadClass.YELLOW
                supplies += [Supply(f"P-{c:02}-{n:03}", eui, SupplyKind.CONTACTOR)] if n == 6 else []
                loads.append(Load(eui, kind, "boiler" if n % 2 == 0 else "EV charger", f"K{c:02}{n:03}", 2000.0 + 100 * n))
            elif n % 5 == 0:
                supplies.append(Supply(f"W-{c:02}-{n:03}", eui, SupplyKind.VALVE))
            elif n % 4 == 0:
                supplies.append(Supply(f"P-{c:02}-{n:03}", eui, SupplyKind.CONTACTOR))
    yellow = tuple(load.eui for load in loads if load.load_class is LoadClass.YELLOW)
    green = tuple(load.eui for load in loads if load.load_class is LoadClass.GREEN)
    electric = tuple(point.name for point in points if point.medium is Medium.ELECTRICITY)
    return Site(
        transformers=(
            Transformer("T01", "PT-1 Botanica", 250.0, "south", "T01-meter"),
            Transformer("T02", "PT-2 Ciocana", 400.0, "north", "T02-meter"),
        ),
        concentrators=(
            Concentrator("C01", 0x10, "Bloc 1", "south", "T01"),
            Concentrator("C02", 0x11, "Bloc 2", "south", "T01"),
        ),
        modules=tuple(modules),
        consumers=tuple(consumers),
        points=tuple(points),
        meters=tuple(meters),
        loads=tuple(loads),
        load_groups=(
            LoadGroup("LG-boilers", 1, LoadClass.YELLOW, "Boilers", "south", members=yellow),
            LoadGroup("LG-ev", 2, LoadClass.GREEN, "EV charging", "south", max_off_s=14400, members=green),
            LoadGroup("LG-lifts", 3, LoadClass.RED, "Lifts", "south", members=yellow[:1]),
        ),
        balance_groups=(
            BalanceGroup("BG-T01", Medium.ELECTRICITY, "Transformer 1", "T01", "T01-meter/energy_import", members=electric),
            BalanceGroup(
                "BG-house",
                Medium.WATER,
                "House 1, water",
                members=tuple(p.name for p in points if p.medium is Medium.WATER),
            ),
        ),
        supplies=tuple(supplies),
        meter_terms=(MeterTerms(Medium.WATER, 28.5, 120.0, 480.0),),
        generation=1,
    )


class Listeners:
    """The subscribe half of a port."""

    def __init__(self) -> None:
        self._all: list[Callable[[Any], None]] = []

    def subscribe(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        self._all.append(listener)
        return lambda: self._all.remove(listener)

    def tell(self, news: Any) -> None:
        for listener in tuple(self._all):
            listener(news)


class FakeRegistry(Listeners):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self.directory = Directory(site)
        self.dials = FakeDialStore()

    def adopt(self, actor: Actor, eui: int) -> "Deferred[Module]":
        return self.step(actor, Step(StepKind.ADOPT, eui))

    def step(self, actor: Actor, step: Step) -> "Deferred[Module]":
        return self._change(step, step.eui)

    def swap(self, actor: Actor, swap: Swap) -> "Deferred[Module]":
        return self._change(swap, swap.new_eui)

    def preview(self, actor: Actor, wish: Swap | Step) -> "Deferred[SiteChange]":
        site, reasons = self._wished(wish)
        return fail(CommandRejected(reasons)) if reasons else succeed(difference(self.directory.site, site))

    def _change(self, wish: Swap | Step, eui: int) -> "Deferred[Module]":
        site, reasons = self._wished(wish)
        if reasons:
            return fail(CommandRejected(reasons))
        self.directory = Directory(site)
        return succeed(self.directory.module_of_eui[eui])

    def _wished(self, wish: Swap | Step) -> tuple[Site, list[str]]:
        """By the real rules, but for roles and areas."""
        site = self.directory.site
        if isinstance(wish, Step):
            return stepped(site, self.directory, wish)
        return (site, []) if carried_out(self.directory, wish) else swapped(site, self.directory, wish)

    def commission(self, actor: Actor, eui: int) -> "Deferred[Module]":
        module = self.directory.module_of_eui[eui]
        begun = attrs.evolve(module, state=ModuleState.COMMISSIONING)
        site = self.directory.site
        self.directory = Directory(attrs.evolve(site, modules=tuple(begun if m.eui == eui else m for m in site.modules)))
        return succeed(begun)

    def set_terms(self, actor: Actor, terms: MeterTerms) -> "Deferred[None]":
        """By the real rules, but for roles."""
        if wrong := [f"{one.field}: {one.expected}" for one in check(Site(meter_terms=(terms,)))]:
            return fail(CommandRejected(wrong))
        others = tuple(one for one in self.directory.site.meter_terms if one.medium is not terms.medium)
        self.directory = Directory(attrs.evolve(self.directory.site, meter_terms=(*others, terms)))
        return succeed(None)

    def install(self, actor: Actor, wish: Installation) -> "Deferred[Installed]":
        """As the real one does, without its database."""
        done = next((one for one in self.dials.rows if one.key == wish.key), None)
        try:
            if done is not None:
                return succeed(installed_before(self.directory, wish, done))
        except CommandRejected as error:
            return fail(error)
        site, reasons = installed(self.directory.site, self.directory, wish)
        if reasons:
            return fail(CommandRejected(reasons))
        self.directory = Directory(site)
        period, reading = installation_of(site, wish, actor.name)
        self.dials.put([reading])
        return succeed(Installed(self.directory.module_of_eui[wish.eui], period, reading))

    def add_dials(
        self, actor: Actor, readings: Sequence[DialReading], *, correct: bool = False
    ) -> "Deferred[DialOutcome]":
        held = {(one.point, one.at): one.shown.value for one in self.dials.rows}
        wrong = [one for one in readings if held.get((one.point, one.at), one.shown.value) != one.shown.value]
        if wrong and not correct:
            one = wrong[0]
            was = held[one.point, one.at]
            said = f"{one.point} has the reading {was:g} of that instant already, not {one.shown.value:g}"
            return fail(CommandRejected([said]))
        new = [one for one in readings if held.get((one.point, one.at)) != one.shown.value]
        self.dials.put(new)
        return succeed(DialOutcome(len(new), len(readings) - len(new)))


class FakeGroupKeys:
    """Every third member at C01 lacks the key; C02 still goes by the epoch before."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry

    def group_keys(self, name: str) -> GroupKeyState | None:
        directory = self._registry.directory
        group = directory.load_group.get(name)
        if group is None:
            return None
        of = {c: [eui for eui in group.members if directory.module_of_eui[eui].concentrator == c] for c in ("C01", "C02")}
        shares = (
            GroupKeyShare("C01", group.epoch, len(of["C01"]), tuple(of["C01"][::3])),
            GroupKeyShare("C02", max(0, group.epoch - 1), len(of["C02"]), ()),
        )
        return GroupKeyState(group.name, group.number, group.epoch, shares)


class FakeDialStore:
    """Rows in memory."""

    def __init__(self) -> None:
        self.rows: list[DialReading] = []

    def put(self, readings: Sequence[DialReading]) -> None:
        for one in readings:
            self.rows.append(attrs.evolve(one, number=len(self.rows) + 1))

    def newest(self) -> int:
        return len(self.rows)

    def after(self, number: int, size: int = 100_000) -> tuple[DialReading, ...]:
        return tuple(self.rows[number:])

    def of_point(self, point: str, size: int = 50) -> tuple[DialReading, ...]:
        return tuple(sorted((one for one in self.rows if one.point == point), key=lambda one: -one.at))

    def recent(self, size: int = 50) -> tuple[DialReading, ...]:
        return tuple(one for one in reversed(self.rows) if one.source is DialSource.INSTALLER)


class FakeDials:
    """The real arithmetic over a count that is a straight line: a tenth of a unit an hour; photos in memory."""

    def __init__(self, registry: FakeRegistry, clock: SiteClock) -> None:
        self._registry, self._clock = registry, clock
        self.photos: dict[str, bytes] = {}

    def slots(self, eui: Any, channel: Any) -> Any:
        return np.arange(len(eui))

    def register(self, slots: Any, hour: int) -> Any:
        return np.full(len(slots), (hour - 480_000) * 100, dtype=np.int64)

    def read(self, slots: Any, first: int, hours: int) -> Any:
        return IntervalSeries(first, 3600, np.full((len(slots), hours), 100), np.zeros((len(slots), hours), np.uint8))

    def _found(self) -> reckon.Anchored:
        these = reckon.meters(self._registry.directory)
        held = grown(Readings(), self._registry.dials.rows)
        return reckon.reckon(these, held, self, 1.0, 365, 30, self._clock.now())        # type: ignore[arg-type]

    def table(self) -> DialTable:
        return self._found().table

    def dial(self, points: Sequence[str], hour: int) -> NDArray[np.float64]:
        return reckon.dial_at(self._found(), points, hour, self)                        # type: ignore[arg-type]

    def pulses(self, eui: int, channels: int, hours: int = 24) -> ChannelPulses:
        hour = self._clock.hour()
        return ChannelPulses(self.register(range(channels), hour), np.full((channels, hours), 100), hour - hours)

    def keep_photo(self, data: bytes) -> str:
        if not kind_of(data):
            raise CommandRejected(["the photo: expected a JPEG, PNG or WebP picture"])
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.{kind_of(data)}"
        self.photos[name] = data
        return name

    def photo(self, name: str) -> bytes | None:
        return self.photos.get(name)


class FakeUsers:
    def __init__(self) -> None:
        self.limited = False
        self.passwords: dict[str, str] = {}
        self.all: dict[str, Account] = {}
        for role in Role:
            self.add(Account(role.value, role))
        self.add(Account("newcomer", Role.ADMINISTRATOR, must_change=True))
        self.add(Account("gone", Role.ADMINISTRATOR, disabled=True))

    def add(self, account: Account) -> None:
        self.all[account.name], self.passwords[account.name] = account, PASSWORD

    def authenticate(self, name: str, password: str, address: str = "") -> Account | None:
        if self.limited:
            raise TooManyTries
        return self.all[name] if name in self.all and self.passwords[name] == password else None

    def accounts(self) -> tuple[Account, ...]:
        return tuple(self.all.values())

    def account(self, name: str) -> Account | None:
        return self.all.get(name)

    def set_password(self, name: str, password: str, *, must_change: bool = False) -> None:
        if len(password) < 10:
            raise CommandRejected(["the password has fewer than 10 characters"])
        self.passwords[name] = password
        self.all[name] = attrs.evolve(self.all[name], must_change=must_change)

    def credentials(self) -> tuple[tuple[str, str, Role, tuple[str, ...]], ...]:
        return tuple((one.name, self.passwords[one.name], one.role, one.areas) for one in self.all.values())

    def set_language(self, name: str, language: str) -> None:
        self.all[name] = attrs.evolve(self.all[name], language=language)


class FakeAudit:
    def __init__(self, clock: SiteClock) -> None:
        self._clock, self.rows = clock, []

    def append_now(self, actor: Actor, action: str, target: str = "", **detail: Any) -> None:
        digest = hashlib.sha256(f"{len(self.rows)}{action}".encode()).hexdigest()
        self.rows.append(
            AuditRow(
                len(self.rows) + 1, self._clock.now(), actor.name, actor.origin.value, action, target,
                json.dumps(detail), digest,
            )
        )

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        self.append_now(actor, action, target, **detail)
        return succeed(None)

    def page(self, before: int | None = None, size: int = 50, action: str = "") -> tuple[AuditRow, ...]:
        fitting = [
            row for row in reversed(self.rows) if (before is None or row.number < before) and row.action.startswith(action)
        ]
        return tuple(fitting[:size])

    def verify(self) -> int | None:
        return None


class FakeMetering:
    """A daily shape; the last two hours of every point are missing, one hour in fifty too."""

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock

    def hourly(
        self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None = None, *, validated: bool = False
    ) -> Consumption:
        at = first_hour + np.arange(hours)
        values = np.array(
            [0.3 + 0.25 * np.sin((at + 6) * np.pi / 12) ** 2 + (len(point) + at * 7 % 11) / 40 for point in points]
        ).reshape(len(points), hours)
        now = self._clock.hour() if as_of is None else as_of // (HOUR_S * NS)
        missing = (at >= now - 2) | (at % 50 == 7)
        values[:, missing] = np.nan
        quality = np.where(np.isnan(values), Quality.BAD_WAITING, Quality.GOOD).astype(np.uint8)
        if validated:
            values[:, missing], quality[:, missing] = 0.5, Quality.UNCERTAIN_ESTIMATED
        quality[:, (at % 17 == 3) & ~missing] = Quality.GOOD_BACKFILL
        return Consumption(
            tuple(points), first_hour, values, quality, tuple("m³" if p.startswith("W") else "kWh" for p in points)
        )

    def register(self, points: Sequence[str], hour: int, as_of: int | None = None) -> NDArray[np.float64]:
        return np.full(len(points), 4711.25)

    def estimates(self, point: str, first_hour: int, hours: int) -> tuple[Estimate, ...]:
        return tuple(
            Estimate(point, first_hour + n, 0.5, Method.TYPICAL, "anna", (first_hour + 50) * HOUR_S * NS, "lost")
            for n in range(hours)
        )

    def profile(
        self, points: Sequence[str], first: int, count: int, interval_s: int, as_of: int | None = None
    ) -> Profile:
        return Profile(
            tuple(points), first, interval_s, np.full((len(points), count), 0.125),
            np.zeros((len(points), count), np.uint8), ("kWh",) * len(points),
        )

    def group_sums(self, groups: Sequence[str], first_hour: int, hours: int, as_of: int | None = None) -> GroupSums:
        shape = len(groups), hours
        return GroupSums(
            tuple(groups), ("kWh",) * len(groups), first_hour, np.full(shape, 2.5), np.full(shape, 3),
            np.full(shape, 4),
        )

    def changes(self, point: str, first_hour: int, hours: int) -> tuple[PointChange, ...]:
        """Every hour was delivered, and the first of them marked a day later."""
        hour, nan, source = HOUR_S * NS, float("nan"), Provenance(0xC0FFEE01, 7, 12)
        delivered, joined = ChangeKind.DELIVERED, ChangeKind.JOINED
        found = [
            PointChange(one * hour, HOUR_S, delivered, (one + 2) * hour, nan, 0.5, 0, 0, source, 1, 0)
            for one in range(first_hour, first_hour + hours)
        ]
        late, ours = (first_hour + 26) * hour, Provenance(1, 0, 0)
        return (*found, PointChange(first_hour * hour, HOUR_S, joined, late, nan, nan, 0, 64, ours, 1, 0))


class FakeWalkby:
    """Reads files as the real one does; nothing is held before."""

    def __init__(self, registry: FakeRegistry, audit: "FakeAudit") -> None:
        self._registry, self._audit = registry, audit
        self._pending = Pending()
        self.stored: list[WalkbyReport] = []

    def slots(self, eui: Any, channel: Any) -> Any:
        return np.full(len(eui), -1)

    def read(self, slots: Any, first: int, hours: int) -> Any:
        shape = (len(slots), hours)
        return IntervalSeries(first, 3600, np.full(shape, MISSING), np.zeros(shape, np.uint8))

    def register(self, slots: Any, hour: int) -> Any:
        return np.full(len(slots), MISSING)

    def examine(self, files: Sequence[tuple[str, bytes]]) -> WalkbyExamination:
        reader: Any = self
        return merge.examine(files, reader, self._registry.directory, self._pending, None, 1)

    def store(self, actor: Actor, examined: WalkbyExamination) -> "Deferred[WalkbyReport]":
        self._audit.append_now(actor, "walkby.import", ", ".join(examined.report.files))
        self.stored.append(attrs.evolve(examined.report, stored=True))
        return succeed(self.stored[-1])


class FakeLosses:
    """T01 has a street of two branches, with one consumer that relieves it; T02 has no sections."""

    def __init__(self) -> None:
        self.wrong: tuple[Problem, ...] = ()
        self.known = True
        self.form_source, self.looped = "", False

    def problems(self, transformer: str) -> tuple[Problem, ...] | None:
        return self.wrong if transformer == "T01" else None

    def table(self, transformer: str, first: int, last: int) -> ResultTable:
        return ResultTable(np.empty(0, np.int64), {})

    def recompute(self, transformers: Sequence[str], first: int, last: int) -> "Deferred[tuple[str, ...]]":
        self.wished = (tuple(transformers), first, last)
        return succeed(("BG-T01",))

    def report(self, transformer: str, first: int, hours: int) -> LossReport:
        ends = [("T01", "N1", 120.0, 1.8), ("N1", "N2", 40.0, 0.6), ("N1", "N3", 80.0, 0.1), ("N3", "N4", 10.0, 0.0)]
        sections = tuple(
            SectionLoss(f"S{n}", "F1", (near, far), metres, lost, 0.3 if lost else math.nan, 20.0 / n, 230.0 - n)
            for n, (near, far, metres, lost) in enumerate(ends, 1)
        )
        consumers = (
            ConsumerLoss("P-01-001", "ap. 1", "N2", "L1", 2.1, 40.0, 226.5),
            ConsumerLoss("P-01-002", "ap. 2", "N4", "L2", -0.125, -3.0, 231.0),
        )
        return LossReport(
            "T01", hours, hours - 1 if self.known else 0, 0, 37.0, 1.8, 0.7, 4.4, 0.2, sections, consumers,
            bool(self.form_source), self.form_source, self.looped,
        )


def kept_order(path: Path, at: int) -> None:
    """An order of two moves, its promise by power flow; the crew was there five weeks ago."""
    at -= 35 * 86_400 * NS
    day = datetime.fromtimestamp(at // NS, UTC).date().isoformat()
    book, vera = OrderBook(path, lambda *_: None), Actor("vera", Role.ENGINEER)
    book.open()
    moves = (
        OrderedMove("P-01-002", "ap. 2", "L2", "L3", "L2", 0.61, False),
        OrderedMove("P-01-003", "ap. 3", "L1", "L2", "L3", 0.42, True),
    )
    checks = PhaseCheck(412.5, 21.3, 60.0, 214.6, 0), PhaseCheck(390.1, 12.2, 41.0, 219.9, 0)
    number = book.keep(vera, "BG-T01", Proposal(490_000, 168, Objective.SQUARES, moves, *checks), at).number
    book.settle(vera, number, None, OrderState.DONE, "ladder", at=at, today=day)
    book.close()


class FakeBalances:
    """Thirty days of hours; the newest two are incomplete, the newest has no row. So it was at each instant of 92 days."""

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock

    def table(self, group: str, span_s: int, first: int, last: int, as_of: int | None = None) -> ResultTable:
        now = self._clock.seconds()
        if as_of is not None:
            if as_of < (now - 92 * 86400) * NS:
                raise NotKept((now - 92 * 86400) * NS)
            now = as_of // NS
        start = np.arange(
            -(-max(first, now - 40 * 86400) // span_s) * span_s, min(last, now - span_s), span_s, dtype=np.int64
        )
        feed = (18 + 9 * np.sin(start / 86400 * 2 * np.pi)) * span_s / 3600
        complete = np.where(start >= now - 3 * span_s, 0.62, np.where(start // span_s % 19 == 4, 0.97, 1.0))
        members = feed * (0.93 - 0.02 * np.sin(start / 7200)) * complete
        imbalance = feed - members
        columns = dict(
            zip(
                BALANCE_COLUMNS,
                (
                    feed,
                    members,
                    np.where(complete < 1, np.nan, imbalance),      # what is not whole is no balance
                    np.where(complete < 1, np.nan, imbalance / feed * 100),
                    np.where(complete < 1, np.nan, 0.12),
                    complete,
                    *np.zeros((4, len(start))), np.full(len(start), np.nan), np.zeros(len(start)),
                    np.where(complete < 1, np.nan, imbalance),
                    np.ones(len(start)),
                ),
                strict=True,
            )
        )
        return ResultTable(start, columns)


class FakePhaseWeeks:
    def table(self, group: str, first: int, last: int) -> ResultTable:
        start = np.array([last - 14 * 86_400, last - 7 * 86_400]) if group == "BG-T01" else np.empty(0, dtype=np.int64)
        made = {"position": (0.41, 0.35), "usual": (0.2, 0.21), "neutral": (21.3, np.nan), "g_all": (0.3, 0.31)}
        rows = {name: made.get(name, (np.nan, np.nan)) for name in PHASE_WEEK_COLUMNS}
        return ResultTable(start, {name: np.array(rows[name][:len(start)]) for name in rows})


class FakeVoltages:
    sided = True

    def week(self, transformer: str, last: int) -> VoltageWeek:
        """L1 keeps to everything, L2 was low for long, of L3 nothing is known."""
        nan = float("nan")
        phases = (
            PhaseWeek(1008, 2, 0, 1 - 2 / 1008, 0.04, True, 221.3, 238.9),
            PhaseWeek(1008, 90, 4, 1 - 90 / 1008, 0.13, False, 194.2, 231.0),
            PhaseWeek(0, 0, 0, nan, nan, False, nan, nan, settled=False),
        )
        unbalance = UnbalanceWeek(700, 7, 0.99, 0.0123, 0.0234, True, settled=False)
        return VoltageWeek(transformer, last - 604_800 * NS, last, 1008, phases, False, unbalance if self.sided else None)


class FakeLive:
    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        at = np.arange(first, min(last, self._clock.now()), NS, dtype=np.int64)[-limit:]
        phase = len(tag) + sum(tag.encode()) % 7
        values = 62000 + 6000 * np.sin(at / NS / 400 + phase) + 900 * np.sin(at / NS * 1.7 + phase)
        quality = np.zeros(len(at), dtype=np.uint8)
        gap = (at // NS % 3600 > 1200) & (at // NS % 3600 < 1320)
        values[gap], quality[gap] = np.nan, Quality.BAD_NOT_CONNECTED
        return TagHistory(at, values, quality)

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        """A sample a second of all that have a slash; of the others none."""
        found = [self.read(tag, instant // NS * NS, instant + 1) for tag in tags]
        held = np.array([bool(len(one.at)) and "/" in tag for one, tag in zip(found, tags, strict=True)], dtype=bool)
        return Instant(
            np.where(held, instant // NS * NS, 0),
            np.array([one.values[0] if known else np.nan for one, known in zip(found, held, strict=True)]),
            np.array([one.quality[0] if known else Quality.BAD_WAITING for one, known in zip(found, held, strict=True)],
                     dtype=np.uint8),
        )


class FakeAlarms(Listeners):
    def __init__(self, clock: SiteClock, audit: FakeAudit) -> None:
        super().__init__()
        self._clock, self._audit = clock, audit
        self.by_id: dict[str, Alarm] = {}
        self.journal: list[Alarm] = []

    def active(self) -> tuple[Alarm, ...]:
        order = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}
        every = [alarm for alarm in self.by_id.values() if alarm.state is not AlarmState.NORMAL]
        live = [alarm for alarm in every if not alarm.suppressed_by]
        return tuple(sorted(live, key=lambda alarm: (order[alarm.priority], -alarm.raised)))

    def suppressed(self) -> tuple[Alarm, ...]:
        return tuple(alarm for alarm in self.by_id.values() if alarm.suppressed_by)

    def history(self, before: int | None = None, size: int = 100) -> tuple[Alarm, ...]:
        return tuple([alarm for alarm in reversed(self.journal) if before is None or alarm.changed < before][:size])

    def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> "Deferred[Alarm]":
        alarm = self.by_id.get(alarm_id)
        if alarm is None or alarm.state not in (AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED):
            return fail(CommandRejected([f"there is no alarm {alarm_id} to acknowledge"]))
        after = AlarmState.NORMAL if alarm.state is AlarmState.RETURNED else AlarmState.ACKNOWLEDGED
        self._audit.append_now(actor, "alarm.acknowledge", alarm_id, comment=comment)
        return succeed(self.set(attrs.evolve(alarm, state=after, acknowledged_by=actor.name, comment=comment)))

    def set(self, alarm: Alarm) -> Alarm:
        changed = attrs.evolve(alarm, changed=self._clock.now())
        self.by_id[alarm.id] = changed
        self.journal.append(changed)
        self.tell(changed)
        return changed

    def raise_(
        self,
        source: str,
        kind: str,
        priority: Priority,
        value: float = float("nan"),
        limit: float = float("nan"),
        unit: str = "",
    ) -> Alarm:
        now = self._clock.now()
        return self.set(
            Alarm(f"{source}:{kind}", source, kind, priority, AlarmState.UNACKNOWLEDGED, now, now, value, limit, unit)
        )


class FakeDesk(Listeners):
    """Refuses what the real desk refuses, and lets members answer one after the other with every `step`."""

    def __init__(self, clock: SiteClock, registry: FakeRegistry, audit: FakeAudit) -> None:
        super().__init__()
        self._clock, self._registry, self._audit = clock, registry, audit
        self.monitor_only = False
        self.selections: dict[str, Selection] = {}
        self.by_id: dict[str, CommandStatus] = {}

    def select(self, actor: Actor, request: ShedRequest) -> "Deferred[Selection]":
        directory = self._registry.directory
        group = directory.load_group.get(request.group)
        reasons = []
        if group is None:
            return fail(CommandRejected([f"no load group {request.group!r}"]))
        if group.load_class is LoadClass.RED:
            reasons.append("red loads are never switched off")
        if request.action is Action.SHED and not 60 <= request.off_for_s <= group.max_off_s:
            reasons.append(f"off_for is {request.off_for_s} s; this group may be off for 60 to {group.max_off_s} s")
        if actor.role not in (Role.DISPATCHER, Role.ADMINISTRATOR):
            reasons.append(f"a {actor.role} may not command")
        if reasons:
            return fail(CommandRejected(reasons))
        members = []
        for eui in group.members:
            module, load = directory.module_of_eui[eui], directory.load_of_eui[eui]
            consumer = directory.consumer[load.consumer]
            members.append(
                Member(
                    eui,
                    module.name,
                    module.concentrator,
                    0x10,
                    module.index,
                    f"{load.title}, {consumer.title}",
                    load.load_class,
                    load.rated_w,
                    "module lost" if consumer.protected else "",
                )
            )
        now = self._clock.now()
        selection = Selection(
            f"S{len(self.selections) + 1:04}",
            "d" * 64,
            actor.name,
            request,
            group.area,
            group.epoch,
            tuple(members),
            sum(member.rated_w for member in members if not member.obstacle),
            ("2 loads must be switched on by hand afterwards",),
            now,
            now + 120 * NS,
            self.monitor_only,
        )
        self.selections[selection.id] = selection
        return succeed(selection)

    def execute(self, actor: Actor, selection_id: str) -> "Deferred[CommandStatus]":
        selection = self.selections.get(selection_id)
        if selection is None or self._clock.now() > selection.expires:
            return fail(CommandRejected(["the selection is too old: select again"]))
        identity = hashlib.sha256(selection_id.encode()).hexdigest()[:32]
        if identity not in self.by_id:
            now = self._clock.now()
            first = MemberState.NOT_SENT if self.monitor_only else MemberState.SENT
            state = CommandState.CLOSED if self.monitor_only else CommandState.SENDING
            self._put(
                CommandStatus(
                    identity,
                    Action.SHED,
                    selection.request.group,
                    actor.name,
                    actor.origin,
                    state,
                    selection.request.off_for_s,
                    now + 300 * NS,
                    now,
                    now + selection.request.off_for_s * NS,
                    self.monitor_only,
                    selection.request.reason,
                    tuple(
                        MemberResult(member, first, "MONITOR_ONLY" if self.monitor_only else "", now)
                        for member in selection.members
                    ),
                )
            )
            self._audit.append_now(actor, "shed.execute", selection.request.group, command=identity)
        return succeed(self.by_id[identity])

    def restore(self, actor: Actor, command_id: str) -> "Deferred[CommandStatus]":
        status = self.by_id.get(command_id)
        if status is None or status.state not in (CommandState.ACTIVE, CommandState.COLLECTING):
            return fail(CommandRejected(["nothing of this command is off any more"]))
        self._audit.append_now(actor, "shed.restore", command_id)
        results = tuple(
            attrs.evolve(r, state=MemberState.RESTORED, changed=self._clock.now()) if r.state is MemberState.EXECUTED else r
            for r in status.members
        )
        return succeed(self._put(attrs.evolve(status, state=CommandState.CLOSED, members=results)))

    def command(self, command_id: str) -> CommandStatus | None:
        return self.by_id.get(command_id)

    def commands(self, limit: int = 50) -> tuple[CommandStatus, ...]:
        return tuple(reversed(self.by_id.values()))[:limit]

    def step(self) -> None:
        """One member of every running command goes one step further; the third refuses, the fifth never answers."""
        for status in tuple(self.by_id.values()):
            if status.state not in (CommandState.SENDING, CommandState.COLLECTING):
                continue
            members, now = list(status.members), self._clock.now()
            open_ = [n for n, result in enumerate(members) if result.state < MemberState.EXECUTED]
            if not open_:
                self._put(attrs.evolve(status, state=CommandState.ACTIVE))
                continue
            n = open_[0]
            state, reason = (
                (MemberState.REFUSED, "INTERLOCK")
                if n % 5 == 2
                else (MemberState.NO_ANSWER, "")
                if n % 5 == 4
                else (MemberState.EXECUTED, "")
            )
            members[n] = MemberResult(members[n].member, state, reason, now)
            self._put(attrs.evolve(status, state=CommandState.COLLECTING, members=tuple(members)))

    def _put(self, status: CommandStatus) -> CommandStatus:
        self.by_id[status.id] = status
        self.tell(status)
        return status


class FakeReading(Listeners):
    """One module of every open read answers with every `step`; the fifth has no route."""

    def __init__(self, clock: SiteClock, registry: FakeRegistry, audit: FakeAudit) -> None:
        super().__init__()
        self._clock, self._registry, self._audit = clock, registry, audit
        self.by_id: dict[str, ReadTask] = {}

    def request(self, actor: Actor, request: ReadRequest) -> "Deferred[ReadTask]":
        directory = self._registry.directory
        found, reasons = wish.resolve(directory, actor, request, self._clock.hour())
        if reasons:
            return fail(CommandRejected(reasons))
        now = self._clock.now()
        shares = tuple(
            ReadShare(f"{name:16}".encode(), name, directory.concentrator[name].link_id, ReadState.SENT, members,
                      attempts=1, sent=now, reason="asked; the answers come by radio", expected=now + 240 * NS)
            for name, members in found.items()
        )
        asked = ", ".join((*request.points, *request.modules, *request.groups))
        task = ReadTask(f"{len(self.by_id) + 1:032x}", request.key, actor.name, actor.origin, asked, request.priority, now,
                        now + request.within_s * NS, shares)
        self._audit.append_now(actor, "read.request", asked[:64], task=task.id)
        return succeed(self._put(task))

    def cancel(self, actor: Actor, task_id: str) -> "Deferred[ReadTask]":
        task = self.by_id.get(task_id)
        if task is None or task.state in OVER:
            return fail(CommandRejected(["the read is over already"]))
        self._audit.append_now(actor, "read.cancel", task_id)
        why = f"cancelled by {actor.name}"
        shares = tuple(attrs.evolve(one, state=ReadState.CANCELLED, reason=why) for one in task.shares)
        return succeed(self._put(attrs.evolve(task, shares=shares)))

    def task(self, task_id: str) -> ReadTask | None:
        return self.by_id.get(task_id)

    def tasks(self, limit: int = 50) -> tuple[ReadTask, ...]:
        return tuple(reversed(self.by_id.values()))[:limit]

    def step(self) -> None:
        for task in tuple(self.by_id.values()):
            if task.state not in OVER:
                self._put(attrs.evolve(task, shares=tuple(self._further(share) for share in task.shares)))

    def _further(self, share: ReadShare) -> ReadShare:
        members = list(share.members)
        open_ = [n for n, one in enumerate(members) if not one.readings and not one.reason]
        if not open_:
            return attrs.evolve(share, state=ReadState.DONE, reason="", expected=0)
        n = open_[0]
        reading = ChannelReading(0, "OK", 4_711_000 + n, self._clock.now())
        said: dict[str, Any] = {"reason": "NO_ROUTE"} if n % 5 == 4 else {"readings": (reading,)}
        members[n] = attrs.evolve(members[n], **said)
        return attrs.evolve(share, state=ReadState.PARTIAL, members=tuple(members))

    def _put(self, task: ReadTask) -> ReadTask:
        self.by_id[task.id] = task
        self.tell(task)
        return task


class FakeSupplies(Listeners):
    """The real rules and the real record; what is confirmed is executed with the next `step`."""

    def __init__(self, clock: SiteClock, registry: FakeRegistry, audit: FakeAudit) -> None:
        super().__init__()
        self._clock, self._registry, self._audit = clock, registry, audit
        self.records: dict[str, Record] = {}
        self.kept: dict[str, Local] = {}
        self.news: list[SupplyNews] = []

    def supplies(self) -> tuple[SupplyStatus, ...]:
        found = (self.supply(one.point) for one in self._registry.directory.site.supplies)
        return tuple(one for one in found if one is not None)

    def supply(self, point: str) -> SupplyStatus | None:
        place = rules.place_of(self._registry.directory, point)
        return None if place is None else status_of(place, self.records.get(point, Record(point)), self.kept)

    def history(self, point: str, before: int | None = None, size: int = 50) -> tuple[SupplyNews, ...]:
        mine = (one for one in reversed(self.news) if one.point == point)
        return tuple(one for one in mine if before is None or one.number < before)[:size]

    def locals(self) -> tuple[Local, ...]:
        return tuple(self.kept.values())

    def request(self, actor: Actor, request: SupplyRequest) -> "Deferred[SupplyStatus]":
        def ask(place: rules.Place, record: Record, now: int) -> Any:
            reasons = rules.against_request(actor, place, record, request, self.kept)
            reason = request.reason or HoldReason.DEBT
            held = Holding(f"{len(self.news):08x}", reason, actor.name, now, request.tag, request.name)
            off = request.action is SwitchAction.DISCONNECT
            switch = Switch(f"{len(self.news):032x}", request.action, actor.name, actor.origin, now, now + 900 * NS,
                            held if off else None, request.note)
            return reasons, lambda: steps.requested(record, switch)
        return self._do(actor, "requested", request.point, ask)

    def confirm(self, actor: Actor, point: str, switch_id: str) -> "Deferred[SupplyStatus]":
        def say(place: rules.Place, record: Record, now: int) -> Any:
            reasons = rules.against_confirmation(actor, place, record, switch_id, now, self.kept)
            ids = [bytes([number]) * 16 for number in range(3)]
            return reasons, lambda: steps.confirmed(record, actor.name, now, now + 600 * NS, ids)
        return self._do(actor, "confirmed_by", point, say)

    def withdraw(self, actor: Actor, point: str, switch_id: str) -> "Deferred[SupplyStatus]":
        return self._do(actor, "withdrawn", point, lambda place, record, now: (
            rules.against_withdrawal(actor, place, record, switch_id), lambda: steps.withdrawn(record, now, "")
        ))

    def hold(self, actor: Actor, point: str, holding: Holding) -> "Deferred[SupplyStatus]":
        new = attrs.evolve(holding, id=f"{len(self.news):08x}", by=actor.name, at=self._clock.now())
        return self._do(actor, "hold", point, lambda place, record, now: (
            rules.against_holding(actor, place, record, new), lambda: steps.held(record, new)
        ))

    def release(
        self, actor: Actor, point: str, holding_id: str, *, tag: str = "", name: str = "", note: str = ""
    ) -> "Deferred[SupplyStatus]":
        return self._do(actor, "release", point, lambda place, record, now: (
            rules.against_release(actor, place, record, holding_id, tag, name, note),
            lambda: steps.released(record, holding_id),
        ))

    def set_local(self, actor: Actor, *, point: str = "", area: str = "", local: bool, note: str = "") -> "Deferred[None]":
        scope = f"point:{point}" if point else f"area:{area}"
        if (scope in self.kept) == local:
            return fail(CommandRejected([f"{scope} is in local already" if local else f"{scope} is not in local"]))
        if local:
            self.kept[scope] = Local(scope, actor.name, self._clock.now(), note)
        else:
            del self.kept[scope]
        return succeed(None)

    def step(self) -> None:
        """The field does what was confirmed."""
        for point, record in self.records.items():
            now = self._clock.now()
            while record.switch and record.switch.state is SwitchState.CONFIRMED and (step := record.switch.step):
                last = sum(not one.done for one in record.switch.steps) == 1
                on = last and record.switch.action is SwitchAction.RECONNECT and not point.startswith("W-")
                record = steps.accepted(steps.sending(record, now), now)
                record = steps.executed(record, step.command_id, now, still_held=False, supplied=on)
                self._put(record, "executed", "")

    def bypass(self, point: str) -> None:
        self._put(steps.counted(self.records[point], Effect.BYPASS, 412), "bypass", "")

    def _do(self, actor: Actor, what: str, point: str, judge: Callable[..., Any]) -> "Deferred[SupplyStatus]":
        place = rules.place_of(self._registry.directory, point)
        if place is None:
            return fail(CommandRejected([f"there is no supply at {point} that can be switched"]))
        reasons, make = judge(place, self.records.get(point, Record(point)), self._clock.now())
        if reasons:
            return fail(CommandRejected(reasons))
        self._audit.append_now(actor, f"supply.{what}", point)
        return succeed(self._put(make(), what, actor.name))

    def _put(self, record: Record, what: str, actor: str) -> SupplyStatus:
        self.records[record.point] = record
        self.news.append(SupplyNews(len(self.news) + 1, self._clock.now(), record.point, what, actor))
        status = self.supply(record.point)
        assert status is not None
        self.tell(status)
        return status


class FakeMesh(Listeners):
    def __init__(self, clock: SiteClock) -> None:
        super().__init__()
        self._clock = clock

    def view(self, concentrator: str) -> MeshView | None:
        return next((view for view in self.views() if view.concentrator == concentrator), None)

    on_mesh = Listeners.subscribe

    def views(self) -> tuple[MeshView, ...]:
        now = self._clock.now()
        views = []
        for c in (1, 2):
            nodes = []
            for n in range(1, MODULES + 1):
                if (c, n) == (1, 13):
                    continue
                parent = 0 if n <= 5 else (n * 7 % 5) + 1 if n <= 14 else (n * 3 % 8) + 6
                parent = 0 if parent == 13 and c == 1 else parent
                level = 1 if n <= 5 else 2 if n <= 14 else 3
                nodes.append(
                    MeshNode(
                        0x00124B0000000000 + c * 1000 + n,
                        n,
                        level,
                        parent,
                        -70.0 - n,
                        -72.0 - n,
                        0.72 if n == 11 else 0.9 if n % 7 == 0 else 0.99,
                        610 if n == 3 else 40 * (5 - level),
                        3210 if n == 9 else 3600,
                        1.2 * level,
                        now - n * 60 * NS,
                    )
                )
            views.append(MeshView(f"C{c:02}", c == 1, 7, tuple(nodes), now - 4 * 60 * NS))
        return tuple(views)


class FakeConcentrators:
    """One concentrator that does what it is told, and remembers it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.values: dict[str, int | str] = {"radio_channel": 3, "discover_always": 1}

    def info(self, name: str) -> ConcentratorInfo:
        if name != "C01":
            raise CommandRejected([f"{name} is not connected"])
        return ConcentratorInfo(name, "J100UC", "1.0", 3600, 60, 1)

    def parameters(self, name: str) -> Parameters:
        if name != "C01":
            raise CommandRejected([f"{name} is not connected"])
        return Parameters(name, 1, dict(self.values))

    def set_parameters(self, actor: Actor, name: str, base: int, values: Any) -> Parameters:
        self.done.append(("set", name, str(base)))
        self.values |= values
        return Parameters(name, base + 1, values)

    def reboot(self, actor: Actor, name: str, *, module: str = "", delay_s: int = 0) -> None:
        self.done.append(("reboot", name, module))

    def discover(self, actor: Actor, name: str, duration_s: int) -> None:
        self.done.append(("discover", name, str(duration_s)))

    def cancel(self, actor: Actor, name: str, command_id: str) -> None:
        self.done.append(("cancel", name, command_id))


class FakeCollection:
    """C01 lacks an hour of yesterday at its first module, and two that were given up; nothing is known of C02."""

    def __init__(self, clock: SiteClock) -> None:
        self.hour = clock.hour()
        self.asked: list[Recall] = []

    def collection(self, concentrator: str) -> CollectionView | None:
        if concentrator != "C01":
            return None
        first, hours = self.hour - 240, 240
        wanted, lacking = np.ones((2, hours), dtype=bool), np.zeros((2, hours), dtype=bool)
        wanted[:, -2:] = False
        lacking[0, [3, 4, hours - 30]] = True
        return CollectionView(np.array([1, 2]), first, wanted, lacking, first + 72)

    def summaries(self) -> tuple[CollectionSummary, ...]:
        """As the driver reckons them, from the view; the site's days are those of UTC+2."""
        view = self.collection("C01")
        assert view is not None
        midnight = (self.hour + 2) // 24 * 24 - 2
        edges = tuple(midnight + 24 * day for day in range(-29, 2))
        at = np.clip(np.array(edges) - view.first, 0, view.wanted.shape[1])
        due, lack = (np.diff(np.concatenate([[0], one.sum(axis=0).cumsum()])[at]) for one in (view.wanted, view.lacking))
        shares = tuple(1 - lack[one].sum() / due[one].sum() for one in (slice(-1, None), slice(-2, -1), slice(-7, None),
                                                                       slice(None)))
        return (CollectionSummary("C01", edges, due, lack, shares, 1, 2, view.given_up, self.hour - 30, True, 12, 500),)

    def group_summaries(self) -> tuple[CollectionSummary, ...]:
        return tuple(attrs.evolve(one, name="BG-T01", link_up=None) for one in self.summaries())

    def ask_again(
        self, actor: Actor, concentrator: str, modules: Sequence[str], first: int, hours: int
    ) -> "Deferred[Recall]":
        if concentrator != "C01":
            return fail(CommandRejected([f"nothing is missing at {concentrator} in these hours, as far as is known here"]))
        at = self.hour * 3600
        self.asked.insert(0, Recall(
            len(self.asked) + 1, concentrator, tuple(modules), first, hours, 3, 0, actor.name, at, at + 86_400
        ))
        return succeed(self.asked[0])

    def recalls(self) -> tuple[Recall, ...]:
        return tuple(self.asked)


class FakeTime:
    """C01 is 1.25 s ahead with one module that runs away; C02 was stepped, and no module's clock is known."""

    def __init__(self, clock: SiteClock) -> None:
        self._clock = clock

    def clocks(self, concentrator: str) -> ClockView | None:
        now, nan = self._clock.now(), float("nan")
        if concentrator == "C02":
            return ClockView("C02", False, 0.02, 0.04, nan, now - 600 * NS, "step", 2, 0, 0, ())
        base = 0x00124B0000000000 + 1000
        worst = (
            ModuleClock(base + 5, 5, 12.5, 410.0, now - 300 * NS, True),
            ModuleClock(base + 6, 6, -0.4, nan, now - 300 * NS, False),
        )
        return ClockView(concentrator, True, 1.25, 0.03, -7.4, now - 60 * NS, "slew", 0, 12, 1, worst)


class FakeNetwork:
    """The real arithmetic over the fake reports; the tree changed once, an hour ago."""

    def __init__(self, clock: SiteClock, mesh: FakeMesh) -> None:
        self._clock, self._mesh = clock, mesh

    def figures(self, concentrator: str) -> NetworkFigures | None:
        views = {view.concentrator: view for view in self._mesh.views()}
        if concentrator not in views:
            return None
        now = self._clock.now()
        heard = MeshNeighbour(0x00124B0000000000 + 1005, now - NS, -93.0, 4, 12)
        views = {name: attrs.evolve(one, overheard=(heard,) if name == "C02" else ()) for name, one in views.items()}
        found = overlaps(views[concentrator], views, {heard.eui: "C01"})
        installed = {node.eui: now // (3600 * NS) - 8766 for node in views[concentrator].nodes}
        return figures(views[concentrator], Known(installed, {}, {}), found, now, Bounds())

    def tree(self, concentrator: str, at: int) -> tuple[Place, ...]:
        view = next(view for view in self._mesh.views() if view.concentrator == concentrator)
        if at < self._clock.now() - 7200 * NS:
            return ()
        return tuple(Place(one.eui, one.index, one.parent, one.level, at) for one in view.nodes)

    def through(self, concentrator: str, moments: Mapping[int, int]) -> Mapping[int, int]:
        return {}

    def moments(self, concentrator: str) -> tuple[int, ...]:
        hour = self._clock.now() // (3600 * NS) * 3600 * NS
        return (hour, hour - 3600 * NS)

    def places(self, eui: int, size: int = 50) -> tuple[tuple[str, Place], ...]:
        at = self.moments("")[0]
        return (("C01", Place(eui, 7, -1, 0, at)), ("C01", Place(eui, 7, 3, 2, at - 3600 * NS)))


class FakeOutages:
    """A dark building now; before it a module that turned out to be part of it, and a concentrator that was away."""

    def __init__(self, clock: SiteClock) -> None:
        now, hour = clock.now(), 3600 * NS
        dark = Outage(
            "Outage.B2:outage_building", Scope.BUILDING, "B2", "south", now - hour, ("C02-001", "C02-002"), 2,
            "the supply of building B2 is likely lost",
            ("2 of 2 modules there are out, 2 of them said that their supply was lost",),
            ("relay C02-001 is likely lost, and 1 modules behind it with it",), 0.97, 2,
        )
        single = attrs.evolve(
            dark, id="C02-001:outage_module", scope=Scope.MODULE, subject="C02-001", members=("C02-001",), consumers=1,
            cause="the supply at C02-001 is likely lost", until=now - hour + 20 * NS, left=0, merged=dark.id, also=(),
        )
        away = attrs.evolve(
            single, id="C01:outage_backhaul", scope=Scope.BACKHAUL, subject="C01", members=(), consumers=0, merged="",
            cause="the back-haul of C01, or the concentrator itself, is down", until=now - 2 * hour, since=now - 3 * hour,
        )
        self.opened: tuple[Outage, ...] = (dark,)
        self.over = (single, away)

    def open(self) -> tuple[Outage, ...]:
        return self.opened

    def history(self, before: int | None = None, size: int = 100) -> tuple[Outage, ...]:
        return tuple(one for one in self.over if before is None or one.until < before)[:size]


class Cases:
    """The real case files, in a folder of their own: one of an electricity group that a magnet was reported of."""

    def __init__(self, clock: SiteClock, audit: FakeAudit) -> None:
        self._clock, self._folder = clock, tempfile.TemporaryDirectory()
        self.book = Casebook(
            Path(self._folder.name) / "cases.sqlite",
            lambda actor, number, detail: audit.append_now(actor, "case.decide", str(number), **detail),
        )
        self.book.open()
        shape = 3.0 + np.sin(np.arange(20) / 2)
        gap = np.where(np.arange(20) == 4, np.nan, 4.0 + shape)
        self.suspicion = Suspicion(
            "BG-T01", "P-01-003", True, "magnet",
            "it began when a magnet was reported; its profile explains 31 % of the imbalance since 2026-03-03; 118 ± 9 kWh",
            "kWh", 118.0, 9.0, 0.31, 14.0, "2026-03-03", "2026-02-20", tuple(9 + shape), tuple(6 + shape / 2), tuple(gap),
        )
        self.book.enter([self.suspicion], "2026-03-12", clock.now())
        self.book.end_night("2026-03-12", [GroupState("BG-house", "not_enough_data", float("nan"), "m³", 0)])
        self.find, self.one, self.counts, self.night = self.book.find, self.book.one, self.book.counts, self.book.night

    def decide(self, actor: Actor, number: int, was: CaseState | None, state: CaseState, note: str) -> Case:
        return self.book.decide(actor, number, was, state, note, at=self._clock.now(), day="2026-03-13")


class Leaks:
    """The real book, in a folder of its own: water, gas and heat that never stop, one of them over."""

    def __init__(self, clock: SiteClock, audit: FakeAudit) -> None:
        self._clock, self._folder = clock, tempfile.TemporaryDirectory()
        self.book = Leakbook(
            Path(self._folder.name) / "leaks.sqlite",
            lambda actor, number, detail: audit.append_now(actor, "leak.decide", str(number), **detail),
        )
        self.book.open()
        dry, gap = (0.0, 0.001) * 6, float("nan")
        water = Flowing(
            "W-01-005", Medium.WATER, True, "2026-03-05", False, "", 0.0183, 0.0025, 3.66, "2026-02-21",
            (*dry, 0.018, 0.019, gap, 0.0185, 0.018, 0.0182, 0.0184),
        )
        gas = Flowing(
            "G-01-005", Medium.GAS, True, "2026-02-21", True, "", 1.2, 0.0, 120.0, "2026-02-21",
            (1.21, gap, 1.19, gap, *(1.2,) * 12),
        )
        heat = attrs.evolve(
            water, point="W-02-005", medium=Medium.HEAT, rate=0.31, doubt=0.0, weight=6.2,
            nights=tuple(16 * n for n in water.nights),
        )
        stopped = attrs.evolve(heat, point="W-02-010", runs=False, stopped="2026-03-11")
        self.flows = (water, gas, heat)
        self.book.enter([*self.flows, attrs.evolve(stopped, runs=True, stopped="")], LeakNight("2026-03-11"), clock.now())
        self.book.enter([*self.flows, stopped], LeakNight("2026-03-12", (
            MediumNight(Medium.ELECTRICITY, 30, 0, 2, 0, 0, 0), MediumNight(Medium.WATER, 6, 2, 1, 1, 0, 1),
        ), (
            Unknown("W-02-015", Medium.WATER, TooLittle.COARSE, 20, 0.1),
            Unknown("P-01-013", Medium.ELECTRICITY, TooLittle.FEW_NIGHTS, 1, 0.001),
        ), (Standby("P-01-003", 0.31, 0.42), Standby("P-01-004", 0.022, 0.1))), clock.now())
        self.find, self.one, self.of_point = self.book.find, self.book.one, self.book.of_point
        self.counts, self.night = self.book.counts, self.book.night

    def standby(self, point: str) -> Standby | None:
        return next((one for one in self.book.night().standby if one.point == point), None)

    def decide(self, actor: Actor, number: int, was: LeakState | None, state: LeakState, note: str) -> Leak:
        return self.book.decide(actor, number, was, state, note, at=self._clock.now())


class Replacements:
    """The real reckoning over registers that count 900 m³ or kWh in a year."""

    def __init__(self, registry: "FakeRegistry") -> None:
        self._registry, self.known = registry, True

    def _list(self, media: Sequence[Medium]) -> Reckoned:
        def registers(points: Sequence[str], hour: int) -> NDArray[np.float64]:
            size = np.array([int(point[-3:]) if point[-1].isdigit() else 1 for point in points])
            return np.where(size == 2, np.nan, hour * 0.02 * size)

        directory = self._registry.directory
        base = gathered(directory, registers, 492_500, "2026-03-13")
        assert base is not None
        age = np.array([float(point[-2:]) if point[-1].isdigit() else 1.0 for point in base.points])
        suspect = np.where(np.array(base.points) == "W-01-010", 0.5, np.nan)
        return reckoned(attrs.evolve(base, age=age, suspect=suspect), directory.terms_of_medium, media)

    def page(self, media: Sequence[Medium], first: int = 0, size: int = 50) -> ReplacementList:
        return self._list(media).page(first, size) if self.known else ReplacementList("", 0, 0, 0.0, (), ())

    def of_point(self, point: str) -> Replaceable | None:
        found = self._list(tuple(Medium))
        return found.one(found.base.points.index(point)) if point in found.base.points else None

    def example(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return example_curve()


class Events:
    """The real store of events, in a folder of its own."""

    def __init__(self, clock: SiteClock) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path, now = Path(self._folder.name), clock.now()
        said = (
            (Stream.DEVICE, "C02-007", "magnet", "raised", True, "high", None, ""),
            (Stream.DEVICE, "C01-012.ch1", "event_77", "cleared", False, "low", None, ""),
            (Stream.ALARM, "T01/loading", "high", "acknowledged", True, "medium", 93.2, "ana"),
        )
        with closing(open_events(path / EVENT_FILE)) as database:
            store_events(database, [
                KeptEvent(stream, source, kind, state, one, now - one * NS, good, now, severity, value, value, "%", "", by)
                for one, (stream, source, kind, state, good, severity, value, by) in enumerate(said, 1)
            ])
        self.find = EventArchive(path, ReadPool()).find


class World:
    """All of it, wired; `tick` lets a second of the district pass."""

    def __init__(self, clock: SiteClock, reactor: Any, port: int = 8080, *, idle_minutes: int = 480) -> None:
        self.clock = clock
        self.bus = TagBus(clock, reactor)
        self.registry, self.users, self.audit = FakeRegistry(district()), FakeUsers(), FakeAudit(clock)
        self.alarms = FakeAlarms(clock, self.audit)
        self.desk = FakeDesk(clock, self.registry, self.audit)
        self.reading = FakeReading(clock, self.registry, self.audit)
        self.supplies = FakeSupplies(clock, self.registry, self.audit)
        self.mesh = FakeMesh(clock)
        self.network = FakeNetwork(clock, self.mesh)
        self.outages = FakeOutages(clock)
        self.firmware = FakeFirmware(clock, self.registry, self.audit)
        self.cases = Cases(clock, self.audit)
        self.leaks, self.replacements = Leaks(clock, self.audit), Replacements(self.registry)
        self.steps = 0
        for name in ("T01-meter", "T02-meter"):
            self.bus.add_device(Device(name, METER_TAGS, title=name))
        computed = (
            *(TagDef(f"power_active_l{n}", "W", f"Active power L{n}", stale_after=5 * NS) for n in (1, 2, 3)),
            TagDef("loading", "%", "Loading against the nameplate", stale_after=5 * NS),
            TagDef("imbalance_i2_i1", "%", "Current imbalance", stale_after=5 * NS),
            TagDef("imbalance_max_deviation", "%", "Largest deviation", stale_after=5 * NS),
            TagDef("current_neutral_calc", "A", "Neutral current", stale_after=5 * NS),
        )
        for name in ("T01", "T02"):
            self.bus.add_device(Device(name, computed, title=name))
        for module in self.registry.directory.site.modules:
            self.bus.add_device(
                Device(
                    module.name,
                    (TagDef("battery", "V", "Battery", digits=2), TagDef("register_0", "kWh", "Register")),
                    (module.concentrator,),
                )
            )
        self.walkby = FakeWalkby(self.registry, self.audit)
        self.losses = FakeLosses()
        self.folder = tempfile.TemporaryDirectory()
        self.phases = PhaseStudyService(
            self.registry, FakeMetering(clock), Queries(FakeLive(clock), FakeMetering(clock)), FakeBalances(clock),
            self.losses, InThisProcess(), self.audit, clock, None, InlinePool(), ZoneInfo("Europe/Chisinau"),
            Path(self.folder.name),
        )
        self.phases._book.open()
        kept_order(Path(self.folder.name) / FILE, clock.now())
        self.services = Services(
            bus=self.bus,
            registry=self.registry,
            users=self.users,
            audit=self.audit,
            metering=FakeMetering(clock),
            balances=FakeBalances(clock),
            cases=self.cases,
            leaks=self.leaks,
            replacements=self.replacements,
            phases=self.phases,
            phase_orders=self.phases,
            phase_weeks=FakePhaseWeeks(),
            losses=self.losses,
            live=FakeLive(clock),
            voltages=FakeVoltages(),
            history=Queries(FakeLive(clock), FakeMetering(clock)),
            alarms=self.alarms,
            events=Events(clock),
            desk=self.desk,
            reading=self.reading,
            supplies=self.supplies,
            mesh=self.mesh,
            collection=FakeCollection(clock), concentrators=FakeConcentrators(),
            time=FakeTime(clock),
            clock_limits=TimeSettings(),
            network=self.network,
            outages=self.outages,
            firmware=self.firmware,
            walkby=self.walkby,
            group_keys=FakeGroupKeys(self.registry),
            dials=FakeDials(self.registry, clock),
            health=self.health,
            clock=clock,
            site=SiteSettings(name="demo", title="Chișinău, sector Botanica", timezone="Europe/Chisinau"),
            hmi=HmiSettings(port=port, idle_minutes=idle_minutes),
        )
        self.alarms.raise_("T01/loading", "high", Priority.MEDIUM, 93.2, 90.0, "%")
        self.alarms.raise_("C01-013", "module_lost", Priority.LOW)
        self.alarms.raise_("C02-007", "magnet", Priority.HIGH)
        self.more_health: list[Health] = []
        self.meter("T02-meter", 0.4)
        self.tick()

    def health(self) -> list[Health]:
        return [
            Health("dmesh", True, SAID_OF_DMESH, {"links": 1.0}),
            Health("modbus", True, "1 of 1 Modbus devices answer"),
            Health("influx:main", False, SAID_OF_INFLUX),
            *self.more_health,
        ]

    def meter(self, name: str, load: float) -> None:
        step = self.steps
        watts = [load * (52000 + 9000 * k + 3000 * np.sin(step / 9 + k)) for k in range(3)]
        volts = [231.5 - k * 1.7 + np.sin(step / 5 + k) for k in range(3)]
        now = self.clock.now()
        amperes = [w / v / 0.96 for w, v in zip(watts, volts, strict=True)]
        values = [
            *volts,
            *amperes,
            *watts,
            *(w * 0.28 for w in watts),
            *(w / 0.96 for w in watts),
            0.96,
            0.957,
            0.961,
            sum(watts),
            50 + 0.02 * np.sin(step / 3),
            188_321.4 + step * 0.05,
            0.0,
            25.1,
        ]
        self.bus.publish(Batch(name, np.array(values), np.zeros(len(values), dtype=np.uint8), now, now))
        computed = [*watts, sum(watts) / 0.96 / 250_000 * 100, 12.4 + np.sin(step / 4), 17.9, 24.0 + 2 * np.sin(step / 6)]
        self.bus.publish(Batch(name.partition("-")[0], np.array(computed), np.zeros(7, dtype=np.uint8), now, now))

    def tick(self) -> None:
        self.steps += 1
        self.meter("T01-meter", 1.0)
        self.bus.sweep()
        self.desk.step()
        self.reading.step()
        self.firmware.step()
        self.supplies.step()
