"""The audit: nothing is changed or removed, and where somebody does, the chain tells."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scada.commands import Actor, Origin, Role
from scada.errors import StorageError
from scada.registry.audit import MAX_DETAIL, Note, digest
from scada.registry.database import RegistryDatabase, open_registry
from scada.registry.schema import reading, writing
from tests.fakes import NOON, site_clock
from tests.registry.sites import ENGINEER, sqlite


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RegistryDatabase]:
    opened = open_registry(sqlite(tmp_path))
    yield opened
    opened.close()


def fill(database: RegistryDatabase, rows: int) -> None:
    for number in range(rows):
        database.audit.append_now(ENGINEER, "test.write" if number % 2 else "login", f"row {number}", number=number)


def tamper(database: RegistryDatabase, statement: str) -> None:
    """What somebody with the file in his hands does: drop the triggers, then change."""
    with writing(database.engine()) as connection:
        for trigger in ("audit_no_update", "audit_no_delete"):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {trigger}")
        connection.exec_driver_sql(statement)


def test_a_row_keeps_who_what_when_and_through_what(tmp_path: Path) -> None:
    """Time is real UTC, also when the site's clock runs fast."""
    clock = site_clock(start=NOON, rate=600.0)
    database = open_registry(sqlite(tmp_path), clock)
    actor = Actor("ion", Role.DISPATCHER, ("north",), Origin.OPCUA)
    database.audit.append_now(actor, "shed.execute", "LG-1", role=Role.DISPATCHER, watts=float("nan"), members=(1, 2))
    (row,) = database.audit.page()

    assert (row.number, row.at, row.actor, row.origin, row.action, row.target) == (
        1, 0, "ion", "opcua", "shed.execute", "LG-1"
    )
    assert row.detail == '{"members":[1,2],"role":"dispatcher","watts":null}'
    database.close()


def test_pages_go_from_the_newest_back(database: RegistryDatabase) -> None:
    """By number, by size, by action."""
    fill(database, 7)

    assert [row.number for row in database.audit.page(size=3)] == [7, 6, 5]
    assert [row.number for row in database.audit.page(before=3)] == [2, 1]
    assert [row.number for row in database.audit.page(action="test.write")] == [6, 4, 2]


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit WHERE number = 1"])
def test_the_database_itself_refuses_to_change_the_past(database: RegistryDatabase, statement: str) -> None:
    """Whatever program it is that tries."""
    fill(database, 2)
    with pytest.raises(StorageError, match="append-only"), writing(database.engine()) as connection:
        connection.exec_driver_sql(statement)
    assert database.audit.verify() is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET actor = 'somebody else' WHERE number = 3", 3),
        ("UPDATE audit SET at = at + 1 WHERE number = 1", 1),
        ("UPDATE audit SET digest = (SELECT digest FROM audit WHERE number = 4) WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number >= 5", 5),
        ("DELETE FROM audit", 1),
        ("UPDATE audit SET number = 9 WHERE number = 6", 6),
    ],
)
def test_tampering_is_found_at_the_first_row_that_does_not_follow(
    database: RegistryDatabase, statement: str, broken: int
) -> None:
    """A changed, exchanged or removed row, and a cut end."""
    fill(database, 6)
    assert database.audit.verify() is None
    tamper(database, statement)

    assert database.audit.verify() == broken


def test_a_forged_row_with_a_digest_of_its_own_breaks_the_row_after_it(database: RegistryDatabase) -> None:
    """Each digest covers the one before: who forges one row must forge all that follow."""
    fill(database, 4)
    with reading(database.engine()) as connection:
        rows = [dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM audit ORDER BY number")]
    number, _ = rows[1].pop("number"), rows[1].pop("digest")
    forged = digest(rows[0]["digest"], number, Note(**rows[1] | {"actor": "forged"}))
    tamper(database, f"UPDATE audit SET actor = 'forged', digest = '{forged}' WHERE number = 2")

    assert database.audit.verify() == 3


def test_appends_from_many_threads_and_processes_make_one_chain(database: RegistryDatabase, tmp_path: Path) -> None:
    """Two open registries of one file and six threads."""
    other = open_registry(sqlite(tmp_path))
    threads = [threading.Thread(target=fill, args=((database, other)[n % 2], 20)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert database.audit.count() == 120
    assert database.audit.verify() is None
    other.close()


def test_secrets_are_masked_by_their_name(database: RegistryDatabase) -> None:
    """A caller's slip must not put a password where nothing can be removed."""
    database.audit.append_now(ENGINEER, "x", password="hunter2hunter2", nested={"api_token": "abc", "kept": 1})
    (row,) = database.audit.page()

    assert json.loads(row.detail) == {"password": "***", "nested": {"api_token": "***", "kept": 1}}


def test_what_strangers_send_can_be_kept(database: RegistryDatabase) -> None:
    """A log-in name may be anything: lone surrogates, NUL, a megabyte."""
    stranger = Actor("\ud800\x00" + "x" * 10**6, Role.VIEWER)
    database.audit.append_now(stranger, "login.failed", "\udfff", text="\ud800" * 10**5)
    (row,) = database.audit.page()

    assert len(row.actor) == 200
    assert "\x00" not in row.actor
    assert len(row.detail) <= 2 * MAX_DETAIL
    assert json.loads(row.detail).keys() == {"cut"}
    assert database.audit.verify() is None
