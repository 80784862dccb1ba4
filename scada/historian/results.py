"""What analytics computed, row by row: a later put of the same row replaces it and raises its version."""

import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail

from scada.errors import StorageError
from scada.historian.database import DamagedFile, ReadPool, aside_of, begin_anew, naming, open_writer, transaction
from scada.historian.refusals import storage_error
from scada.historian.result_sums import STORED, VALUE_BYTES, sound, summed
from scada.historian.worker import Worker
from scada.ports import ResultRows, ResultTable

RESULT_FILE: Final = "results.sqlite"
COMPUTED_FILE: Final = "balancing.sqlite"           # what balances remember of these results, beside them
WAITING_MOST: Final = 10_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS series(number INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, span INTEGER NOT NULL,
    UNIQUE(kind, name, span));
CREATE TABLE IF NOT EXISTS shape(number INTEGER PRIMARY KEY, columns TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS result(series INTEGER NOT NULL, start INTEGER NOT NULL, version INTEGER NOT NULL,
    shape INTEGER NOT NULL, row BLOB NOT NULL, PRIMARY KEY(series, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS change(number INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, start INTEGER NOT NULL,
    UNIQUE(series, start));
CREATE TRIGGER IF NOT EXISTS result_came AFTER INSERT ON result BEGIN
    INSERT INTO change(series, start) VALUES (new.series, new.start); END;
CREATE TRIGGER IF NOT EXISTS result_went AFTER DELETE ON result BEGIN
    DELETE FROM change WHERE series = old.series AND start = old.start; END;
"""
_CHANGED: Final = (
    "CREATE TRIGGER IF NOT EXISTS result_changed AFTER UPDATE ON result BEGIN "
    "DELETE FROM change WHERE series = old.series AND start = old.start; "
    "INSERT INTO change(series, start) VALUES (new.series, new.start); END;"
)
SUMMED: Final = 1                                   # user_version of a file whose rows all have their check sums
SUMMED_AT_ONCE: Final = 50_000
# Of a file that was made before changes were numbered.
_NUMBER: Final = (
    "INSERT INTO change(series, start) SELECT series, start FROM result WHERE NOT EXISTS (SELECT 1 FROM change)"
)

# Numbers of a fresh file: above all that a file in its place gave, so that destinations take what comes. Changes are rarer.
_BEGIN: Final = "INSERT INTO sqlite_sequence(name, seq) VALUES ('change', ?)"


@attrs.frozen(eq=False)
class _Put:
    kind: str
    span_s: int
    rows: ResultRows
    done: "Deferred[None]"


class ResultHistory:
    """Reads results, from any thread or process; `put` belongs to the process that owns the folder."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self.path, self._pool = directory / RESULT_FILE, pool
        self.damaged = 0                            # rows that were left out
        self.unreadable = False                     # a page of the file, at least

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except DamagedFile:
            self.unreadable = True
            raise

    def put(self, kind: str, name: str, span_s: int, table: ResultTable) -> "Deferred[None]":
        return self.put_many(kind, span_s, rows_of(name, table))

    def put_many(self, kind: str, span_s: int, rows: ResultRows) -> "Deferred[None]":
        return fail(StorageError("this is a reader; results are written by the server"))

    def get(self, kind: str, name: str, span_s: int, first: int, last: int) -> ResultTable:
        return self.get_many(kind, [name], span_s, first, last).table

    def get_many(self, kind: str, names: Sequence[str], span_s: int, first: int, last: int) -> ResultRows:
        with self._noting(), self._pool.reading(self.path) as database:
            if database is None:
                return ResultRows(tuple(names), np.empty(0, np.int64), ResultTable(np.empty(0, np.int64), {}))
            rows = database.execute(
                f"SELECT start, {STORED}, asked.key, number "
                "FROM json_each(?) AS asked CROSS JOIN series CROSS JOIN result "
                "WHERE kind=? AND name=asked.value AND span=? AND series=number AND start >= ? AND start < ? "
                "ORDER BY asked.key, start", (json.dumps(names), kind, span_s, first, last),
            ).fetchall()
            shapes, older = (shapes_of(database), has_older(database)) if rows else ({}, False)
        start, shape, which, series = (np.array([row[place] for row in rows], np.int64) for place in (0, 1, 3, 4))
        found = sound(series, start, shape, [row[2] for row in rows], shapes, older)
        good = np.zeros(len(rows), np.bool_)
        columns: dict[str, NDArray[np.float64]] = {}
        for number, part in found.items():
            good[part.lines] = True
            for place, column in enumerate(shapes[number]):
                columns.setdefault(column, np.full(len(rows), np.nan))[part.lines] = part.values[:, place]
        if not good.all():
            self.damaged += int((~good).sum())
            start, which = start[good], which[good]
            columns = {name: values[good] for name, values in columns.items()}
        return ResultRows(tuple(names), which, ResultTable(start, columns))


class ResultWriter(ResultHistory):
    """`ResultStore`: puts that wait together become durable together."""

    def __init__(self, directory: Path, pool: ReadPool, worker: Worker) -> None:
        super().__init__(directory, pool)
        self._worker = worker
        self._database: sqlite3.Connection | None = None
        self._waiting: deque[_Put] = deque()
        self._listeners: list[Callable[[], None]] = []
        self.stored = 0
        self.trouble = ""
        self.aside: list[Path] = []                 # damaged files that were here before
        self._owed = False                          # balances do not know yet

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Hear that something was stored (reactor thread)."""
        self._listeners.append(listener)

    @property
    def damage(self) -> str:
        """What the operator should look at, "" = nothing."""
        if self.unreadable:
            return f"places in {self.path.name} cannot be read; stop the server and repair it (scada historian repair)"
        if not self.aside:
            n = self.damaged
            return f"{n} rows of results did not match their check sums and were left out" if n else ""
        said = [f"damaged results are set aside as {self.aside[-1].name}"]
        if self._owed:
            said.append("balances are computed anew after the next start")
        return "; ".join(said)

    def open(self) -> None:
        """Open the file, or a fresh one where it is damaged."""
        try:
            self._database = open_results(self.path)
        except DamagedFile as damage:
            self._begin_anew(damage)
        self.aside, self._owed = aside_of(self.path), False         # balances start after this

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def put_many(self, kind: str, span_s: int, rows: ResultRows) -> "Deferred[None]":
        if not self._worker.running:
            return fail(StorageError("the historian is not running"))
        if len(self._waiting) >= WAITING_MOST:
            return fail(StorageError("results come faster than they can be stored"))
        waiting = _Put(kind, span_s, rows, Deferred())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:                 # one job takes all that gathers until it runs
            self._worker.call(self._store).addCallbacks(self._stored, self._failed)
        return waiting.done

    def remove_before(self, before: int, most: int) -> int:
        """Remove rows that begin before a second, so many at most; returns how many went. In the worker's thread."""
        assert self._database is not None
        gone = 0
        with transaction(self._database) as database:
            old = "SELECT number FROM series WHERE EXISTS (SELECT 1 FROM result WHERE series = number AND start < ?)"
            for (series,) in database.execute(f"{old} ORDER BY number LIMIT ?", (before, most)).fetchall():
                gone += database.execute(
                    "DELETE FROM result WHERE series = ?1 AND start IN "
                    "(SELECT start FROM result WHERE series = ?1 AND start < ?2 ORDER BY start LIMIT ?3)",
                    (series, before, most - gone),
                ).rowcount
                if gone >= most:
                    break
        return gone

    # ------------------------------------------------------------------ private
    def _begin_anew(self, damage: DamagedFile) -> None:
        """A crash in between finds the damaged file once more."""
        self.close()
        forget_computed(self.path.parent)
        self.aside.append(begin_anew(damage))
        self._owed = True
        self._database = open_results(self.path)

    def _store(self) -> list[_Put]:
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        try:
            try:
                self._put(taken)
            except DamagedFile as damage:
                self._begin_anew(damage)
                self._put(taken)
        except Exception as error:                  # whoever waits must hear of it, whatever it is
            raise _NotStored(taken, error) from error
        return taken

    def _put(self, taken: Sequence[_Put]) -> None:
        assert self._database is not None
        with naming(self.path), transaction(self._database) as database:
            for put in taken:
                store_many(database, put.kind, put.span_s, put.rows)

    def _stored(self, taken: list[_Put]) -> None:
        self.trouble = ""
        self.stored += len(taken)
        for listener in self._listeners:
            listener()
        for put in taken:
            put.done.callback(None)

    def _failed(self, failure: Any) -> None:
        failure.trap(_NotStored)
        cause = failure.value.cause
        error = storage_error("the result store", self.path.parent, cause) if isinstance(cause, sqlite3.Error) else (
            StorageError(f"the result store failed: {cause!r}")
        )
        self.trouble = str(error)
        for put in failure.value.taken:
            put.done.errback(error)


def put_now(directory: Path, kind: str, name: str, span_s: int, table: ResultTable) -> None:
    """Store rows of one series in a folder that is ours alone; durable when it returns."""
    with closing(open_results(directory / RESULT_FILE)) as database, transaction(database):
        store_rows(database, kind, name, span_s, table)


class _NotStored(Exception):
    """Carries the puts of a failed transaction back to the reactor's thread."""

    def __init__(self, taken: list[_Put], cause: Exception) -> None:
        self.taken, self.cause = taken, cause
        super().__init__(str(cause))


def _rows(columns: Mapping[str, NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    """(n, columns), in the order of the columns."""
    if not columns:
        return np.empty((n, 0))
    return np.stack([np.asarray(column, dtype="<f8") for column in columns.values()], axis=1)


def open_results(path: Path) -> sqlite3.Connection:
    """The writing connection; raises `DamagedFile`."""
    with naming(path):
        database = open_writer(path, _SCHEMA + _CHANGED)
        try:
            if database.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'change'").fetchone() is None:
                database.execute(_BEGIN, (time.time_ns() // 1_000,))
            database.execute(_NUMBER)
            _add_sums(database)
        except sqlite3.Error:
            database.close()
            raise
    return database


def _add_sums(database: sqlite3.Connection) -> None:
    """Once, to rows from before there were sums: they are no changes. What a crash left undone is done the next time."""
    if not has_older(database):
        return
    place: tuple[int, ...] = (-2**63, -2**63)
    columns = shapes_of(database)
    while rows := database.execute(
        f"SELECT series, start, {STORED} FROM result WHERE (series, start) > (?, ?) ORDER BY series, start LIMIT ?",
        (*place, SUMMED_AT_ONCE),
    ).fetchall():
        with transaction(database):
            database.execute("DROP TRIGGER result_changed")
            for shape, names in columns.items():
                count = len(names)
                old = [
                    row for row in rows if row[2] == shape and len(row[3]) == VALUE_BYTES * count
                    and isinstance(row[0], int) and isinstance(row[1], int)
                ]
                values = np.frombuffer(b"".join(row[3] for row in old), "<f8").reshape(len(old), count)
                keys = np.array([row[:2] for row in old], np.int64).reshape(-1, 2)
                new, size = summed(keys[:, 0], keys[:, 1], names, values), VALUE_BYTES * (count + 1)
                database.executemany("UPDATE result SET row = ? WHERE series = ? AND start = ?", [
                    (new[size * line:size * (line + 1)], *key) for line, key in enumerate(keys.tolist())
                ])
            database.execute(_CHANGED)
        place = rows[-1][:2]
    database.execute(f"PRAGMA user_version = {SUMMED}")


def forget_computed(directory: Path) -> None:
    """Let balances take nothing for computed: without their memory they begin anew at the next start."""
    for suffix in ("-wal", "-shm", ""):
        (directory / f"{COMPUTED_FILE}{suffix}").unlink(missing_ok=True)


def shapes_of(database: sqlite3.Connection) -> dict[int, list[str]]:
    """Names of columns by number; those that cannot be read are nobody's."""
    found = {}
    for number, text in database.execute("SELECT number, columns FROM shape"):
        with suppress(ValueError, TypeError):
            found[number] = json.loads(text)
    return found


def has_older(database: sqlite3.Connection) -> bool:
    """Whether rows may be there that have no check sum yet."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return bool(version < SUMMED)


def rows_of(name: str, table: ResultTable) -> ResultRows:
    """Rows of one series."""
    return ResultRows((name,), np.zeros(len(table.start), np.int64), table)


def store_rows(database: sqlite3.Connection, kind: str, name: str, span_s: int, table: ResultTable) -> None:
    """Put rows of one series, inside a transaction."""
    store_many(database, kind, span_s, rows_of(name, table))


def store_many(database: sqlite3.Connection, kind: str, span_s: int, rows: ResultRows) -> None:
    """Put rows of several series, inside a transaction.

    One statement for all rows: the interpreter is left alone meanwhile, where a step for each would wait for it each time.
    """
    names = json.dumps(rows.names)
    key = names, kind, span_s
    database.execute("INSERT OR IGNORE INTO series(name, kind, span) SELECT value, ?2, ?3 FROM json_each(?1)", key)
    numbers = np.array(database.execute(
        "SELECT number FROM json_each(?) AS asked CROSS JOIN series WHERE kind=? AND name=asked.value AND span=? "
        "ORDER BY asked.key", key,
    ).fetchall(), dtype=np.int64).reshape(-1)
    columns = json.dumps(list(rows.table.columns))
    database.execute("INSERT OR IGNORE INTO shape(columns) VALUES (?)", (columns,))
    (shape,) = database.execute("SELECT number FROM shape WHERE columns=?", (columns,)).fetchone()
    keys = np.column_stack((numbers[rows.which], rows.table.start)).astype(np.int64)
    blob = summed(keys[:, 0].copy(), keys[:, 1].copy(), list(rows.table.columns), _rows(rows.table.columns, len(keys)))
    database.execute(
        "INSERT INTO result SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 1, ?2, "
        "substr(?3, 1 + key * ?4, ?4) FROM json_each(?1) WHERE true ON CONFLICT(series, start) DO UPDATE SET "
        "version = version + 1, shape = excluded.shape, row = excluded.row",
        (json.dumps(keys.tolist()), shape, blob, VALUE_BYTES * (len(rows.table.columns) + 1)),
    )
