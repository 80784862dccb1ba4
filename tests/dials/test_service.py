"""The service: offsets follow the registry and the readings, what is due is counted, a dial that disagrees is an alarm."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from scada.clock import NS
from scada.dial import Cause, DialReading, DialSource, Due, Verdict, read_dial
from scada.dials.readings import Readings, choose, grown
from scada.dials.service import DialService
from scada.errors import StorageError
from scada.intervals import MISSING, IntervalSeries, Mark
from scada.settings import DialSettings
from scada.site import Concentrator, Directory, Medium, MeterPeriod, Module, ModuleState, Point, Site
from scada.tags import Batch, Device
from tests.fakes import NOON, InlinePool, LoopClock, site_clock

HOUR = NOON // 3600
DAY = 24


class Store:
    """Registers of four modules: 100 pulses an hour each since `HOUR` - 1000; hours from `until` on have not come."""

    def __init__(self) -> None:
        self.until = HOUR
        self.told: list[Callable[[Mark], None]] = []
        self.reads = 0

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        return eui.astype(np.int64) - 1

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        self.reads += 1
        known = hour <= self.until
        return np.full(len(slots), (hour - HOUR + 1000) * 100 if known else MISSING, dtype=np.int64)

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        return IntervalSeries(first_hour, 3600, np.full((len(slots), hours), 100), np.zeros((len(slots), hours), np.uint8))

    def subscribe(self, listener: Callable[[Mark], None]) -> Callable[[], None]:
        self.told.append(listener)
        return lambda: self.told.remove(listener)

    def come(self, until: int) -> None:
        self.until = until
        for listener in self.told:
            listener(Mark(np.array([0]), until, 1))


class Rows:
    def __init__(self) -> None:
        self.rows: list[DialReading] = []
        self.broken = False

    def after(self, number: int, size: int = 100) -> tuple[DialReading, ...]:
        if self.broken:
            raise StorageError("registry: the database could not be read: locked")
        return tuple(self.rows[number:number + size])

    def say(self, point: str, hours: float, dial: str, source: DialSource = DialSource.INSPECTION) -> None:
        at = round((NOON + hours * 3600) * NS)
        self.rows.append(DialReading(point, "S", at, read_dial(dial), source, "ana", number=len(self.rows) + 1))


class Registry:
    def __init__(self, site: Site) -> None:
        self.directory, self.dials = Directory(site), Rows()


class Alarms:
    def __init__(self) -> None:
        self.holding: dict[tuple[str, str], tuple[str, int]] = {}

    def hold(self, source: str, kind: str, area: str, at: int, devices: Iterable[str]) -> None:
        self.holding[source, kind] = (area, at)

    def let_go(self, source: str, kind: str) -> None:
        self.holding.pop((source, kind), None)

    def held(self, prefix: str) -> tuple[tuple[str, str], ...]:
        return tuple(one for one in self.holding if one[1].startswith(prefix))


class Sink:
    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.last: Batch | None = None

    def add_device(self, device: Device) -> None:
        self.devices.append(device)

    def publish(self, batch: Batch) -> None:
        self.last = batch

    @property
    def counts(self) -> dict[str, int]:
        assert self.last is not None
        return {tag.point: int(value) for tag, value in zip(self.devices[0].tags, self.last.values, strict=True)}


@attrs.define
class Stand:
    reactor: LoopClock
    store: Store
    registry: Registry
    alarms: Alarms
    sink: Sink
    service: DialService

    def pass_(self, seconds: float = 2.0) -> None:
        for _ in range(max(1, round(seconds / 2))):
            self.reactor.advance(2.0)

    def one(self, point: str) -> dict[str, Any]:
        table = self.service.table()
        row = [one.point for one in table.periods].index(point)
        return {
            "offset": float(table.offset[row]), "verdict": Verdict(int(table.comparison.verdict[row])),
            "cause": Cause(int(table.comparison.cause[row])), "due": Due(int(table.due[row])),
            "expected": float(table.comparison.expected[row]), "last_at": int(table.last_at[row]),
        }


def site(*starts: float | None, begin: int = HOUR - 1000) -> Site:
    count = range(1, len(starts) + 1)
    return Site(
        concentrators=(Concentrator("C", 1, area="north"),),
        modules=tuple(Module(n, f"m{n}", "C", n, ModuleState.ACTIVE) for n in count),
        points=tuple(Point(f"P{n}", Medium.ELECTRICITY) for n in count),
        meters=tuple(
            MeterPeriod("S", f"P{n}", n, 0, 1000.0, begin, None, start) for n, start in zip(count, starts, strict=True)
        ),
        generation=1,
    )


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """P1 with a start register of 50 kWh, P2 and P3 without."""
    reactor, store, registry, alarms, sink = LoopClock(), Store(), Registry(site(50.0, None, None)), Alarms(), Sink()
    parts: Sequence[Any] = (registry, store, store, alarms, sink, site_clock(reactor), reactor, tmp_path, InlinePool())
    service = DialService(DialSettings(), *parts)
    service.start()
    return Stand(reactor, store, registry, alarms, sink, service)


def test_the_dial_is_the_register_and_an_offset(stand: Stand) -> None:
    """From the start register without any reading; of a meter nobody has read nothing is known."""
    np.testing.assert_allclose(stand.service.dial(["P1", "P2", "P9"], HOUR), [150.0, np.nan, np.nan])
    assert stand.one("P1")["offset"] == pytest.approx(50.0)
    assert stand.one("P2")["due"] is Due.NEVER_READ
    assert stand.sink.counts["never_read"] == 2


def test_the_installers_reading_goes_before_the_start_register(stand: Stand) -> None:
    """It knows its minute: half an hour into the period 50 pulses were counted already."""
    stand.registry.dials.say("P1", -999.5, "00050.0", DialSource.INSTALLER)
    stand.pass_()

    assert stand.one("P1")["offset"] == pytest.approx(50.0 - 0.05)
    assert stand.service.dial(["P1"], HOUR)[0] == pytest.approx(149.95)


def test_a_dial_that_disagrees_is_an_alarm_until_one_agrees(stand: Stand) -> None:
    """The alarm belongs to the channel, in the area of its concentrator, since the reading."""
    stand.registry.dials.say("P1", -10, "00179.0")
    stand.pass_()
    first, raised = stand.one("P1"), dict(stand.alarms.holding)
    stand.registry.dials.say("P1", -5, "00149.5")
    stand.pass_()

    assert (first["verdict"], first["cause"]) == (Verdict.MISMATCH, Cause.MISSED_PULSES)
    assert raised == {("m1.ch0", "dial_mismatch"): ("north", round((NOON - 36_000) * NS))}
    assert stand.one("P1")["verdict"] is Verdict.OK
    assert stand.alarms.holding == {}


def test_alarms_of_an_earlier_life_end_when_nothing_disagrees_any_more(stand: Stand) -> None:
    stand.alarms.holding["gone.ch0", "dial_mismatch"] = ("", 0)
    stand.registry.dials.say("P1", -10, "00149.0")
    stand.pass_()

    assert stand.alarms.holding == {}


def test_a_reading_waits_for_its_hours_and_is_compared_when_they_come(stand: Stand) -> None:
    """Not a word before; and the store is not read over and over meanwhile."""
    stand.registry.dials.say("P1", 0.5, "00150.0")
    stand.pass_()
    before, reads = stand.one("P1")["verdict"], stand.store.reads
    stand.pass_(60)
    idle = stand.store.reads - reads
    stand.store.come(HOUR + 1)
    stand.pass_(60)

    assert before is Verdict.WAITING
    assert idle == 0
    assert stand.one("P1")["verdict"] is Verdict.OK


def test_the_store_is_asked_once_for_each_reading(stand: Stand) -> None:
    """A city's readings are not looked up anew because one more came; after a change of the module they are."""
    stand.registry.dials.say("P2", -20.5, "00010.0")
    stand.pass_()
    stand.store.reads = 0
    stand.registry.dials.say("P2", -9.5, "00011.1")
    stand.pass_()
    one_more = stand.store.reads
    changed = site(50.0, None, None)
    changed = attrs.evolve(changed, generation=2, meters=tuple(
        attrs.evolve(one, eui=one.eui % 3 + 1) for one in changed.meters
    ))
    stand.store.reads = 0
    stand.registry.directory = Directory(changed)
    stand.pass_()

    assert one_more == 2 + 1            # both ends of its hour, and the start register of P1
    assert stand.store.reads == 4 + 1
    assert stand.one("P2")["verdict"] is Verdict.OK


def test_what_was_read_before_a_meter_was_changed_says_nothing_of_the_new_one(stand: Stand) -> None:
    """A swap in the registry begins a period with a start register of its own."""
    stand.registry.dials.say("P1", -10, "00849.0")
    stand.pass_()
    stand.registry.directory = Directory(attrs.evolve(site(7.0, None, None, begin=HOUR - 5), generation=2))
    stand.pass_()

    assert stand.alarms.holding == {}
    assert stand.one("P1")["verdict"] is Verdict.UNKNOWN
    assert stand.service.dial(["P1"], HOUR)[0] == pytest.approx(7.5)


def test_a_dial_is_due_again_after_a_year_and_soon_a_month_before(stand: Stand) -> None:
    """Counted from the newest reading, or from the installation."""
    stand.registry.dials.say("P2", -24 * 366, "00010.0")
    stand.registry.dials.say("P3", -24 * 340, "00010.0")
    stand.registry.directory = Directory(attrs.evolve(site(50.0, None, None, begin=HOUR - 24 * 400), generation=2))
    stand.pass_()

    assert [stand.one(f"P{n}")["due"] for n in (1, 2, 3)] == [Due.OVERDUE, Due.OVERDUE, Due.SOON]
    assert (stand.sink.counts["overdue"], stand.sink.counts["soon"]) == (2, 1)


def test_a_registry_that_cannot_be_read_is_said_and_tried_again(stand: Stand) -> None:
    """What was known stays."""
    stand.registry.dials.broken = True
    stand.pass_()
    (told,) = stand.service.health()
    stand.registry.dials.broken = False
    stand.pass_()
    (well,) = stand.service.health()

    assert (told.ok, told.text) == (False, "dials could not be compared; it is tried again")
    assert well.ok
    assert stand.one("P1")["offset"] == pytest.approx(50.0)


def test_a_correction_counts_and_the_row_before_it_does_not() -> None:
    """Of the same instant the later row; the first, the last, and the one before the last of each period."""
    rows = Rows()
    for hours, dial in ((0, "8"), (9, "7"), (0, "1"), (5, "2"), (9, "3")):
        rows.say("P", hours, dial)
    rows.say("Q", 3, "7")
    held = grown(grown(Readings(), rows.rows[:2]), rows.rows[2:])
    found = choose(held, np.array([0, 1, -1]), np.full(3, NOON * NS, dtype=np.int64))

    assert [held.value[row] for row in (found.first[0], found.before[0], found.last[0])] == [1.0, 2.0, 3.0]
    assert (held.value[found.first[1]], found.before[1], found.last[1]) == (7.0, -1, found.first[1])
    assert (found.first[2], found.last[2]) == (-1, -1)
    later = choose(held, np.array([0, 1, -1]), np.full(3, (NOON + 6 * 3600) * NS, dtype=np.int64))
    assert [held.value[row] for row in later.first[:1]] == [3.0]
    assert later.first[1] == -1
