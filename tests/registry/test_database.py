"""Changes of the registry: whole or not at all, seen by others, unsigned numbers exact."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from scada.commands import Actor, Role
from scada.errors import CommandRejected, ConfigError
from scada.registry import exchange
from scada.registry.database import RegistryDatabase, open_registry
from scada.site import Directory, Medium, MeterTerms, Module, ModuleState, Site
from tests.registry.sites import ENGINEER, HIGH, a_site, same, sqlite


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RegistryDatabase]:
    opened = open_registry(sqlite(tmp_path))
    yield opened
    opened.close()


def test_numbers_of_64_unsigned_bits_come_back_as_they_went_in(database: RegistryDatabase, tmp_path: Path) -> None:
    """The EUIs at both ends, and a link id with the highest bit set."""
    site = a_site()
    ends = (attrs.evolve(site.modules[0], eui=2**64 - 1), attrs.evolve(site.modules[1], eui=0))
    links = (attrs.evolve(site.concentrators[0], link_id=2**32 - 1), site.concentrators[1])
    wanted = Site(transformers=site.transformers, concentrators=links, modules=ends)
    database.replace(wanted, ENGINEER)

    assert same(open_registry(sqlite(tmp_path)).load(), wanted)


def test_two_modules_may_swap_names_and_indices_in_one_change(database: RegistryDatabase, tmp_path: Path) -> None:
    """Unique columns do not stand in the way, and the order of things stays."""
    site = database.replace(a_site(), ENGINEER)
    one, two, three = site.modules
    swapped = (
        attrs.evolve(one, name=two.name, index=two.index), attrs.evolve(two, name=one.name, index=one.index), three
    )
    wanted = attrs.evolve(site, modules=swapped)
    database.replace(wanted, ENGINEER)

    assert same(open_registry(sqlite(tmp_path)).load(), wanted)


def test_the_generation_rises_with_every_change_and_with_nothing_else(database: RegistryDatabase) -> None:
    """So whoever holds a site can tell whether it is the newest."""
    first = database.replace(a_site(), ENGINEER)
    again = database.replace(a_site(), ENGINEER)
    lost = database.set_module_state(HIGH, ModuleState.LOST)

    assert (first.generation, again.generation, lost.generation) == (1, 1, 2)


def test_another_process_sees_the_change(database: RegistryDatabase, tmp_path: Path) -> None:
    """Two open registries of one file: what one changes, the other reads, and changes further."""
    other = open_registry(sqlite(tmp_path))
    other.load()
    database.replace(a_site(), ENGINEER)

    assert same(other.load(), a_site())
    assert other.set_module_state(HIGH, ModuleState.LOST).modules[0].state is ModuleState.LOST
    assert database.load().modules[0].state is ModuleState.LOST
    other.close()


def test_a_wrong_site_is_refused_and_nothing_has_changed(database: RegistryDatabase) -> None:
    """A site made by a program is held to the same rules as a file."""
    before = database.replace(a_site(), ENGINEER)
    wrong = attrs.evolve(a_site(), concentrators=())
    with pytest.raises(ConfigError, match=r"registry: modules.FEDCBA9876543210.concentrator: no concentrator C01"):
        database.replace(wrong, ENGINEER)
    assert database.load() == before


def test_a_change_that_fails_half_way_leaves_nothing(database: RegistryDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit row cannot be written: then neither is the site, nor is it in memory."""
    before = database.load()
    monkeypatch.setattr(database.audit, "note", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        database.replace(a_site(), ENGINEER)
    assert database.load() == before


IMPORT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from scada.registry.database import open_registry
from tests.registry.sites import ENGINEER
database = open_registry(sys.argv[1])
left = int(sys.argv[3])
@event.listens_for(database.engine(), "after_cursor_execute")
def count(connection, cursor, statement, *_):
    global left
    left -= statement.startswith("INSERT")
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
database.import_file(Path(sys.argv[2]), ENGINEER, replace=True)
"""


@pytest.mark.parametrize("inserts", [1, 5, 12])
def test_a_kill_in_the_middle_of_an_import_leaves_nothing_half_done(tmp_path: Path, inserts: int) -> None:
    """SIGKILL between two statements; the registry holds what it held before."""
    renamed = (attrs.evolve(a_site().transformers[0], title="new"),)
    exchange.write(attrs.evolve(a_site(), transformers=renamed), tmp_path / "site")
    before = Site(transformers=a_site().transformers)
    database = open_registry(sqlite(tmp_path))
    database.replace(before, ENGINEER)
    database.close()
    command = [sys.executable, "-c", IMPORT_AND_DIE, sqlite(tmp_path), str(tmp_path / "site"), str(inserts)]
    ended = subprocess.run(command, check=False, timeout=60, env={**os.environ, "PYTHONPATH": os.getcwd()})

    assert ended.returncode == -signal.SIGKILL
    database = open_registry(sqlite(tmp_path))
    assert same(database.load(), before)
    assert (database.audit.count(), database.audit.verify()) == (1, None)
    database.close()


def test_an_engineer_adopts_a_discovered_module_and_the_audit_says_so(database: RegistryDatabase) -> None:
    """Discovered becomes active, in one transaction with its audit row."""
    database.replace(a_site(), ENGINEER)
    site = database.adopt(ENGINEER, 3)

    assert Directory(site).module_of_eui[3].state is ModuleState.ACTIVE
    assert [(row.actor, row.action, row.target) for row in database.audit.page(size=1)] == [
        ("ana", "module.adopt", "0000000000000003")
    ]


@pytest.mark.parametrize(
    ("actor", "eui", "reason"),
    [
        (Actor("v", Role.VIEWER), 3, "a viewer may not adopt"),
        (Actor("d", Role.DISPATCHER), 3, "a dispatcher may not adopt"),
        (Actor("n", Role.ENGINEER, ("north",)), 3, "outside the areas of n"),
        (ENGINEER, HIGH, "C01-001 is active"),
        (ENGINEER, 99, "no module 0000000000000063"),
    ],
)
def test_who_may_not_adopt_is_refused_with_the_reason(
    database: RegistryDatabase, actor: Actor, eui: int, reason: str
) -> None:
    """By role, by area, by state; nothing changes and nothing is audited as done."""
    before = database.replace(a_site(), ENGINEER)
    with pytest.raises(CommandRejected, match=reason):
        database.adopt(actor, eui)
    assert (database.load(), database.audit.count()) == (before, 1)


def test_an_administrator_says_what_meters_cost_and_it_is_audited(database: RegistryDatabase, tmp_path: Path) -> None:
    """One entry a medium; what cannot be is refused with every reason, others may not, and nothing changes."""
    boss, water = Actor("boss", Role.ADMINISTRATOR), MeterTerms(Medium.WATER, 28.5, 120.0, 480.0)
    curve = attrs.evolve(water, tariff=30.0, ages=(0.0, 10.0), rates=(0.1 + 0.2, 0.5))
    database.set_terms(boss, water)
    database.set_terms(boss, MeterTerms(Medium.GAS, 10.0, 0.0, 300.0))
    database.set_terms(boss, curve)
    with pytest.raises(CommandRejected) as wrong:
        database.set_terms(boss, attrs.evolve(curve, tariff=-1.0, rates=(0.5,)))
    with pytest.raises(CommandRejected, match="only administrators may change what meters cost"):
        database.set_terms(ENGINEER, water)
    found = open_registry(sqlite(tmp_path)).load().meter_terms

    assert [str(one).split(":")[0] for one in wrong.value.reasons] == ["tariff", "rates"]
    assert found == (curve, MeterTerms(Medium.GAS, 10.0, 0.0, 300.0))
    assert [(row.actor, row.action, row.target) for row in database.audit.page(size=9)] == [
        ("boss", "meter_terms.set", name) for name in ("water", "gas", "water")
    ]


def test_a_module_is_lost_and_comes_back_but_is_never_adopted_by_it(database: RegistryDatabase) -> None:
    """News of the field moves between active and lost only."""
    database.replace(a_site(), ENGINEER)

    assert database.set_module_state(HIGH, ModuleState.LOST).modules[0].state is ModuleState.LOST
    assert database.set_module_state(HIGH, ModuleState.ACTIVE).modules[0].state is ModuleState.ACTIVE
    assert database.set_module_state(3, ModuleState.LOST).modules[2].state is ModuleState.DISCOVERED
    assert database.set_module_state(3, ModuleState.ACTIVE).modules[2].state is ModuleState.DISCOVERED
    assert database.set_module_state(77, ModuleState.LOST).generation == 3


def test_changes_from_many_threads_are_all_there(database: RegistryDatabase, tmp_path: Path) -> None:
    """Two open registries, four threads: no change overwrites another one."""
    database.replace(a_site(), ENGINEER)
    other = open_registry(sqlite(tmp_path))

    def enter(target: RegistryDatabase, first: int) -> None:
        for number in range(first, first + 10):
            module = Module(1000 + number, f"M{number}", "C02", number)
            target.change(lambda site, new=module: attrs.evolve(site, modules=(*site.modules, new)))

    threads = [threading.Thread(target=enter, args=((database, other)[n % 2], 100 + 10 * n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert {module.index for module in database.load().modules} == {1, 2, *range(100, 140)}
    assert database.load().generation == 41
    other.close()
