"""What analytics computed, row by row: a later put of the same row replaces it and raises its version."""

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from scada.errors import StorageError
from scada.historian import former
from scada.historian.database import DamagedFile, ReadPool, aside_of, begin_anew, naming, transaction
from scada.historian.refusals import storage_error
from scada.historian.result_file import (
    BEFORE_ALL,
    RESULT_FILE,
    Place,
    add_sums,
    forget_computed,
    has_older,
    open_results,
    shapes_of,
)
from scada.historian.result_sums import STORED, VALUE_BYTES, sound, summed
from scada.historian.worker import Worker
from scada.ports import ResultRows, ResultTable

WAITING_MOST: Final = 10_000
SUMMED_BETWEEN: Final = 5_000                       # rows of an earlier version, in one job of the worker
_log = Logger()


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

    def get(
        self, kind: str, name: str, span_s: int, first: int, last: int, as_of: int | None = None
    ) -> ResultTable:
        return self.get_many(kind, [name], span_s, first, last, as_of).table

    def get_many(
        self, kind: str, names: Sequence[str], span_s: int, first: int, last: int, as_of: int | None = None
    ) -> ResultRows:
        with self._noting(), self._pool.reading(self.path) as database:
            if database is None:
                return ResultRows(tuple(names), np.empty(0, np.int64), ResultTable(np.empty(0, np.int64), {}))
            sought = kind, names, span_s, first, last
            rows = former.as_of(database, *sought, as_of) if as_of is not None else database.execute(
                f"SELECT start, {STORED}, asked.key, number "
                "FROM json_each(?) AS asked CROSS JOIN series CROSS JOIN result "
                "WHERE kind=? AND name=asked.value AND span=? AND series=number AND start >= ? AND start < ? "
                "ORDER BY asked.key, start", (json.dumps(names), kind, span_s, first, last),
            ).fetchall()
            shapes = shapes_of(database) if rows else {}
            older = as_of is not None or (bool(rows) and has_older(database))       # what was replaced may have no sum
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
    """`ResultStore`: puts that wait together become durable together.

    With a clock [ns], what is replaced is kept with the instant.
    """

    def __init__(self, directory: Path, pool: ReadPool, worker: Worker, now: Callable[[], int] | None = None) -> None:
        super().__init__(directory, pool)
        self._now = now
        self._worker = worker
        self._database: sqlite3.Connection | None = None
        self._waiting: deque[_Put] = deque()
        self._listeners: list[Callable[[], None]] = []
        self.stored = 0
        self.trouble = ""
        self.aside: list[Path] = []                 # damaged files that were here before
        self._owed = False                          # balances do not know yet
        self._summed: Place | None = None           # up to where rows of an earlier version have sums; None: all have

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
            self._database = open_results(self.path, sums=False)
            self._summed = BEFORE_ALL if has_older(self._database) else None
        except DamagedFile as damage:
            self._begin_anew(damage)
        self.aside, self._owed = aside_of(self.path), False         # balances start after this
        if self._now is None and self._database is not None:
            with transaction(self._database) as database:
                former.forget(database)

    def start(self) -> None:
        """Give rows of an earlier version their sums, piece by piece between other work (reactor thread)."""
        if self._summed is not None and self._worker.running:
            self._worker.call(self._add_sums).addCallbacks(lambda _: self.start(), self._sums_failed)

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
                    return gone
            return gone + former.remove_begun(database, before, most - gone)

    def remove_replaced(self, before: int, most: int) -> int:
        """Remove what was replaced before a second, so many rows at most; returns how many went. In the worker's thread."""
        assert self._database is not None
        with transaction(self._database) as database:
            return former.remove_replaced(database, before, most)

    # ------------------------------------------------------------------ private
    def _begin_anew(self, damage: DamagedFile) -> None:
        """A crash in between finds the damaged file once more."""
        self.close()
        forget_computed(self.path.parent)
        self.aside.append(begin_anew(damage))
        self._owed, self._summed = True, None
        self._database = open_results(self.path)

    def _add_sums(self) -> None:
        if self._database is not None and self._summed is not None:
            self._summed = add_sums(self._database, self._summed, SUMMED_BETWEEN)

    def _sums_failed(self, failure: Any) -> None:
        """A full disk, or a bad page: the next start goes on."""
        _log.warn("sums of results: {why}", why=failure.getErrorMessage())

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
                store_many(database, put.kind, put.span_s, put.rows, self._now and self._now())

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


def rows_of(name: str, table: ResultTable) -> ResultRows:
    """Rows of one series."""
    return ResultRows((name,), np.zeros(len(table.start), np.int64), table)


def store_rows(database: sqlite3.Connection, kind: str, name: str, span_s: int, table: ResultTable) -> None:
    """Put rows of one series, inside a transaction."""
    store_many(database, kind, span_s, rows_of(name, table))


def store_many(
    database: sqlite3.Connection, kind: str, span_s: int, rows: ResultRows, at: int | None = None
) -> None:
    """Put rows of several series, inside a transaction; with an instant [ns], what they replace is kept.

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
    asked = json.dumps(keys.tolist())
    if at is not None:
        former.keep(database, asked, len(keys), at)
    database.execute(
        "INSERT INTO result SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 1, ?2, "
        "substr(?3, 1 + key * ?4, ?4) FROM json_each(?1) WHERE true ON CONFLICT(series, start) DO UPDATE SET "
        "version = version + 1, shape = excluded.shape, row = excluded.row",
        (asked, shape, blob, VALUE_BYTES * (len(rows.table.columns) + 1)),
    )
