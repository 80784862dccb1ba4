"""A meter is put into service: module, period, point, dial reading and audit, together or not at all, and once."""

from pathlib import Path

import attrs
import pytest

from scada.clock import NS
from scada.commands import Actor, Role
from scada.dial import Installation, read_dial
from scada.dial_file import period_at
from scada.errors import CommandRejected
from scada.registry.database import RegistryDatabase, open_registry
from scada.site import Directory, Medium, MeterPeriod, Module, ModuleState, Point, Site
from tests.fakes import NOON, site_clock
from tests.registry.sites import ENGINEER, a_site

INSTALLER = Actor("ion", Role.INSTALLER)
HOUR = NOON // 3600
PLANNED, HEARD, BUSY, NEVER = 0xAB01, 0xAB02, 0xAB03, 0xAB04
WISH = Installation(PLANNED, 0, "S-77", 3200.0, read_dial("00123.4"), (NOON + 900) * NS, "k1", photo="a" * 32 + ".jpg")


@pytest.fixture
def database(tmp_path: Path) -> RegistryDatabase:
    """A planned module with two planned meters, one that was heard, one in service with a meter, one never heard."""
    found = open_registry(f"sqlite:///{tmp_path}/registry.sqlite", site_clock(start=NOON + 1000))
    site = a_site()
    found.replace(attrs.evolve(
        site,
        modules=(
            *site.modules, Module(PLANNED, "plan", "C01", 11, ModuleState.DISCOVERED, 2),
            Module(HEARD, "new", "C01", 12, ModuleState.DISCOVERED, 1),
            Module(BUSY, "busy", "C01", 13, ModuleState.ACTIVE, 1),
            Module(NEVER, "never", "C01", 0, ModuleState.PLANNED, 1),
        ),
        points=(*site.points, Point("Q1", Medium.ELECTRICITY), Point("Q2", Medium.WATER), Point("Q3", Medium.ELECTRICITY)),
        meters=(
            *site.meters, MeterPeriod("plan-1", "Q1", PLANNED, 0, 1000.0, HOUR - 500),
            MeterPeriod("plan-2", "Q2", PLANNED, 1, 10.0, HOUR - 500), MeterPeriod("B", "Q3", BUSY, 0, 1000.0, HOUR - 5000),
        ),
    ), ENGINEER)
    return found


def reasons(database: RegistryDatabase, wish: Installation, actor: Actor = INSTALLER) -> tuple[str, ...]:
    before = database.load()
    with pytest.raises(CommandRejected) as refused:
        database.install(actor, wish)

    assert database.load() == before
    assert database.dials.newest() == 0
    return refused.value.reasons


def period(site: Site, point: str) -> MeterPeriod:
    found = period_at(Directory(site), point, HOUR)
    assert found is not None
    return found


def test_a_planned_meter_begins_at_its_installation_with_what_was_found_there(database: RegistryDatabase) -> None:
    """Serial and constant of the plate, dial as start register; the other channel of the module begins with it."""
    _, done = database.install(INSTALLER, WISH)
    database._site = None
    site = database.load()

    assert period(site, "Q1") == MeterPeriod("S-77", "Q1", PLANNED, 0, 3200.0, HOUR, None, 123.4)
    assert period(site, "Q2") == MeterPeriod("plan-2", "Q2", PLANNED, 1, 10.0, HOUR)
    assert Directory(site).module_of_eui[PLANNED].state is ModuleState.ACTIVE
    assert done.reading.shown.value == 123.4
    (reading,) = database.dials.of_point("Q1")
    assert (reading.serial, reading.at, reading.by, reading.photo) == ("S-77", WISH.at, "ion", WISH.photo)
    (row,) = database.audit.page(size=1)
    assert (row.action, row.actor, row.target) == ("meter.install", "ion", f"{PLANNED:016X}")


def test_the_second_channel_of_a_module_is_installed_after_the_first(database: RegistryDatabase) -> None:
    """By then the module is in service; the plan's serial may still be put right."""
    database.install(INSTALLER, WISH)
    second = attrs.evolve(WISH, channel=1, serial="W-1", pulses_per_unit=100.0, dial=read_dial("0007.123"), key="k2")
    site, _ = database.install(INSTALLER, second)

    assert period(site, "Q2") == MeterPeriod("W-1", "Q2", PLANNED, 1, 100.0, HOUR, None, 7.123)


def test_a_second_tap_and_a_retry_do_it_once(database: RegistryDatabase) -> None:
    """The same key answers what it did; another key for the same meter is refused, and so is the key for another meter."""
    database.install(INSTALLER, WISH)
    site, again = database.install(INSTALLER, WISH)
    rows = len(database.audit.page(size=100))

    assert again.again
    assert again.period == period(site, "Q1")
    assert database.dials.newest() == 1
    with pytest.raises(CommandRejected, match="meter S-77 is installed on channel 0 of plan already"):
        database.install(INSTALLER, attrs.evolve(WISH, key="k9"))
    with pytest.raises(CommandRejected, match="the key k1 was used for another installation"):
        database.install(INSTALLER, attrs.evolve(WISH, eui=HEARD))
    assert len(database.audit.page(size=100)) == rows


def test_a_module_nobody_planned_gets_a_point_of_its_own(database: RegistryDatabase) -> None:
    """Named after module and channel, or as the installer says."""
    site, done = database.install(INSTALLER, attrs.evolve(WISH, eui=HEARD, medium="gas"))

    assert done.period.point == "new-0"
    assert Directory(site).point["new-0"] == Point("new-0", Medium.GAS)


def test_a_module_that_was_never_heard_is_being_put_into_service_until_it_is(database: RegistryDatabase) -> None:
    site, _ = database.install(INSTALLER, attrs.evolve(WISH, eui=NEVER, point="Q9"))

    assert Directory(site).module_of_eui[NEVER].state is ModuleState.COMMISSIONING


def test_a_meter_that_has_long_been_counting_keeps_its_beginning(database: RegistryDatabase) -> None:
    """Its dial is read for the first time: that is all; another serial would be a swap."""
    wish = attrs.evolve(WISH, eui=BUSY, serial="B", pulses_per_unit=1000.0)

    assert reasons(database, attrs.evolve(wish, serial="C")) == (
        "meter B counts on channel 0 of busy already; another is a swap",
    )
    site, _ = database.install(INSTALLER, wish)
    assert period(site, "Q3") == MeterPeriod("B", "Q3", BUSY, 0, 1000.0, HOUR - 5000)
    assert len(database.dials.of_point("Q3")) == 1


def test_every_reason_is_named_and_nothing_is_changed(database: RegistryDatabase) -> None:
    wrong = attrs.evolve(
        WISH, channel=5, serial="", pulses_per_unit=0.0, point="Q3", medium="steam", at=(NOON + 9000) * NS, photo="../x",
    )

    assert reasons(database, wrong) == (
        "plan has 2 channels; channel 5 is not among them",
        "the meter's serial number is missing",
        "0 pulses per unit: expected more than 0",
        "steam is no medium; expected one of electricity, water, gas, heat",
        "the photo has no name of the photo store: send it first",
        "Q3 is a point of electricity, not of steam",
        "meter B hangs at Q3 already",
        "the dial was read at a time that is still to come",
    )


@pytest.mark.parametrize(("change", "said"), [
    ({"eui": 0xDEAD}, "no module 000000000000DEAD has announced itself, and none is planned"),
    ({"point": "Q3"}, "the channel is planned for Q1, not for Q3"),
    ({"eui": HEARD, "point": "Q3"}, "meter B hangs at Q3 already"),
    ({"eui": HEARD, "point": "Q2", "medium": "gas"}, "Q2 is a point of water, not of gas"),
    ({"eui": HEARD, "point": "a/b"}, "a/b cannot be a point's name"),
    ({"serial": "x" * 300}, "the meter's serial number has at most 200 printable characters"),
    ({"key": ""}, "the key of an installation has 1 to 64 printable characters"),
])
def test_what_cannot_be_is_refused(database: RegistryDatabase, change: dict[str, object], said: str) -> None:
    assert any(one.startswith(said) for one in reasons(database, attrs.evolve(WISH, **change)))


@pytest.mark.parametrize(("actor", "said"), [
    (Actor("v", Role.VIEWER), "a viewer may not adopt modules"),
    (Actor("d", Role.DISPATCHER), "a dispatcher may not adopt"),
    (Actor("i", Role.INSTALLER, ("south",)), "plan is outside the areas of i"),
])
def test_only_an_installer_of_the_area_may(database: RegistryDatabase, actor: Actor, said: str) -> None:
    assert reasons(database, WISH, actor)[0].startswith(said)


def test_an_installer_may_begin_but_not_adopt_retire_or_swap(database: RegistryDatabase) -> None:
    """No more than his work needs."""
    database.commission(INSTALLER, PLANNED)
    for refused in (database.adopt, database.retire):
        with pytest.raises(CommandRejected, match="a installer may not adopt modules"):
            refused(INSTALLER, HEARD)


def test_a_disk_that_fails_leaves_neither_period_nor_reading(
    database: RegistryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction."""
    before = database.load()

    def broken(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("scada.registry.database.enter", broken)
    with pytest.raises(OSError, match="no space"):
        database.install(INSTALLER, WISH)
    monkeypatch.undo()
    database._site = None

    assert database.load() == before
    assert database.install(INSTALLER, WISH)[1].again is False
