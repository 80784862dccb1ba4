"""A second backend of the key store, for the tests: a table, as it would be in a database beside the registry.

One row, replaced as a whole, whose version is the stamp; the lock is a transaction of its own (where PostgreSQL would take
an advisory lock).
"""

import contextlib
from collections.abc import Hashable, Iterator
from pathlib import Path

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, create_engine, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from scada.errors import StorageError

METADATA = MetaData()
VAULT = Table("vault", METADATA, Column("version", Integer, primary_key=True), Column("content", LargeBinary))


class TableVault:
    """One row of a table."""

    def __init__(self, path: Path) -> None:
        self.name = f"table vault in {path}"
        connect = {"timeout": 30, "check_same_thread": False}
        self._engine = create_engine(f"sqlite:///{path}", connect_args=connect)
        lock = f"sqlite:///{path.with_suffix('.lock')}"     # we say BEGIN and ROLLBACK there ourselves
        self._lock = create_engine(lock, connect_args=connect, isolation_level="AUTOCOMMIT")
        METADATA.create_all(self._engine)

    def stamp(self) -> Hashable | None:
        with self._told(), self._engine.connect() as connection:
            return connection.execute(select(VAULT.c.version)).scalar_one_or_none()

    def read(self) -> bytes | None:
        with self._told(), self._engine.connect() as connection:
            return connection.execute(select(VAULT.c.content)).scalar_one_or_none()

    def replace(self, data: bytes) -> None:
        with self._told(), self._engine.begin() as connection:
            changed = connection.execute(update(VAULT).values(version=VAULT.c.version + 1, content=data))
            if not changed.rowcount:
                connection.execute(insert(VAULT).values(version=1, content=data))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._told():
            connection = self._lock.connect()
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.exec_driver_sql("ROLLBACK")
            connection.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StorageError(f"{self.name} cannot be used: {type(error).__name__}") from error
