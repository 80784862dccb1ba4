"""The life of a module: the table, and what the registry does by it."""

from pathlib import Path

import attrs
import pytest

from scada.commands import Actor, Role
from scada.errors import CommandRejected
from scada.registry.database import RegistryDatabase, open_registry
from scada.registry.joining import join
from scada.registry.lifecycle import TRANSITIONS, Happening, after
from scada.site import Adoption, Directory, JoinedModule, Module, ModuleState, differing, followed
from tests.registry.sites import ENGINEER, HIGH, a_site

ENDS = {ModuleState.REPLACED, ModuleState.RETIRED}
NEW = 0xABCD


@pytest.fixture
def database(tmp_path: Path) -> RegistryDatabase:
    return open_registry(f"sqlite:///{tmp_path}/registry.sqlite")


def reached(state: ModuleState) -> set[ModuleState]:
    found, todo = {state}, [state]
    while todo:
        here = todo.pop()
        for (before, _), to in TRANSITIONS.items():
            if before is here and to not in found:
                found.add(to)
                todo.append(to)
    return found


@pytest.mark.parametrize("state", ModuleState)
def test_every_state_gets_home_and_nothing_leaves_an_end(state: ModuleState) -> None:
    assert reached(state) & ENDS
    assert (reached(state) == {state}) is (state in ENDS)


def test_a_plan_can_become_everything() -> None:
    assert reached(ModuleState.PLANNED) == set(ModuleState)


@pytest.mark.parametrize(
    ("adoption", "state"), [(Adoption.AUTOMATIC, ModuleState.ACTIVE), (Adoption.ENGINEER, ModuleState.DISCOVERED)]
)
def test_a_planned_module_that_is_heard_goes_on_as_its_concentrator_adopts(adoption: Adoption, state: ModuleState) -> None:
    """It keeps the name it was planned with, and gets the index of the radio."""
    site = a_site()
    site = attrs.evolve(
        site,
        concentrators=tuple(attrs.evolve(one, adoption=adoption) for one in site.concentrators),
        modules=(*site.modules, Module(NEW, "planned-here", "C01", 0, ModuleState.PLANNED)),
    )
    (module,) = join(site, [JoinedModule(NEW, 0x4A1000C1, 9, 2)]).modules

    assert (module.name, module.index, module.channels, module.state) == ("planned-here", 9, 2, state)


@pytest.mark.parametrize("state", sorted(ENDS))
def test_what_is_over_does_not_come_back_by_being_heard(state: ModuleState) -> None:
    site = a_site()
    gone = attrs.evolve(site.modules[0], state=state, index=0)
    site = attrs.evolve(site, modules=(gone, *site.modules[1:]))
    joined = join(site, [JoinedModule(HIGH, 0x4A1000C1, 1, 2)])

    assert joined.site is site
    assert joined.modules == (gone,)


def test_a_list_of_known_modules_changes_nothing_and_costs_no_new_site() -> None:
    """Every concentrator says its list after a power cut."""
    site = a_site()
    known = [JoinedModule(one.eui, 0x4A1000C1, one.index, one.channels, one.adapter) for one in site.modules[:2]]

    assert join(site, known).site is site


def test_commissioning_begins_and_ends_by_a_person(database: RegistryDatabase) -> None:
    database.replace(a_site(), ENGINEER)
    begun = database.commission(ENGINEER, 3)
    ended = database.adopt(ENGINEER, 3)
    actions = [row.action for row in database.audit.page()]

    assert Directory(begun).module_of_eui[3].state is ModuleState.COMMISSIONING
    assert Directory(ended).module_of_eui[3].state is ModuleState.ACTIVE
    assert actions[:2] == ["module.adopt", "module.commission"]
    with pytest.raises(CommandRejected, match="is active"):
        database.commission(ENGINEER, 3)


def test_a_module_with_meters_is_not_retired_and_a_viewer_retires_nothing(database: RegistryDatabase) -> None:
    database.replace(a_site(), ENGINEER)
    with pytest.raises(CommandRejected) as refused:
        database.retire(Actor("v", Role.VIEWER), HIGH)
    retired = database.retire(ENGINEER, 3)

    assert len(refused.value.reasons) == 2
    assert Directory(retired).module_of_eui[3].state is ModuleState.RETIRED


def test_look_ups_that_are_carried_over_are_those_of_the_new_site() -> None:
    """Whatever changed: added, moved, renamed, lost; compared with look-ups made from nothing."""
    before = Directory(a_site())
    names = (
        "module_of_eui", "module_of_name", "module_at", "meters_of_point", "meters_of_eui", "point", "concentrator_of_link",
        "expected",
    )
    for name in names:
        getattr(before, name)
    first, second, third = before.site.modules
    sites = [
        attrs.evolve(before.site, modules=(first, second, third, Module(NEW, "N", "C01", 9))),
        attrs.evolve(before.site, modules=(attrs.evolve(first, index=2), attrs.evolve(second, index=1), third)),
        attrs.evolve(
            before.site, modules=(attrs.evolve(first, name="C01-002"), attrs.evolve(second, name="C01-001"), third)
        ),
        attrs.evolve(before.site, modules=(attrs.evolve(first, index=0), second)),
        attrs.evolve(before.site, modules=(attrs.evolve(first, state=ModuleState.PLANNED), second, third)),
        attrs.evolve(before.site, modules=(first, second, third, Module(NEW, "N", "C02", 0, ModuleState.PLANNED))),
        attrs.evolve(before.site, meters=before.site.meters[:1]),
    ]
    for site in sites:
        carried, fresh = followed(before, site), Directory(site)
        assert {name: getattr(carried, name) for name in names} == {name: getattr(fresh, name) for name in names}
    assert followed(before, sites[0]).meters_of_point is before.meters_of_point
    assert differing(sites[0].modules, sites[0].modules) == []


def test_the_table_says_what_a_lost_module_needs() -> None:
    assert after(ModuleState.LOST, Happening.WELCOMED) is ModuleState.LOST
    assert after(ModuleState.LOST, Happening.BACK) is ModuleState.ACTIVE
    assert after(ModuleState.PLANNED, Happening.SILENT) is None
