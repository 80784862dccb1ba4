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
from tests.drivers.dmesh.peers import LINK_ID, Wire, bench, entries

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


@pytest.mark.parametrize("state", [ModuleState.REPLACED, ModuleState.RETIRED])
def test_what_is_out_of_service_and_heard_is_told(state: ModuleState) -> None:
    gone = attrs.evolve(HERE, state=state, index=0)

    assert found(directory(gone), "C01", ModuleEntry(1, 0xA1, 2)) == [
        (EventCode.MODULE_GONE_HEARD, "C01-001", f"C01-001: {state} in the registry, heard at C01"),
    ]


def test_strangers_and_modules_in_their_place_are_no_conflict() -> None:
    assert found(directory(HERE), "C01", ModuleEntry(1, 0xA1, 2), ModuleEntry(2, 0xFF, 1)) == []


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
