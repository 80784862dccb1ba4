"""The database itself: an engine with the right pragmas, the schema brought to head, errors in plain sentences."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from scada.errors import StartError, StorageError

PART = "registry"
BUSY_MS = 5000                          # how long a writer waits for another process's transaction
MIGRATIONS = Path(__file__).parent / "migrations"


def make_engine(url: str, *, busy_ms: int = BUSY_MS) -> Engine:
    """An engine that is safe to use from any thread; a new SQLite file is made readable by its owner only."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed, busy_ms)
        return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StartError(PART, f"the database URL cannot be used: {error}", "see registry.url") from None


def _sqlite(url: URL, busy_ms: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StartError(PART, "an SQLite database in memory keeps nothing", "give registry.url a file, or leave it empty")
    if not url.database.startswith("file:"):
        path = Path(url.database)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # It holds password hashes; SQLite gives its -wal and -shm files the mode of the main file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StartError(PART, f"{path} cannot be opened: {error.strerror}", "check the folder and its owner") from None
    engine = create_engine(url, connect_args={"timeout": busy_ms / 1000})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None           # we say BEGIN ourselves; sqlite3 would leave DDL outside
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A reader that turns writer may be refused at once, whatever the busy time-out: writers say so at the start.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view: what others commit meanwhile is not in it."""
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with stored("read"), engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: everything or nothing, durable when it ends."""
    with stored("written"), engine.connect().execution_options(write=True) as connection, connection.begin():
        yield connection


@contextmanager
def stored(doing: str) -> Iterator[None]:
    """Turn what a database says into a `StorageError` with a sentence."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StorageError(f"{PART}: the database could not be {doing}: {reason_of(error)}") from error


def reason_of(error: SQLAlchemyError) -> str:
    """What the driver said, without the statement and its values (they may hold a password hash)."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__


def migrate(engine: Engine) -> None:
    """Bring the schema to head; raises `StartError` where that cannot be done."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    try:
        with engine.connect() as connection, connection.begin():
            found = MigrationContext.configure(connection).get_current_heads()
        if set(found) == set(script.get_heads()):
            return
        if unknown := sorted(set(found) - {revision.revision for revision in script.walk_revisions()}):
            raise StartError(
                PART, f"the database is at revision {', '.join(unknown)}, which this program does not know: it is newer",
                "install the newer program, or restore a backup of the registry",
            )
        with engine.connect().execution_options(write=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        reason = reason_of(error)
        raise StartError(PART, f"{_where(engine)} cannot be used: {reason}", _remedy(reason)) from error


def _where(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _remedy(reason: str) -> str:
    for sign, remedy in (
        ("locked", "another process is writing to it; end that one"),
        ("readonly", "check the file's owner and mode"),
        ("unable to open", "check the folder and its owner"),
        ("full", "make room on the disk"),
        ("not a database", "the file is something else; name another one"),
        ("malformed", "restore a backup"),
        ("already exists", "the file belongs to another program; name another one"),
    ):
        if sign in reason:
            return remedy
    return "see registry.url in the configuration"
