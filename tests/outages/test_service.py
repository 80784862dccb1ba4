"""The outage service beside the real alarm service: one alarm for many, nothing lost, all of it after a restart too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from scada.alarms.book import Book, Condition
from scada.alarms.service import AlarmService
from scada.bus import TagBus
from scada.clock import NS
from scada.errors import StorageError
from scada.events import DeviceEvent, EventCode
from scada.outage import Scope
from scada.outages.service import FIRST_S, OutageService
from scada.ports import AlarmState, Priority
from scada.site import Consumer, MeshNeighbour, ModuleState, Point, Site
from scada.tags import Batch, Device, TagDef
from tests.alarms.test_service import ENGINEER, Field, MemoryAudit
from tests.fakes import NOON, InlinePool, LoopClock, site_clock
from tests.mesh.world import EUI, Monitor, node, site, view
from tests.metering.world import FixedRegistry

TREE = (node(1, 0, 1), node(2, 1, 2), node(3, 2, 3), node(4, 0, 1), node(5, 4, 2), node(6, 4, 2))


def inhabited() -> Site:
    """Every module serves a flat; 5 and 6 serve the same one."""
    bare = site()
    points = tuple(Point(f"P{n}", medium="electricity", consumer=f"K{min(n, 5)}") for n in range(1, 7))  # type: ignore[arg-type]
    return attrs.evolve(bare, points=points, consumers=tuple(Consumer(f"K{n}") for n in range(1, 6)))


class Trees:
    """A NetworkMonitor by hand: through whom modules were heard, by (EUI, when they were lost)."""

    def __init__(self) -> None:
        self.relays: dict[tuple[int, int], int] = {}
        self.asked: list[int] = []
        self.broken = False

    def through(self, concentrator: str, moments: Mapping[int, int]) -> Mapping[int, int]:
        if self.broken:
            raise StorageError("the disk is gone")
        self.asked += moments
        return {eui: self.relays[eui, at] for eui, at in moments.items() if (eui, at) in self.relays}


class Bench:
    def __init__(self, folder: Path, *, tree: tuple[Any, ...] = TREE) -> None:
        self.reactor, self.monitor, self.field = LoopClock(), Monitor(), Field()
        self.clock = site_clock(self.reactor)
        self.bus = TagBus(self.clock, self.reactor)
        self.registry = registry = FixedRegistry(inhabited())
        pool: Any = InlinePool()
        self.trees: Any = Trees()
        self.alarms = AlarmService(
            self.bus, self.field, registry, MemoryAudit(), self.bus.of("alarms"), self.clock, self.reactor, folder, pool
        )
        self.outages = OutageService(
            self.bus, self.monitor, self.field, registry, self.alarms, self.bus.of("outages"), self.clock, self.reactor,
            folder, pool, self.trees,
        )
        self.alarms.start()
        self.outages.start()
        self.sequence = 0
        if tree:
            self.monitor.report(view(*tree))
            self.monitor.report(view(name="C02"))
        self.pass_(1)

    def pass_(self, seconds: int) -> None:
        self.reactor.pump([1.0] * seconds)

    def say(self, code: EventCode, *devices: str, raised: bool = True) -> list[Any]:
        self.sequence += len(devices)
        now = self.clock.now()
        return self.field.deliver(*(
            DeviceEvent(one, code, raised, now, True, self.sequence - n) for n, one in enumerate(devices)
        ))

    def stop(self) -> None:
        self.outages.stop()
        self.alarms.stop()

    def shown(self) -> dict[str, AlarmState]:
        return {one.id: one.state for one in self.alarms.active()}

    def hidden(self) -> set[str]:
        return {one.id for one in self.alarms.suppressed()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_lost_relay_is_one_alarm_and_its_subtree_is_under_it(bench: Bench) -> None:
    bench.say(EventCode.MODULE_LOST, "C01-001", "C01-002", "C01-003")
    at_once = set(bench.shown())
    bench.pass_(30)
    (outage,) = bench.outages.open()
    (parent,) = bench.alarms.active()

    assert len(at_once) == 3
    assert (outage.scope, outage.subject, outage.consumers, outage.left, outage.area) == (
        Scope.RELAY, "C01-001", 3, 3, "south",
    )
    assert outage.members == ("C01-001", "C01-002", "C01-003")
    assert (parent.id, parent.area, parent.priority) == ("C01-001:outage_relay", "south", Priority.MEDIUM)
    assert bench.hidden() == {f"C01-00{n}:module_lost" for n in (1, 2, 3)}
    assert bench.bus.snapshot().get("Alarms/suppressed")[0] == 3
    assert bench.bus.snapshot().get("Outages/consumers")[0] == 3
    assert bench.bus.snapshot().get("Alarm.C01-001/kind_code")[0] in (8, 121)


def test_a_lost_relay_is_told_by_the_tree_that_its_subtree_was_last_heard_in(bench: Bench) -> None:
    """By the hour in which they are called lost, who is silent hangs on nothing, and others have found another way."""
    bench.pass_(60)
    now = bench.clock.now()
    bench.trees.relays = {(EUI + n, now): relay for n, relay in ((1, 0), (2, EUI + 1), (3, EUI + 2))}
    bench.monitor.report(view(*(node(n, 0, 0) for n in (1, 2, 3)), *TREE[3:]))
    bench.say(EventCode.MODULE_LOST, "C01-001", "C01-002", "C01-003")
    bench.pass_(100)
    (outage,) = bench.outages.open()

    assert (outage.scope, outage.subject, outage.left) == (Scope.RELAY, "C01-001", 3)
    assert sorted(bench.trees.asked) == [EUI + 1, EUI + 2, EUI + 3]         # once for a loss, however long it lasts


def test_a_history_that_cannot_be_read_leaves_the_last_report(bench: Bench) -> None:
    bench.trees.broken = True
    bench.say(EventCode.MODULE_LOST, "C01-001", "C01-002", "C01-003")
    bench.pass_(30)
    (outage,) = bench.outages.open()

    assert (outage.scope, outage.subject, outage.left) == (Scope.RELAY, "C01-001", 3)


@pytest.mark.parametrize("state", [ModuleState.REPLACED, ModuleState.RETIRED])
def test_a_lost_module_that_left_service_is_no_outage_and_leaves_no_sign(bench: Bench, state: ModuleState) -> None:
    """Its index may be another module's by now: nobody would ever say that it is back."""
    bench.say(EventCode.MODULE_LOST, "C01-003", "C01-004")
    bench.pass_(30)
    before = len(bench.outages.open())
    content = bench.registry.directory.site
    modules = tuple(attrs.evolve(one, state=state) if one.name == "C01-003" else one for one in content.modules)
    bench.registry.replace(attrs.evolve(content, modules=modules, generation=content.generation + 1))
    bench.pass_(90)
    store = bench.outages._store
    assert store is not None

    assert before == 2
    assert [one.subject for one in bench.outages.open()] == ["C01-004"]
    assert bench.shown() == {"C01-003:module_lost": AlarmState.RETURNED, "C01-004:module_lost": AlarmState.UNACKNOWLEDGED}
    assert set(store.load()[1]) == {("C01-004", EventCode.MODULE_LOST)}


def test_what_still_holds_when_the_parent_clears_is_shown_again_and_what_ended_needs_nobody(bench: Bench) -> None:
    """Suppressed, not deleted; and after the outage nobody has to acknowledge two hundred ends."""
    bench.say(EventCode.MODULE_LOST, "C01-001", "C01-002", "C01-003")
    bench.pass_(30)
    bench.say(EventCode.MODULE_LOST, "C01-001", "C01-002", raised=False)
    bench.pass_(90)

    assert bench.hidden() == set()
    assert bench.shown() == {
        "C01-001:outage_relay": AlarmState.RETURNED, "C01-003:module_lost": AlarmState.UNACKNOWLEDGED,
    }
    assert [one.scope for one in bench.outages.open()] == [Scope.MODULE]
    (over,) = bench.outages.history()
    assert (over.scope, over.left, over.until > over.since) == (Scope.RELAY, 0, True)


def test_a_dark_building_takes_over_from_the_modules_that_spoke_first(bench: Bench) -> None:
    bench.say(EventCode.POWER_DOWN, "C01-002")
    bench.pass_(30)
    first = [(one.scope, one.subject) for one in bench.outages.open()]
    bench.say(EventCode.POWER_DOWN, *(f"C01-00{n}" for n in (1, 3, 4, 5, 6)))
    bench.pass_(40)
    (outage,) = bench.outages.open()
    (over,) = bench.outages.history()

    assert first == [(Scope.MODULE, "C01-002")]
    assert (outage.scope, outage.subject, outage.consumers) == (Scope.BUILDING, "B1", 5)
    assert set(bench.shown()) == {"Outage.B1:outage_building"}
    assert over.merged == outage.id


def test_a_link_that_is_down_is_an_outage_and_a_module_heard_by_another_is_not_named(bench: Bench) -> None:
    bench.pass_(10)
    bench.monitor.report(view(*TREE, link_up=False))
    bench.pass_(10)
    heard = MeshNeighbour(EUI + 3, bench.clock.now(), -90.0, 0, 1)
    bench.monitor.report(view(name="C02", overheard=(heard,)))
    bench.pass_(20)
    (outage,) = bench.outages.open()

    assert (outage.scope, outage.subject, outage.left) == (Scope.BACKHAUL, "C01", 5)
    assert "C01-003" not in outage.members
    assert set(bench.shown()) == {"C01:outage_backhaul"}
    bench.monitor.report(view(*TREE, link_up=True))
    bench.pass_(80)
    assert bench.outages.open() == ()


def test_a_short_silence_is_no_outage(bench: Bench) -> None:
    bench.monitor.report(view(*TREE, link_up=False))
    bench.pass_(10)
    bench.monitor.report(view(*TREE, link_up=True))
    bench.pass_(60)

    assert bench.outages.open() == bench.outages.history() == ()
    assert bench.shown() == {}


def test_an_outage_outlives_a_restart_of_the_server(bench: Bench, tmp_path: Path) -> None:
    """The field does not repeat what was acknowledged, and no concentrator has come back yet."""
    bench.say(EventCode.MODULE_LOST, "C01-001", "C01-002", "C01-003")
    bench.pass_(30)
    before = bench.outages.open()
    bench.stop()
    again = Bench(tmp_path, tree=())
    again.pass_(100)
    blind = again.outages.open()
    again.monitor.report(view(*TREE))
    again.pass_(100)

    assert blind == before == again.outages.open()
    assert len(again.hidden()) == 3
    again.say(EventCode.MODULE_LOST, "C01-001", "C01-002", "C01-003", raised=False)
    again.pass_(100)
    assert again.outages.open() == ()
    assert again.shown() == {"C01-001:outage_relay": AlarmState.RETURNED}


def test_an_alarm_whose_outage_was_never_stored_is_let_go_at_the_start(bench: Bench, tmp_path: Path) -> None:
    bench.alarms.hold("C01", "outage_backhaul", "south", bench.clock.now(), {"C01-001"})
    bench.say(EventCode.MODULE_LOST, "C01-001")
    hidden = bench.hidden()
    bench.stop()
    again = Bench(tmp_path, tree=())

    assert hidden == {"C01-001:module_lost"}
    assert again.hidden() == set()
    assert again.shown()["C01:outage_backhaul"] is AlarmState.RETURNED
    assert again.shown()["C01-001:module_lost"] is AlarmState.UNACKNOWLEDGED


def test_a_concentrator_that_never_came_is_an_outage_once_it_has_had_its_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tree=())
    bench.monitor.held["C01"] = view(*TREE, link_up=False)
    bench.monitor.report(view(name="C02"))
    bench.pass_(60)
    early = bench.outages.open()
    bench.reactor.advance(FIRST_S)
    bench.pass_(60)

    assert early == ()
    assert [(one.scope, one.subject) for one in bench.outages.open()] == [(Scope.BACKHAUL, "C01")]


def test_a_battery_that_was_low_is_named_as_the_cause(bench: Bench) -> None:
    bench.say(EventCode.BATTERY_LOW, "C01-003")
    bench.pass_(40)
    quiet = bench.outages.open()
    bench.say(EventCode.MODULE_LOST, "C01-003")
    bench.pass_(40)
    (outage,) = bench.outages.open()

    assert quiet == ()
    assert outage.cause == "the battery of C01-003 is likely dead"
    assert "C01-003:module_lost" in bench.shown()


def test_the_power_down_bit_of_a_last_hour_is_a_word_of_whoever_went_silent(bench: Bench) -> None:
    """Two branches of a building went silent with that bit: the building is dark. A bit alone is a thing of the past."""
    for n in range(1, 7):
        name = f"C01-00{n}.ch0"
        bench.bus.of("metering").add_device(Device(name, (TagDef("hour_status"),), ("C01",)))
        bench.bus.of("metering").publish(Batch(name, np.array([128.0]), np.zeros(1, dtype=np.uint8), (NOON - 3600) * NS, 1))
    bench.pass_(60)
    quiet = bench.outages.open()
    bench.say(EventCode.MODULE_LOST, *(f"C01-00{n}" for n in range(1, 7)))
    bench.pass_(60)
    (outage,) = bench.outages.open()

    assert quiet == ()
    assert (outage.scope, outage.subject, outage.left) == (Scope.BUILDING, "B1", 6)
    assert "6 of them said that their supply was lost" in outage.evidence[0]
    bench.monitor.report(view(name="C02", overheard=(MeshNeighbour(EUI + 1, bench.clock.now(), -90.0, 0, 1),)))
    bench.pass_(10)
    assert bench.outages.open()[0].left == 5                # whoever is heard since has not fallen silent


def test_nothing_is_hidden_behind_an_alarm_that_was_let_go(bench: Bench) -> None:
    bench.alarms.hold("X", "outage_building", "", NOON * NS, {"C01-001"})
    bench.alarms.let_go("X", "outage_building")
    bench.say(EventCode.MODULE_LOST, "C01-001")

    assert bench.hidden() == set()
    assert "C01-001:module_lost" in bench.shown()


def test_a_book_that_has_no_room_for_the_parent_hides_no_child() -> None:
    """Nothing is hidden behind an alarm that nobody sees."""
    book = Book()
    book.cover("Outage.B1:outage_building", {"C01-001"}, 1)
    shown = book.raised(Condition("C01-001", "module_lost"), 2)

    assert shown is not None
    assert shown.suppressed_by == ""


def test_only_what_says_no_more_is_suppressed(bench: Bench) -> None:
    """A magnet in a dark building is still a thief."""
    bench.alarms.hold("Outage.B1", "outage_building", "", NOON * NS, {"C01-001", "C01-002"})
    bench.say(EventCode.MAGNET, "C01-001")
    bench.say(EventCode.POWER_DOWN, "C01-002")
    bench.alarms.acknowledge(ENGINEER, "Outage.B1:outage_building")

    assert bench.hidden() == {"C01-002:power_down"}
    assert set(bench.shown()) == {"C01-001:magnet", "Outage.B1:outage_building"}


def test_a_disk_that_refuses_signs_keeps_them_with_the_field(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is acknowledged to the field when every listener has it durably."""
    store = bench.outages._store
    assert store is not None

    def broken(_: Any) -> None:
        raise OSError("full")

    monkeypatch.setattr(store, "take", broken)
    results = bench.say(EventCode.MODULE_LOST, "C01-001")

    assert len(results) == 2
    assert any(isinstance(getattr(one, "value", None), OSError) for one in results)
