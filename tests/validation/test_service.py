"""The service around it: an alarm for each meter that cannot be believed; a look that failed changes nothing."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pytest

from scada.clock import HOUR_S
from scada.ports import Consumption, ResultTable
from scada.site import (
    BalanceGroup,
    BalanceMember,
    Concentrator,
    Directory,
    Medium,
    MemberRole,
    MeterPeriod,
    Module,
    ModuleState,
    Point,
    Site,
)
from scada.tags import Quality
from scada.validation.findings import findings
from scada.validation.service import ValidationService
from tests.fakes import NOON, InlinePool, LoopClock, site_clock
from tests.metering.world import FixedRegistry

HOUR = NOON // HOUR_S
N = 12


def site() -> Site:
    modules = tuple(Module(0xA0 + n, f"C01-{n:03d}", "C01", n, ModuleState.ACTIVE) for n in range(1, N + 1))
    return Site(
        concentrators=(Concentrator("C01", 1, area="north"),), modules=modules,
        points=tuple(Point(f"P{n}", Medium.ELECTRICITY) for n in range(1, N + 1)),
        meters=tuple(MeterPeriod(f"S{n}", f"P{n}", 0xA0 + n, 0, 1000.0, HOUR - 5000) for n in range(1, N + 1)),
        balance_groups=(
            BalanceGroup("BG", Medium.ELECTRICITY, feed_tag="T/e", members=tuple(f"P{n}" for n in range(1, N + 1))),
        ),
    )


class World:
    """Three weeks of hours of twelve meters; `factor` is what each shows of what is true, `broken` fails every reading."""

    def __init__(self) -> None:
        self.true = np.random.default_rng(5).uniform(0.1, 1.0, (N, 2000))
        self.factor = np.ones((N, 2000))
        self.lost, self.computed = np.zeros(2000), np.full(2000, np.nan)     # in the cables, and what is known of it
        self.broken = False

    def _part(self, first: int, hours: int) -> slice:
        return slice(first - HOUR + 1000, first - HOUR + 1000 + hours)

    def hourly(self, points: Sequence[str], first: int, hours: int) -> Consumption:
        if self.broken:
            raise RuntimeError("the disk is gone")
        rows = [int(one[1:]) - 1 for one in points]
        values = (self.true * self.factor)[rows, self._part(first, hours)]
        quality = np.full(values.shape, Quality.GOOD, np.uint8)
        return Consumption(tuple(points), first, values, quality, ("kWh",) * len(points))

    def table(self, group: str, span_s: int, first: int, last: int) -> ResultTable:
        part = self._part(first // HOUR_S, (last - first) // HOUR_S)
        feed, members = (self.true.sum(axis=0) + self.lost)[part], (self.true * self.factor).sum(axis=0)[part]
        if span_s != HOUR_S:
            day = {"feed": 100.0, "imbalance": 1.0, "imbalance_percent": 1.0, "uncertainty": 1.0, "completeness": 1.0}
            return ResultTable(np.array([first]), {name: np.array([value]) for name, value in day.items()})
        start = np.arange(first, last, HOUR_S)
        return ResultTable(start, {
            "feed": feed, "imbalance": feed - members, "uncertainty": 0.02 * feed, "technical": self.computed[part],
        })


class Alarms:
    def __init__(self) -> None:
        self.now: dict[tuple[str, str], tuple[str, str]] = {}

    def hold(self, source: str, kind: str, area: str, at: int, devices: Any, detail: str = "") -> None:
        self.now[source, kind] = (area, detail)

    def let_go(self, source: str, kind: str) -> None:
        del self.now[source, kind]

    def held(self, prefix: str) -> tuple[tuple[str, str], ...]:
        return tuple(one for one in self.now if one[1].startswith(prefix))


@pytest.fixture
def world() -> World:
    return World()


def found(world: World) -> dict[tuple[str, str], str]:
    made: Any = world
    return {(one.source, one.kind): one.detail for one in findings(Directory(site()), made, made, HOUR)}


def test_a_healthy_site_has_no_findings(world: World) -> None:
    """Nobody stands still, nobody is followed."""
    assert found(world) == {}


def test_a_doubled_meter_and_one_that_stands_still_are_named_each_by_its_own_sign(world: World) -> None:
    """With how much and for how long; the one that shows nothing is known by its past, not by the balance."""
    world.factor[3, 1000 - 60:1000] = 2.0
    world.factor[7, 1000 - 15:1000] = 0.0
    said = found(world)

    assert set(said) == {("C01-004.ch0", "meter_too_much"), ("C01-008.ch0", "meter_stuck")}
    assert said["C01-008.ch0", "meter_stuck"].startswith("nothing counted for 15 h; before that never")
    factor = float(said["C01-004.ch0", "meter_too_much"].split("about ")[1].split(" of")[0])
    assert abs(factor - 2.0) < 0.5


@pytest.mark.parametrize(("unknown", "named"), [(slice(0), False), (slice(None, None, 2), True), (slice(None), True)])
def test_what_the_cable_to_somebody_loses_is_not_held_against_his_meter(world: World, unknown: slice, named: bool) -> None:
    """Where it is computed for all hours that are looked at; for half of them it would be a step."""
    world.lost[1000 - 72:1000] = 0.3 * world.true[3, 1000 - 72:1000]
    world.computed[1000 - 72:1000] = world.lost[1000 - 72:1000]
    world.computed[1000 - 72:1000][unknown] = np.nan

    assert (("C01-004.ch0", "meter_too_little") in found(world)) == named


def test_the_past_of_another_meter_is_not_held_against_a_new_one(world: World) -> None:
    """A meter that hangs there since yesterday has no past to stand still against."""
    world.factor[7, 1000 - 15:1000] = 0.0
    fresh = MeterPeriod("S8b", "P8", 0xA8, 0, 1000.0, HOUR - 20)
    base = site()
    meters = tuple(one for one in base.meters if one.point != "P8")
    changed: Any = world
    said = findings(Directory(attrs.evolve(base, meters=(*meters, fresh))), changed, changed, HOUR)

    assert [one for one in said if one.kind == "meter_stuck"] == []


def test_an_alarm_is_held_while_it_is_so_and_let_go_when_it_is_not(world: World) -> None:
    """One look an hour, some time after it; a look that fails changes nothing and is tried again."""
    reactor, alarms = LoopClock(), Alarms()
    clock, made, pool = site_clock(reactor, rate=60.0), world, InlinePool()
    anything: Any = made
    holder: Any = alarms
    inline: Any = pool
    service = ValidationService(FixedRegistry(site()), anything, anything, holder, clock, reactor, inline)
    service.start()
    world.factor[7, 1000 - 15:1001] = 0.0
    reactor.pump([1.0] * 32)                                # half an hour of site time
    first = dict(alarms.now)
    world.broken = True
    reactor.pump([1.0] * 60)
    (failing,) = service.health()
    kept = dict(alarms.now)
    world.broken = False
    world.factor[7, 1001:] = 1.0
    reactor.pump([1.0] * 60)
    (well,) = service.health()
    service.stop()

    assert list(first) == [("C01-008.ch0", "meter_stuck")]
    assert first["C01-008.ch0", "meter_stuck"][0] == "north"
    assert (kept, failing.ok) == (first, False)
    assert (alarms.now, well.ok, well.figures["meters"]) == ({}, True, 0)


def test_a_group_with_generation_and_a_child_tells_of_its_other_meters_and_of_the_childs(world: World) -> None:
    """P1 generates, P2 leaves in between, P3 feeds a house: of these only the feed is followed, and P5 as ever."""
    members = tuple(f"P{n}" for n in range(4, N + 1))
    house = BalanceGroup("HOUSE", Medium.ELECTRICITY, feed_point="P3")
    group = attrs.evolve(site().balance_groups[0], members=(*members, "HOUSE"))
    directory = Directory(attrs.evolve(site(), balance_groups=(group, house), balance_members=(
        BalanceMember("BG", "P1", role=MemberRole.GENERATION), BalanceMember("BG", "P2", 0, HOUR - 20),
    )))
    def named(*wrong: int) -> list[str]:
        world.factor[:] = 1.0
        world.factor[list(wrong), 900:] = 0.5
        return sorted({one.source for one in findings(directory, world, world, HOUR)})    # type: ignore[arg-type]

    assert named(2, 4) == ["C01-003.ch0", "C01-005.ch0"]
    assert named(0) == named(1) == []
