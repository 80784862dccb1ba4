"""Completeness of groups and modules: the right hours, and a bounded number of tags."""

from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from scada.clock import DAY_H
from scada.drivers.dmesh import parts
from scada.drivers.dmesh.collection import DAYS, channels_of, look
from scada.drivers.dmesh.completeness import Completeness
from scada.drivers.dmesh.coverage import Coverage
from scada.drivers.dmesh.owing import Owing
from scada.intervals import MISSING
from scada.site import BalanceGroup, Directory, Medium, MeterPeriod, Module, ModuleState, Point
from scada.tags import Batch, Device
from tests.drivers.dmesh.peers import HOUR, LINK_ID, RegistryBook, run_now
from tests.drivers.dmesh.test_collection import Held
from tests.fakes import site_clock

DAY = HOUR // DAY_H
DEPTH = 20
EDGES = tuple((DAY - back) * DAY_H for back in range(DAYS - 1, -2, -1))
EUI = 0xD100_0000


class Sink:
    """A `TagSink` that remembers."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.batches: list[Batch] = []

    def add_device(self, device: Device) -> None:
        self.devices[device.name] = device

    def publish(self, batch: Batch) -> None:
        self.batches.append(batch)

    def last(self, device: str) -> list[float]:
        return [batch for batch in self.batches if batch.device == device][-1].values.tolist()


def covered(holes: dict[int, list[int]], slots: int = 4) -> Coverage:
    """Everything of the last 25 days but some hours of yesterday, by slot."""
    coverage = Coverage(DEPTH + 8)
    coverage.advance(DAY)
    for back in range(25):
        counts = np.full((slots, 24), 3, dtype=np.int64)
        for slot, hours in holes.items() if back == 1 else ():
            counts[slot, hours] = MISSING
        coverage.enter(np.arange(slots), (DAY - back) * DAY_H, counts)
    return coverage


def picture(coverage: Coverage, modules: int = 2) -> Any:
    """Modules of two channels each, whose slots follow one another."""
    channels = channels_of([(index, EUI + index, 2) for index in range(1, modules + 1)], np.full(modules, HOUR))
    return look(channels, np.arange(2 * modules), coverage, DAY * DAY_H + 10, DEPTH, EDGES)


@given(holes=st.dictionaries(st.integers(0, 3), st.lists(st.integers(0, 23), max_size=9, unique=True)))
def test_what_modules_lack_is_what_their_concentrator_lacks(holes: dict[int, list[int]]) -> None:
    """Summed over the modules, in every period."""
    seen = picture(covered(holes))
    found = parts.of_modules(seen, DEPTH)

    assert found.missing.sum() == seen.missing == sum(len(hours) for hours in holes.values())
    for number, (due, lack) in enumerate(zip(found.due.sum(axis=1), found.lack.sum(axis=1), strict=True)):
        share = seen.shares[number]
        assert 1 - lack / due == pytest.approx(share)


def completeness(limit: int) -> tuple[Completeness, Sink, RegistryBook, Clock]:
    sink, registry, reactor = Sink(), RegistryBook(), Clock()
    return Completeness(site_clock(reactor), Held(), registry, sink, Owing(None, run_now), limit), sink, registry, reactor


def test_a_module_has_tags_from_its_first_hole_on_and_keeps_them_when_it_is_closed() -> None:
    """Module 2 lacks two hours; module 1, complete, has none. Closed, it says 100 % and is not published again."""
    shown, sink, _, _ = completeness(10)
    shown.concentrator(LINK_ID, picture(covered({3: [4, 5]})), DEPTH)
    first = sink.last("C01-002-collection")
    for _ in range(3):
        shown.concentrator(LINK_ID, picture(covered({})), DEPTH)
    published = sum(batch.device == "C01-002-collection" for batch in sink.batches)

    assert set(sink.devices) == {"C01-collection", "C01-002-collection"}
    assert first == pytest.approx([100 * 46 / 48, 100 * (1 - 2 / 308), 2, 0])
    assert sink.last("C01-002-collection") == [100, 100, 0, 0]
    assert published == 2


def test_no_more_modules_than_allowed_have_tags_and_the_others_are_counted() -> None:
    """A limit of one; when the one left out is complete it counts no more."""
    shown, sink, _, _ = completeness(1)
    shown.concentrator(LINK_ID, picture(covered({0: [1], 3: [4]})), DEPTH)
    counts = [shown.modules, shown.left_out]
    shown.concentrator(LINK_ID, picture(covered({})), DEPTH)

    assert counts == [1, 1]
    assert [shown.modules, shown.left_out] == [1, 0]
    assert len(sink.devices) == 2


def grouped(registry: RegistryBook, *periods: MeterPeriod) -> None:
    site = registry.directory.site
    registry.replace(attrs.evolve(
        site, points=(Point("P1", Medium.ELECTRICITY), Point("P2", Medium.ELECTRICITY)), meters=periods,
        balance_groups=(BalanceGroup("BG1", Medium.ELECTRICITY, members=("P1",), feed_point="P2"),),
    ))


def test_a_group_is_as_complete_as_the_channels_of_its_meters_while_they_hang_there() -> None:
    """P1 changed its meter at noon yesterday: the old module owes the morning, the new one the rest."""
    shown, sink, registry, _ = completeness(0)
    noon = (DAY - 1) * DAY_H + 12
    grouped(registry, MeterPeriod("A", "P1", 0, 0, 1.0, 0, noon), MeterPeriod("B", "P1", 1, 0, 1.0, noon),
            MeterPeriod("C", "P2", 2, 0, 1.0, 0))
    held = covered({0: [3, 20], 1: [2, 22]})                # 20 and 2 are hours of the other period
    shown.next_group(held, DAY * DAY_H + 10, DEPTH, EDGES)

    assert sink.last("BG1-collection")[:2] == pytest.approx([100, 100 * 46 / 48])
    assert sink.last("BG1-collection")[4] == 2


def test_a_meter_whose_module_never_delivered_is_missed_in_its_group_whatever_is_changed_there() -> None:
    """From when it is in service, and while its meter hangs there; another change of meters forgives nothing."""
    shown, sink, registry, reactor = completeness(0)
    module = registry.directory.site.modules[0]
    old, new = (MeterPeriod("A", "P1", module.eui, 0, 1.0, start) for start in (0, HOUR + 6))
    grouped(registry, old)
    shown.next_group(covered({}, slots=0), HOUR, DEPTH, EDGES)
    for later, periods in ((4, (old,)), (8, (old, MeterPeriod("B", "P2", 9, 0, 1.0, 0))), (10, (new,))):
        grouped(registry, *periods)
        reactor.advance(40)
        shown.next_group(covered({}, slots=0), HOUR + later, DEPTH, EDGES)

    assert [batch.values[4] for batch in sink.batches] == [0, 3, 7, 4]


def test_groups_are_looked_at_in_turn_and_left_alone_for_a_while() -> None:
    """Half a minute; a site without groups costs nothing."""
    shown, sink, registry, reactor = completeness(0)
    shown.next_group(covered({}), DAY * DAY_H, DEPTH, EDGES)
    grouped(registry, MeterPeriod("A", "P1", 0, 0, 1.0, 0))
    for _ in range(8):
        shown.next_group(covered({}), DAY * DAY_H, DEPTH, EDGES)
        reactor.advance(5)

    assert len(sink.batches) == 2


def test_the_name_of_a_part_belongs_to_nobody_else() -> None:
    """A module called like the collection of a group, or like the clocks of a concentrator, is a clash."""
    from scada.registry.names import clashes

    registry = RegistryBook()
    grouped(registry, MeterPeriod("A", "P1", 0, 0, 1.0, 0))
    site = registry.directory.site
    names = ("BG1-collection", "C01-time", "C01-clock")
    strangers = tuple(Module(9 + n, name, "C01", 9 + n, ModuleState.ACTIVE) for n, name in enumerate(names))
    found = list(clashes(Directory(attrs.evolve(site, modules=strangers)).site))

    assert [position for kind, position, _ in found if kind == "modules"] == [0, 1]
