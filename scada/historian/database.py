"""SQLite as the historian uses it: WAL and synchronous=FULL for the one writer, a small pool for readers in any thread."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from scada.errors import StorageError

BUSY_SECONDS: Final = 10.0
IDLE_PER_FILE: Final = 4
DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_log = Logger()


class DamagedFile(StorageError):
    """SQLite says that a file's bytes are not what was written: no retry will help."""

    def __init__(self, path: Path, error: sqlite3.Error) -> None:
        super().__init__(f"{path} is damaged: {error}")
        self.path = path


def put_aside(path: Path, at: datetime | None = None) -> Path:
    """Give a damaged file that nobody here has open another name, as evidence; returns it. Nothing is deleted."""
    count, said = len(aside_of(path)), f".{at:%Y%m%dT%H%M%SZ}" if at else ""
    target = path.with_name(f"{path.name}{said}.{count + 1}.damaged" if count else f"{path.name}{said}.damaged")
    for suffix in ("-wal", "-shm", ""):             # the file last: a log without its file would enter the fresh one
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


def aside_of(path: Path) -> list[Path]:
    """The damaged ones that had this name, as far as nobody has taken them away."""
    return sorted(path.parent.glob(f"{path.name}*.damaged"))


def all_aside(directory: Path) -> list[Path]:
    """The damaged files of a folder, whatever they were."""
    return sorted(directory.glob("*.sqlite*.damaged"))


def begin_anew(damage: DamagedFile) -> Path:
    """Set a damaged file aside under a name that says when; the next `open_writer` makes a fresh one."""
    target = put_aside(damage.path, datetime.now(UTC))
    _log.error("{damage}; it is kept as {aside}, a fresh file goes on", damage=str(damage), aside=target.name)
    return target


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """SQLite's errors do not say of which file they speak: damage becomes `DamagedFile`, the rest stays as it is."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
            raise DamagedFile(path, error) from error
        raise


def open_writer(path: Path, schema: str) -> sqlite3.Connection:
    """The writing connection of a file, its tables made; autocommit: say BEGIN where several statements belong together.

    SQLite's WAL with FULL syncs every commit; with NORMAL the last commits are lost when the power fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(f"BEGIN;{schema}COMMIT;")     # all tables or none: somebody may read it already
    except sqlite3.Error:
        database.close()
        raise
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing of it, durable when the block ends."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def remove_database(path: Path) -> bool:
    """
    Delete a file of SQLite that nobody writes; False where a reader still needs its log: then try again later.

    The log is emptied first, and goes before the file: one that was left would enter a fresh file of that name.
    """
    if not path.exists():
        return False
    with naming(path), closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
        busy: int = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        return False
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return True


class ReadPool:
    """Read-only connections, kept open between reads; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Path, list[tuple[sqlite3.Connection, int]]] = {}      # with the inode that was opened
        self._closed = False

    @contextmanager
    def reading(self, path: Path) -> Iterator[sqlite3.Connection | None]:
        """A connection for one read, in one instant of the file; None if there is no such file yet, or nothing in it.

        Whoever makes a file makes its tables a moment later: until then it is none.
        """
        taken = self._begun(path)
        if taken is None:
            yield None
            return
        database, inode, made = taken
        try:
            with naming(path):
                yield database if made else None
                database.execute("ROLLBACK")
        except sqlite3.Error as error:
            database.close()
            raise StorageError(f"{path} cannot be read: {error}") from error
        except BaseException:
            database.close()
            raise
        self._give_back(path, database, inode)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for databases in idle.values():
            for database, _ in databases:
                database.close()

    def _begun(self, path: Path) -> tuple[sqlite3.Connection, int, bool] | None:
        """
        A connection in an instant of its file, and whether there are tables.

        A file that was removed between its opening and the first read might be read with the log of the one that took
        its name: whether it still has the name is looked at last, and only then nothing can go wrong any more.
        """
        while (taken := self._take(path)) is not None:
            database, inode = taken
            try:
                with naming(path):
                    database.execute("BEGIN")
                    made = database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
            except (sqlite3.Error, DamagedFile) as error:
                database.close()
                if _inode(path) != inode:
                    continue
                if isinstance(error, DamagedFile):
                    raise
                raise StorageError(f"{path} cannot be read: {error}") from error
            if _inode(path) == inode:
                return database, inode, made
            database.close()
        return None

    def _take(self, path: Path) -> tuple[sqlite3.Connection, int] | None:
        """A connection to the file that has this name now; one that was set aside keeps its inode, so it is told apart."""
        inode = _inode(path)
        if inode is None:
            return None
        with self._lock:
            while self._idle.get(path):
                taken = self._idle[path].pop()
                if taken[1] == inode:
                    return taken
                taken[0].close()
        try:
            database = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.OperationalError as error:
            if not path.exists():                   # retention removed it since
                return None
            raise StorageError(f"{path} cannot be read: {error}") from error
        return database, inode

    def _give_back(self, path: Path, database: sqlite3.Connection, inode: int) -> None:
        with self._lock:
            idle = self._idle.setdefault(path, [])
            if not self._closed and len(idle) < IDLE_PER_FILE:
                idle.append((database, inode))
                return
        database.close()


def _inode(path: Path) -> int | None:
    """Of the file that has this name now; None where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


@contextmanager
def reading_once(path: Path) -> Iterator[sqlite3.Connection | None]:
    """`ReadPool.reading` for whoever comes by once: nothing stays open."""
    with closing(ReadPool()) as pool, pool.reading(path) as database:
        yield database
