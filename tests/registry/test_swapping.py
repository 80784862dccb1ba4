"""A module or a meter is changed: one period ends with its final register, another begins at the same point."""

from pathlib import Path

import attrs
import pytest

from scada.commands import Actor, Role
from scada.errors import CommandRejected
from scada.registry.database import RegistryDatabase, open_registry
from scada.site import Directory, Load, Module, ModuleState, Site, Swap, SwappedMeter
from tests.registry.sites import ENGINEER, HIGH, a_site

NEW, AT = 0xABCD, 495_000


@pytest.fixture
def database(tmp_path: Path) -> RegistryDatabase:
    found = open_registry(f"sqlite:///{tmp_path}/registry.sqlite")
    site = a_site()
    heir = Module(NEW, "new", "C01", 7, channels=2, adapter="AD")
    found.replace(attrs.evolve(site, modules=(*site.modules, heir)), ENGINEER)
    return found


def periods(site: Site, point: str) -> list[tuple[str, int, int, float, int, int | None, float | None, float | None]]:
    return [
        (
            one.serial, one.eui, one.channel, one.pulses_per_unit, one.valid_from, one.valid_to, one.start_register,
            one.final_register,
        )
        for one in Directory(site).meters_of_point[point]
    ]


def test_a_module_swap_closes_the_period_and_opens_the_next_at_the_same_point(database: RegistryDatabase) -> None:
    """Other EUI, serial, constant and start register; what was measured before stays with the old one; durable."""
    meter = SwappedMeter(0, final_register=812.5, new_channel=1, serial="A3", pulses_per_unit=500.0, start_register=3.0)
    database.swap(ENGINEER, Swap(HIGH, NEW, AT, (meter,)))
    database._site = None
    site = database.load()
    directory = Directory(site)
    (row,) = database.audit.page(size=1)

    assert periods(site, "P1") == [
        ("A1", HIGH, 0, 1000.0, 480_000, 490_000, None, None),
        ("A2", HIGH, 0, 3200.0, 490_000, AT, None, 812.5),
        ("A3", NEW, 1, 500.0, AT, None, 3.0, None),
    ]
    assert (directory.module_of_eui[HIGH].state, directory.module_of_eui[HIGH].index) == (ModuleState.REPLACED, 0)
    assert directory.module_of_eui[NEW].state is ModuleState.ACTIVE
    assert row.action == "module.swap"


def test_the_load_and_its_place_in_groups_go_along_under_a_new_epoch(database: RegistryDatabase) -> None:
    before = database.load().load_groups[0]
    site = database.swap(ENGINEER, Swap(HIGH, NEW, AT))
    (group,) = site.load_groups

    assert group.members == (HIGH + 1, NEW)
    assert group.epoch == before.epoch + 1
    assert {one.eui for one in site.loads} == {HIGH + 1, NEW}
    assert [(one.point, one.eui) for one in site.supplies] == [("P1", NEW)]


def test_the_same_meter_goes_on_where_only_the_module_was_changed(database: RegistryDatabase) -> None:
    site = database.swap(ENGINEER, Swap(HIGH, NEW, AT))

    assert periods(site, "P1")[-1] == ("A2", NEW, 0, 3200.0, AT, None, None, None)


def test_a_meter_alone_is_changed_under_the_same_module(database: RegistryDatabase) -> None:
    meter = SwappedMeter(0, final_register=100.0, serial="A9", start_register=0.0)
    site = database.swap(ENGINEER, Swap(HIGH, HIGH, AT, (meter,)))

    assert periods(site, "P1")[-1][:2] == ("A9", HIGH)
    assert Directory(site).module_of_eui[HIGH].state is ModuleState.ACTIVE


def test_a_module_nobody_has_heard_is_planned_in_the_old_ones_place(database: RegistryDatabase) -> None:
    site = database.swap(ENGINEER, Swap(HIGH, 0x77, AT))
    heir = Directory(site).module_of_eui[0x77]

    assert (heir.state, heir.concentrator, heir.building) == (ModuleState.PLANNED, "C01", "House 1")


@pytest.mark.parametrize(
    ("actor", "swap", "reasons"),
    [
        (ENGINEER, Swap(1, NEW, AT), ["no module 0000000000000001 is in the registry"]),
        (ENGINEER, Swap(3, NEW, AT), ["C02-001 is discovered; only a module in service can be replaced",
                                      "new belongs to C01, C02-001 to C02"]),
        (ENGINEER, Swap(HIGH, HIGH + 1, AT), ["C01-002 is active; a module that takes a place must be new",
                                              "C01-002 has a meter of its own already",
                                              "C01-002 has no actuator, and C01-001 has a load",
                                              "C01-002 has no actuator, and C01-001 switches a supply"]),
        (ENGINEER, Swap(HIGH, NEW, 400_000, (SwappedMeter(4),)),
         ["no meter hangs on channel 4 of C01-001", "meter A2 hangs there only since a later hour than the swap"]),
        (ENGINEER, Swap(HIGH, NEW, AT, (SwappedMeter(0, new_channel=5, pulses_per_unit=0.0),)),
         ["0 pulses per unit: expected more than 0", "the new module has 2 channels, and channel 5 is needed"]),
        (Actor("v", Role.VIEWER), Swap(HIGH, NEW, AT), ["a viewer may not adopt modules; an engineer may"]),
        (Actor("e", Role.ENGINEER, ("south",)), Swap(HIGH, NEW, AT), ["C01-001 is outside the areas of e"]),
    ],
)
def test_a_swap_that_cannot_be_is_refused_with_every_reason_and_changes_nothing(
    database: RegistryDatabase, actor: Actor, swap: Swap, reasons: list[str]
) -> None:
    before = database.load()
    with pytest.raises(CommandRejected) as refused:
        database.swap(actor, swap)

    assert list(refused.value.reasons) == reasons
    assert database.load() == before


def test_a_heir_without_an_actuator_takes_no_load(database: RegistryDatabase) -> None:
    """The load would be on a list of those that can be shed, and could not be."""
    site = database.load()
    assert any(isinstance(one, Load) and one.eui == HIGH for one in site.loads)
    bare = tuple(attrs.evolve(one, adapter="") if one.eui == NEW else one for one in site.modules)
    database.replace(attrs.evolve(site, modules=bare), ENGINEER)
    with pytest.raises(CommandRejected, match="new has no actuator, and C01-001 has a load"):
        database.swap(ENGINEER, Swap(HIGH, NEW, AT))
