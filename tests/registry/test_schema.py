"""The database: migrations make what the models say, and what cannot be used is told in a sentence."""

import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from scada.errors import StartError, StorageError
from scada.registry.models import Base, MeterRow
from scada.registry.schema import MIGRATIONS, make_engine, migrate, reading, writing
from tests.registry.sites import sqlite


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(sqlite(tmp_path))
    migrate(engine)
    yield engine
    engine.dispose()


def definitions(connection: Connection) -> dict[str, list[str]]:
    """Every table, index and trigger; order means nothing, and columns that were added later share a line."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {
        name: sorted(
            part.strip().rstrip(",") for line in sql.splitlines() for part in re.split(r", (?=\w+ [A-Z]+)", line)
        )
        for name, sql in rows
    }


def test_the_migrations_make_exactly_the_tables_of_the_models(engine: Engine, tmp_path: Path) -> None:
    """Compared as SQLite keeps them, statement by statement: columns, keys, checks, indexes."""
    from_models = make_engine(sqlite(tmp_path, "models.sqlite"))
    with writing(from_models) as connection:
        Base.metadata.create_all(connection)
    with reading(from_models) as connection:
        wanted = definitions(connection)
    with reading(engine) as connection:
        migrated = definitions(connection)
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
    from_models.dispose()

    assert {name: migrated[name] for name in wanted} == wanted
    assert migrated.keys() - wanted.keys() == {"alembic_version", "audit_no_update", "audit_no_delete"}
    assert differences == []


def test_the_models_are_valid_for_postgresql() -> None:
    """The same tables can be written down in PostgreSQL's words, with keys checked at commit."""
    made = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in Base.metadata.sorted_tables]

    assert len(made) == 23
    assert sum(one.count("DEFERRABLE INITIALLY DEFERRED") for one in made) == 22
    assert any("eui CHAR(16) NOT NULL" in one for one in made)


def test_limits_of_groups_that_nobody_gave_become_those_of_their_media(tmp_path: Path) -> None:
    """Ten was what stood there; others stay, and so do the members, whose table refers to the one that is made anew."""
    engine = make_engine(sqlite(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        for number, limit in enumerate((10.0, 20.0), 1):
            connection.exec_driver_sql(
                "INSERT INTO balance_groups VALUES (?, ?, 'water', '', NULL, '', NULL, NULL, ?, 'free', 0, 0)",
                (number, f"G{number}", limit),
            )
            connection.exec_driver_sql("INSERT INTO balance_group_members VALUES (?, 0, 'P')", (f"G{number}",))
    migrate(engine)
    with reading(engine) as connection:
        found = connection.exec_driver_sql(
            "SELECT name, limit_percent, member FROM balance_groups JOIN balance_group_members ON owner = name ORDER BY 1"
        ).fetchall()
    engine.dispose()

    assert [tuple(one) for one in found] == [("G1", None, "P"), ("G2", 20.0, "P")]


def test_migrating_twice_is_migrating_once(engine: Engine) -> None:
    """A database at head is left alone."""
    with reading(engine) as connection:
        before = definitions(connection)
    migrate(engine)
    with reading(engine) as connection:
        assert definitions(connection) == before


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Schema changes are in one transaction too: a table in the way, and no other one was made."""
    with sqlite3.connect(tmp_path / "registry.sqlite") as other:
        other.execute("CREATE TABLE meters (id INTEGER)")
    engine = make_engine(sqlite(tmp_path))
    with pytest.raises(StartError, match="belongs to another program"):
        migrate(engine)
    with reading(engine) as connection:
        assert definitions(connection).keys() == {"meters"}
    engine.dispose()


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    """Its revision is unknown here; nothing is touched."""
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartError, match=r"revision 9999.*newer.*install the newer program"):
        migrate(engine)


def test_a_locked_database_is_told_as_such(tmp_path: Path) -> None:
    """Another process holds the write lock for longer than we wait."""
    engine = make_engine(sqlite(tmp_path), busy_ms=50)
    with sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StartError, match=r"locked.*end that one"):
            migrate(engine)
    other.close()
    engine.dispose()


def test_a_database_that_cannot_be_written_is_told_as_such(engine: Engine, tmp_path: Path) -> None:
    """Opened read-only, which is what a wrong owner comes to."""
    engine.dispose()
    (tmp_path / "new.sqlite").touch()
    read_only = make_engine(f"sqlite:///file:{tmp_path}/new.sqlite?mode=ro&uri=true")
    with pytest.raises(StartError, match=r"readonly.*owner and mode"):
        migrate(read_only)
    read_only.dispose()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://", "in memory keeps nothing"),
        ("nonsense", "the database URL cannot be used"),
        ("oracle9i://x", "the database URL cannot be used"),
        ("sqlite:////dev/null/registry.sqlite", "cannot be opened"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_as_such(url: str, told: str) -> None:
    """Before anything is started."""
    with pytest.raises(StartError, match=told):
        make_engine(url)


def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    """Somebody's notes are not overwritten."""
    (tmp_path / "registry.sqlite").write_text("notes " * 1000)
    engine = make_engine(sqlite(tmp_path))
    with pytest.raises(StartError, match=r"not a database.*name another one"):
        migrate(engine)
    engine.dispose()


def test_a_full_disk_is_a_storage_error(engine: Engine) -> None:
    """SQLite's own limit on pages stands for the disk's; the sentence holds no value of the statement."""

    def fill() -> None:
        with writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
            people = [(f"u{number}", "x" * 150) for number in range(1000)]
            connection.exec_driver_sql("INSERT INTO users VALUES (?, ?, 'viewer', 'en', 0, 0)", people)

    with pytest.raises(StorageError, match="full") as caught:
        fill()
    assert "xxx" not in str(caught.value)


def test_only_the_owner_may_read_the_file(engine: Engine, tmp_path: Path) -> None:
    """It holds password hashes."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("registry.sqlite*")}

    assert set(modes.values()) == {0o600}


def test_sqlite_is_durable_and_keeps_foreign_keys(engine: Engine) -> None:
    """The pragmas hold on every connection."""
    with reading(engine) as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in (
            "journal_mode", "synchronous", "foreign_keys")}

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_reference_to_nothing_is_refused_by_the_database_too(engine: Engine) -> None:
    """At commit, whatever our own checks have missed."""
    meter = {"id": 1, "serial": "", "point": "P", "eui": 2**64 - 1, "channel": 0, "pulses_per_unit": 1.0, "valid_from": 1,
             "accuracy_class": 1.0}
    with pytest.raises(StorageError, match="FOREIGN KEY"), writing(engine) as connection:
        connection.execute(insert(MeterRow), meter)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(MeterRow), meter | {"pulses_per_unit": 0.0})
