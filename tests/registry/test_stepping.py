"""Steps in the life of a module: what each changes, shown before it is done, and done once, however often asked for."""

from pathlib import Path

import attrs
import pytest

from scada.commands import Actor, Role
from scada.errors import CommandRejected
from scada.registry.database import RegistryDatabase, open_registry
from scada.site import Directory, ModuleState, Step, StepKind, Swap, SwappedMeter
from tests.registry.sites import ENGINEER, HIGH, a_site

AT = 495_000
NEW = 0xABCD


@pytest.fixture
def database(tmp_path: Path) -> RegistryDatabase:
    found = open_registry(f"sqlite:///{tmp_path}/registry.sqlite")
    found.replace(a_site(), ENGINEER)
    return found


def without_meters(database: RegistryDatabase) -> None:
    """HIGH has its load and its place in the group, and no running meter."""
    site = database.load()
    ended = tuple(attrs.evolve(one, valid_to=one.valid_to or AT) if one.eui == HIGH else one for one in site.meters)
    database.replace(attrs.evolve(site, meters=ended), ENGINEER)


def test_who_is_retired_leaves_its_groups_under_a_new_epoch_and_has_no_index(database: RegistryDatabase) -> None:
    """Its key must not command it any more."""
    without_meters(database)
    before = database.load().load_groups[0]
    site = database.retire(ENGINEER, HIGH)
    module, (group,) = Directory(site).module_of_eui[HIGH], site.load_groups

    assert (module.state, module.index) == (ModuleState.RETIRED, 0)
    assert (group.members, group.epoch) == ((HIGH + 1,), before.epoch + 1)


def test_a_moved_module_is_lost_until_its_new_concentrator_lists_it(database: RegistryDatabase) -> None:
    """Meters, load and name go along; its groups are told anew, because its index there is another."""
    before = database.load()
    site = database.step(ENGINEER, Step(StepKind.MOVE, HIGH, "C02"))
    module = Directory(site).module_of_eui[HIGH]

    assert (module.concentrator, module.index, module.state, module.name) == ("C02", 0, ModuleState.LOST, "C01-001")
    assert site.meters == before.meters
    assert site.load_groups[0].epoch == before.load_groups[0].epoch + 1
    assert database.audit.page()[0].action == "module.move"


@pytest.mark.parametrize(
    "wish",
    [
        Step(StepKind.COMMISSION, 3), Step(StepKind.RETIRE, 3), Step(StepKind.MOVE, HIGH, "C02"), Swap(HIGH, NEW, AT),
        Swap(HIGH, NEW, AT, (SwappedMeter(0, 812.5, 1, "A3", 500.0, 3.0),)),
        Swap(HIGH, HIGH, AT, (SwappedMeter(0, 100.0, None, "A9", None, 0.0),)),
    ],
    ids=str,
)
def test_asking_again_changes_nothing_and_is_not_audited_twice(database: RegistryDatabase, wish: Step | Swap) -> None:
    """A double click, a lost answer, a second terminal."""
    do = database.swap if isinstance(wish, Swap) else database.step
    first = do(ENGINEER, wish)                  # type: ignore[operator]
    rows = len(database.audit.page())
    again = do(ENGINEER, wish)                  # type: ignore[operator]

    assert again == first
    assert len(database.audit.page()) == rows
    assert database.preview(ENGINEER, wish).nothing


@pytest.mark.parametrize("other", [Swap(HIGH, NEW, AT + 1), Swap(HIGH, NEW + 1, AT)])
def test_another_swap_of_the_same_module_is_refused(database: RegistryDatabase, other: Swap) -> None:
    """It has been replaced: another hour, or another heir, is another wish."""
    database.swap(ENGINEER, Swap(HIGH, NEW, AT))
    with pytest.raises(CommandRejected, match="is replaced; only a module in service can be replaced"):
        database.swap(ENGINEER, other)


def test_a_preview_shows_every_change_and_makes_none(database: RegistryDatabase) -> None:
    before = database.load()
    change = database.preview(ENGINEER, Swap(HIGH, NEW, AT, (SwappedMeter(0, final_register=812.5, serial="A3"),)))
    done = database.load()
    database.swap(ENGINEER, Swap(HIGH, NEW, AT, (SwappedMeter(0, final_register=812.5, serial="A3"),)))
    after = database.load()

    assert done == before
    assert [(one.serial, one.valid_to, one.final_register) for one in change.closed] == [("A2", AT, 812.5)]
    assert [(one.serial, one.eui) for one in change.opened] == [("A3", NEW)]
    assert [(was.epoch, now.epoch) for was, now in change.groups] == [(1, 2)]
    assert [(was.eui, now.eui) for was, now in change.loads] == [(HIGH, NEW)]
    assert {now.eui: now.state for _, now in change.modules} == {
        HIGH: ModuleState.REPLACED, NEW: ModuleState.PLANNED,
    }
    assert set(change.opened) <= set(after.meters)


@pytest.mark.parametrize(
    ("actor", "step", "reasons"),
    [
        (ENGINEER, Step(StepKind.MOVE, HIGH, "C09"), ["no concentrator C09 is in the registry"]),
        (ENGINEER, Step(StepKind.ADOPT, 99), ["no module 0000000000000063 has announced itself"]),
        (ENGINEER, Step(StepKind.RETIRE, HIGH),
         ["C01-001 has meters; close their periods, or put another module in its place"]),
        (Actor("e", Role.ENGINEER, ("north",)), Step(StepKind.MOVE, HIGH, "C02"), ["C02 is outside the areas of e"]),
        (Actor("v", Role.VIEWER), Step(StepKind.COMMISSION, 3), ["a viewer may not adopt modules; an engineer may"]),
    ],
)
def test_a_step_that_cannot_be_is_refused_with_every_reason_also_as_a_preview(
    database: RegistryDatabase, actor: Actor, step: Step, reasons: list[str]
) -> None:
    before = database.load()
    for ask in (database.preview, database.step):
        with pytest.raises(CommandRejected) as refused:
            ask(actor, step)
        assert list(refused.value.reasons) == reasons

    assert database.load() == before


def test_what_is_over_belongs_nowhere(database: RegistryDatabase) -> None:
    database.retire(ENGINEER, 3)
    with pytest.raises(CommandRejected, match="it belongs nowhere any more"):
        database.step(ENGINEER, Step(StepKind.MOVE, 3, "C01"))


def test_who_took_whose_place_is_remembered_over_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/registry.sqlite"
    first = open_registry(url)
    first.replace(a_site(), ENGINEER)
    first.swap(ENGINEER, Swap(HIGH, NEW, AT))
    first.close()
    (found,) = open_registry(url).load().replacements

    assert (found.eui, found.heir, found.hour) == (HIGH, NEW, AT)
