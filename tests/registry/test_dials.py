"""Readings of dials in the database: append-only, idempotent, all of a file or none of it."""

from pathlib import Path

import attrs
import pytest

from scada.clock import NS
from scada.commands import Actor, Role
from scada.dial import DialReading, DialSource, read_dial
from scada.errors import CommandRejected
from scada.registry.database import RegistryDatabase, open_registry
from tests.fakes import NOON
from tests.registry.sites import ENGINEER

ONE = DialReading("P1", "S1", NOON * NS, read_dial("00123.4"), DialSource.WALK_BY, "ana")
LATER = attrs.evolve(ONE, at=(NOON + 3600) * NS, shown=read_dial("00125.0"))


@pytest.fixture
def database(tmp_path: Path) -> RegistryDatabase:
    return open_registry(f"sqlite:///{tmp_path}/registry.sqlite")


def test_the_same_file_twice_is_the_same_readings(database: RegistryDatabase) -> None:
    """New once, known afterwards, audited once."""
    first, second = database.dials.add(ENGINEER, [ONE, LATER]), database.dials.add(ENGINEER, [ONE, LATER, ONE])

    assert (first.new, first.known) == (2, 0)
    assert (second.new, second.known) == (0, 3)
    assert [row.action for row in database.audit.page()] == ["dial.read"]
    assert [one.shown.value for one in database.dials.of_point("P1")] == [125.0, 123.4]


def test_another_value_of_the_same_instant_is_refused_with_the_whole_file(database: RegistryDatabase) -> None:
    """Somebody misread, and the machine does not know who."""
    database.dials.add(ENGINEER, [ONE])
    with pytest.raises(CommandRejected) as refused:
        database.dials.add(ENGINEER, [attrs.evolve(ONE, shown=read_dial("00132.4")), LATER])

    assert refused.value.reasons == ("P1 has the reading 123.4 of that instant already, not 132.4",)
    assert database.dials.newest() == 1


def test_a_correction_takes_the_place_and_the_row_before_it_stays(database: RegistryDatabase) -> None:
    database.dials.add(ENGINEER, [ONE])
    database.dials.add(ENGINEER, [attrs.evolve(ONE, shown=read_dial("00132.4"))], correct=True)

    assert [one.shown.value for one in database.dials.of_point("P1")] == [132.4]
    assert [one.shown.value for one in database.dials.after(0)] == [123.4, 132.4]
    assert [one.number for one in database.dials.after(1)] == [2]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DISPATCHER, Role.SUBSCRIBER])
def test_who_does_not_work_at_meters_enters_nothing(database: RegistryDatabase, role: Role) -> None:
    with pytest.raises(CommandRejected, match="may not enter dial readings"):
        database.dials.add(Actor("x", role), [ONE])
