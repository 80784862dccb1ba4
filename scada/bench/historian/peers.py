"""The stores a user would pick instead, same machine, same data: SQLite with a row a value, DuckDB, Parquet."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.bench import Figure
from scada.bench.historian.pulses import FIRST_DAY, FIRST_HOUR, LINK, Pulses, euis
from scada.errors import ScadaError
from scada.historian.dense import SLOTS
from scada.historian.offline import ClosedHistory
from scada.historian.service import open_reader

METERS: Final = 10_240
DAYS: Final = 30
GROUPS: Final = 100
PEERS: Final = ("sqlite_row", "duckdb", "parquet")
TIMES: Final = 5                        # each query; the median counts


class Store(Protocol):
    """One of them: fills itself, and answers two questions."""

    def fill(self, pulses: Pulses, meters: int, days: int) -> None: ...

    def point(self, meter: int, days: int) -> NDArray[np.int64]: ...

    def groups(self, of_meter: NDArray[np.int64]) -> NDArray[np.int64]:
        """(groups, 24) sums of the first day."""


def measure(meters: int = METERS, days: int = DAYS, names: Sequence[str] = ("scada", *PEERS)) -> list[Figure]:
    """Size, time to durable, a month of one meter, the sums of a hundred groups over a day; answers are compared."""
    figures: list[Figure] = []
    pulses, of_meter = Pulses.make(), np.arange(meters) % GROUPS
    expected = np.zeros((GROUPS, 24), np.int64)
    np.add.at(expected, of_meter, pulses.of(np.arange(meters), FIRST_DAY, 1))
    month = pulses.of(np.array([meters // 2]), FIRST_DAY, days)[0]
    for name in names:
        with tempfile.TemporaryDirectory(prefix="scada-bench-") as folder:
            store = STORES[name](Path(folder))
            began = time.perf_counter()
            store.fill(pulses, meters, days)
            filled = time.perf_counter() - began
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            point, one = _median(partial(store.point, meters // 2, days))
            group, sums = _median(partial(store.groups, of_meter))
        if not (np.array_equal(one, month) and np.array_equal(sums, expected)):
            raise ScadaError(f"{name} does not answer what was put into it")
        values, what = meters * days * 24, f"{name}: {meters:,} meters x {days} days"
        figures += [
            Figure(f"{name}_bytes_per_value", f"{what}, size", size / values, "B"),
            Figure(f"{name}_fill_per_s", f"{what}, until durable", values / filled, "values/s"),
            Figure(f"{name}_point_ms", f"{what}, one meter's month", point, "ms"),
            Figure(f"{name}_groups_ms", f"{what}, {GROUPS} groups x 24 h over all meters", group, "ms"),
        ]
    return figures


def _median(ask: Callable[[], NDArray[np.int64]]) -> tuple[float, NDArray[np.int64]]:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = ask()
        took.append(1000 * (time.perf_counter() - began))
    return float(np.median(took)), answer


@attrs.define
class Ours:
    folder: Path

    def fill(self, pulses: Pulses, meters: int, days: int) -> None:
        with ClosedHistory(self.folder) as history:
            whole = history.whole()
            whole.slots(np.full(meters, LINK), euis(meters), np.zeros(meters, np.uint8))
            for day in range(FIRST_DAY, FIRST_DAY + days):
                whole.enter([pulses.day(day, np.arange(meters // SLOTS))], received=1)

    def point(self, meter: int, days: int) -> NDArray[np.int64]:
        with closing(open_reader(self.folder)) as history:
            slots = history.intervals.slots(euis(meter + 1)[meter:], np.zeros(1, np.uint8))
            counts: NDArray[np.int64] = history.intervals.read(slots, FIRST_HOUR, 24 * days).counts[0]
            return counts

    def groups(self, of_meter: NDArray[np.int64]) -> NDArray[np.int64]:
        with closing(open_reader(self.folder)) as history:
            counts = history.intervals.read(np.arange(len(of_meter)), FIRST_HOUR, 24).counts
        return _sums(counts, of_meter)


@attrs.define
class RowAValue:
    """SQLite, WAL, a row a value in the order of the key."""

    folder: Path

    def fill(self, pulses: Pulses, meters: int, days: int) -> None:
        with closing(self._open()) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE v(meter INT, hour INT, pulses INT, PRIMARY KEY(meter, hour)) WITHOUT ROWID")
            slots = np.arange(meters)
            for start in range(0, meters, 1024):
                part = slots[start:start + 1024]
                columns = _columns(pulses, part, days)
                rows = zip(*(one.tolist() for one in columns), strict=True)
                with database:
                    database.executemany("INSERT INTO v VALUES (?,?,?)", rows)

    def point(self, meter: int, days: int) -> NDArray[np.int64]:
        with closing(self._open()) as database:
            rows = database.execute("SELECT pulses FROM v WHERE meter=? ORDER BY hour", (meter,)).fetchall()
        return np.array(rows, np.int64)[:, 0]

    def groups(self, of_meter: NDArray[np.int64]) -> NDArray[np.int64]:
        with closing(self._open()) as database:
            rows = database.execute(
                "SELECT meter % ?, hour, sum(pulses) FROM v WHERE hour BETWEEN ? AND ? GROUP BY 1, 2 ORDER BY 1, 2",
                (GROUPS, FIRST_HOUR, FIRST_HOUR + 23),
            ).fetchall()
        return np.array(rows, np.int64)[:, 2].reshape(GROUPS, 24)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "rows.sqlite")


@attrs.define
class DuckDb:
    """A table in a DuckDB file."""

    folder: Path

    def fill(self, pulses: Pulses, meters: int, days: int) -> None:
        with closing(self._open()) as database:
            database.execute("CREATE TABLE v(meter INTEGER, hour INTEGER, pulses INTEGER)")
            for start in range(0, meters, 1024):
                meter, hour, count = _columns(pulses, np.arange(start, min(start + 1024, meters)), days)
                table = _library("pyarrow").table({"meter": meter, "hour": hour, "pulses": count})
                database.register("part", table)
                database.execute("INSERT INTO v SELECT * FROM part")
            database.execute("CHECKPOINT")

    def point(self, meter: int, days: int) -> NDArray[np.int64]:
        with closing(self._open()) as database:
            found = database.execute("SELECT pulses FROM v WHERE meter=? ORDER BY hour", [meter]).fetchnumpy()
        return np.asarray(found["pulses"], np.int64)

    def groups(self, of_meter: NDArray[np.int64]) -> NDArray[np.int64]:
        with closing(self._open()) as database:
            found = database.execute(_GROUPED.format("v")).fetchnumpy()
        return np.asarray(found["s"], np.int64).reshape(GROUPS, 24)

    def _open(self) -> Any:
        return _library("duckdb").connect(str(self.folder / "values.duckdb"))


@attrs.define
class Parquet:
    """One file, sorted by meter, zstd, asked through DuckDB."""

    folder: Path

    def fill(self, pulses: Pulses, meters: int, days: int) -> None:
        arrow, parquet = _library("pyarrow"), _library("pyarrow.parquet")
        schema = arrow.schema([("meter", arrow.int32()), ("hour", arrow.int32()), ("pulses", arrow.int32())])
        with parquet.ParquetWriter(self._path, schema, compression="zstd") as writer:
            for start in range(0, meters, 1024):
                columns = _columns(pulses, np.arange(start, min(start + 1024, meters)), days)
                writer.write_table(arrow.table([arrow.array(one, arrow.int32()) for one in columns], schema=schema))

    def point(self, meter: int, days: int) -> NDArray[np.int64]:
        found = self._ask(f"SELECT pulses FROM '{self._path}' WHERE meter={meter} ORDER BY hour")
        return np.asarray(found["pulses"], np.int64)

    def groups(self, of_meter: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(self._ask(_GROUPED.format(f"'{self._path}'"))["s"], np.int64).reshape(GROUPS, 24)

    @property
    def _path(self) -> Path:
        return self.folder / "values.parquet"

    def _ask(self, query: str) -> Any:
        with closing(_library("duckdb").connect()) as database:
            return database.execute(query).fetchnumpy()


STORES: Final[dict[str, Callable[[Path], Store]]] = {
    "scada": Ours, "sqlite_row": RowAValue, "duckdb": DuckDb, "parquet": Parquet,
}
_GROUPED: Final = (
    f"SELECT meter % {GROUPS} AS g, hour, sum(pulses) AS s FROM {{}} WHERE hour BETWEEN {FIRST_HOUR} AND {FIRST_HOUR + 23} "
    "GROUP BY 1, 2 ORDER BY 1, 2"
)


def _columns(pulses: Pulses, slots: NDArray[np.int64], days: int) -> tuple[NDArray[np.int64], ...]:
    """(meter, hour, pulses), by meter and hour."""
    hours = np.arange(FIRST_HOUR, FIRST_HOUR + 24 * days)
    return np.repeat(slots, len(hours)), np.tile(hours, len(slots)), pulses.of(slots, FIRST_DAY, days).reshape(-1)


def _sums(counts: NDArray[np.int64], of_meter: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(of_meter, kind="stable")
    sums: NDArray[np.int64] = np.add.reduceat(counts[order], np.searchsorted(of_meter[order], np.arange(GROUPS)), axis=0)
    return sums


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ScadaError(f"this comparison needs {name}: pip install duckdb pyarrow") from None
