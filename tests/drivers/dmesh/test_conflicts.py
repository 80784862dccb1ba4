"""A module list that contradicts the registry: told once, with both sides named, and told again when it is over."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed

from scada.drivers.dmesh.conflicts import conflicts
from scada.drivers.dmesh.messages import ModuleEntry, ModuleJoined
from scada.events import DeviceEvent, EventCode
from scada.site import Concentrator, Directory, MeterPeriod, Module, ModuleState, Site
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, Peer, Wire, bench, entries, hello

COUNTS = "C01-001: channel 1 counts, and no meter is registered or planned there"
HERE = Module(0xA1, "C01-001", "C01", 1, ModuleState.ACTIVE, channels=2)


def directory(*modules: Module, meters: tuple[MeterPeriod, ...] = ()) -> Directory:
    return Directory(Site(
        concentrators=(Concentrator("C01", 1), Concentrator("C02", 2)), modules=modules, meters=meters,
    ))


def found(content: Directory, name: str, *listed: ModuleEntry, twice: bool = False) -> list[tuple[EventCode, str, str]]:
    return [(one.code, one.device, one.detail) for one in conflicts(content, name, listed, lambda *_: twice, 100)]


def test_a_module_of_another_subnet_is_named_with_both() -> None:
    assert found(directory(HERE), "C02", ModuleEntry(7, 0xA1, 2)) == [
        (EventCode.WRONG_SUBNET, "C01-001", "C01-001: registered at C01, heard at C02"),
    ]


def test_the_same_eui_in_two_lists_is_another_thing_than_a_module_that_moved() -> None:
    """One of the two is a copy: its data would be taken for the other's."""
    assert found(directory(HERE), "C02", ModuleEntry(7, 0xA1, 2), twice=True) == [
        (EventCode.DUPLICATE_EUI, "C01-001", "C01-001: heard at C01 and at C02 with the same EUI 00000000000000A1"),
    ]


def test_a_meter_on_a_channel_that_the_module_has_not_is_named() -> None:
    meters = (MeterPeriod("S1", "P1", 0xA1, 1, 1000.0, 0), MeterPeriod("S0", "P1", 0xA1, 1, 1000.0, 0, 50))

    assert found(directory(HERE, meters=meters), "C01", ModuleEntry(1, 0xA1, 2)) == []
    assert found(directory(HERE, meters=meters), "C01", ModuleEntry(1, 0xA1, 1)) == [
        (EventCode.UNEXPECTED_CHANNEL, "C01-001", "C01-001: meter S1 hangs on channel 1, the module has 1 channels"),
    ]


@pytest.mark.parametrize(("meter", "said"), [
    (None, [COUNTS]),
    (MeterPeriod("S1", "P1", 0xA1, 1, 1000.0, 0), []),
    (MeterPeriod("S1", "P1", 0xA1, 1, 1000.0, 500), []),
    (MeterPeriod("S1", "P1", 0xA1, 1, 1000.0, 0, 100), [COUNTS]),
])
def test_a_channel_that_counts_without_a_meter_or_a_plan_is_named(meter: MeterPeriod | None, said: list[str]) -> None:
    """Installed, planned for later, or gone since this hour."""
    there = MeterPeriod("S0", "P0", 0xA1, 0, 1000.0, 0)
    content = directory(HERE, meters=(there, *(() if meter is None else (meter,))))
    told = conflicts(content, "C01", (ModuleEntry(1, 0xA1, 2),), lambda *_: False, 100, counting={0xA1: (0, 1)})

    assert [one.detail for one in told] == said
    assert all(one.code is EventCode.UNEXPECTED_CHANNEL for one in told)


@pytest.mark.parametrize("state", [ModuleState.DISCOVERED, ModuleState.PLANNED, ModuleState.RETIRED])
def test_who_is_not_in_service_owes_no_meter(state: ModuleState) -> None:
    content = directory(attrs.evolve(HERE, state=state))
    told = conflicts(content, "C01", (ModuleEntry(1, 0xA1, 2),), lambda *_: False, 100, counting={0xA1: (0, 1)})

    assert EventCode.UNEXPECTED_CHANNEL not in {one.code for one in told}


@pytest.mark.parametrize("state", [ModuleState.REPLACED, ModuleState.RETIRED])
def test_what_is_out_of_service_and_heard_is_told(state: ModuleState) -> None:
    gone = attrs.evolve(HERE, state=state, index=0)

    assert found(directory(gone), "C01", ModuleEntry(1, 0xA1, 2)) == [
        (EventCode.MODULE_GONE_HEARD, "C01-001", f"C01-001: {state} in the registry, heard at C01"),
    ]


def test_strangers_and_modules_in_their_place_are_no_conflict() -> None:
    assert found(directory(HERE), "C01", ModuleEntry(1, 0xA1, 2), ModuleEntry(2, 0xFF, 1)) == []


def test_who_is_listed_and_was_never_heard_contradicts_nothing() -> None:
    """Nothing is known of him, and so not that he has no channels, or is elsewhere."""
    meters = (MeterPeriod("S1", "P1", 0xA1, 0, 1000.0, 0),)
    begun = attrs.evolve(HERE, state=ModuleState.COMMISSIONING)

    for module in (HERE, begun, attrs.evolve(HERE, state=ModuleState.PLANNED)):
        content = directory(module, meters=meters)
        assert found(content, "C01", ModuleEntry(1, 0xA1, 0)) == []
        assert found(content, "C02", ModuleEntry(1, 0xA1, 0), twice=True) == []
    assert len(found(directory(begun, meters=meters), "C01", ModuleEntry(1, 0xA1, 0, "", 1))) == 1


def test_who_is_expected_here_and_heard_there_is_in_the_wrong_subnet_and_no_twin(tmp_path: Path) -> None:
    """His own concentrator lists him too, because it was told to."""
    site = bench(tmp_path)
    site.keys.add_link(LINK_ID + 1, LINK_KEY)
    eui = entries(3)[2].eui
    site.registry.replace(Site(
        concentrators=(Concentrator("C01", LINK_ID), Concentrator("C02", LINK_ID + 1)),
        modules=(Module(eui, "C02-003", "C02", 0, ModuleState.PLANNED),),
    ))
    told: list[DeviceEvent] = []

    def hear(events: Any) -> "Deferred[None]":
        told.extend(events)
        return succeed(None)

    site.service.on_events(hear)
    home = Wire(site.service, Peer(hello(link_id=LINK_ID + 1)))
    home.modules[1] = (ModuleEntry(7, eui, 0),)
    home.shake()
    there = Wire(site.service)
    there.modules[1] = (ModuleEntry(3, eui, 1, "", 1, 0, -70),)
    there.shake()

    assert [(one.code, one.device) for one in told] == [(EventCode.WRONG_SUBNET, "C02-003")]


def test_a_conflict_is_an_event_once_and_cleared_by_a_list_without_it(tmp_path: Path) -> None:
    """Over a connection: raised with the list, silent with the same list again, cleared when the module is gone."""
    site = bench(tmp_path)
    content = site.registry.directory.site
    stray = Module(entries(3)[2].eui, "C09-003", "C09", 3, ModuleState.ACTIVE)
    site.registry.replace(attrs.evolve(
        content, concentrators=(*content.concentrators, Concentrator("C09", 9)), modules=(*content.modules, stray),
    ))
    told: list[DeviceEvent] = []

    def hear(events: Any) -> "Deferred[None]":
        told.extend(events)
        return succeed(None)

    site.service.on_events(hear)
    first = Wire(site.service).shake()
    first.say(ModuleJoined(1, entries(3)), corr=3)
    again = [event for event in told if event.code == EventCode.WRONG_SUBNET]
    second = Wire(site.service)
    second.modules, second.generation = {2: entries(2)}, 2
    second.shake()
    over = [event for event in told if event.code == EventCode.WRONG_SUBNET]

    assert site.service.link_up(LINK_ID)
    assert [(event.device, event.raised, event.detail) for event in again] == [
        ("C09-003", True, "C09-003: registered at C09, heard at C01"),
    ]
    assert [event.raised for event in over] == [True, False]
