"""History as Parquet: the columns of each kind with their units, and a file that is written a row group at a time.

The same rows give the same bytes: no time, no name of a machine is in a file.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scada.errors import StorageError

SCHEMA: Final = 1                                   # raised when a column changes its meaning
ROWS: Final = 1 << 18                               # of a row group: what is in memory at once
Columns = Mapping[str, NDArray[Any]]                # numpy arrays of as many rows each
_PLAIN: Final = frozenset({"pulses", "register", "value", "limit", "at", "received", "sequence"})     # hardly ever repeat
_HEX: Final = pa.dictionary(pa.int32(), pa.string())
_NAME: Final = pa.dictionary(pa.int32(), pa.string())


def _field(name: str, kind: Any, said: str, *, unit: str = "", nullable: bool = False) -> Any:
    about = {"description": said} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, nullable=nullable, metadata=about)


_FIELDS: Final[Mapping[str, Sequence[Any]]] = {
    "intervals": (
        _field("eui", _HEX, "EUI-64 of the module, 16 hexadecimal digits"),
        _field("channel", pa.uint8(), "input of the module"),
        _field("link", _HEX, "link id of the concentrator that delivered the channel first, 8 hexadecimal digits"),
        _field("interval_s", pa.int32(), "length of the interval", unit="s"),
        _field("start", pa.timestamp("ms", tz="UTC"), "start of the interval", unit="ms since 1970, UTC"),
        _field("pulses", pa.int64(), "in the interval; null = missing", unit="pulse", nullable=True),
        _field("status", pa.uint8(), "what the module noticed: 1 open circuit, 2 short circuit, 4 magnet, 8 cover, "
               "16 battery low, 32 clock adjusted, 64 clock invalid, 128 power down", unit="bits"),
        _field("register", pa.int64(), "at the start of the interval, modulo 2^32, where it does not follow from an "
               "earlier one of the same day and the pulses between; else null", unit="pulse", nullable=True),
        _field("version", pa.int64(), "of the block of 256 channels and a day in which the interval last changed"),
    ),
    "live": (
        _field("tag", _NAME, "device/tag"),
        _field("at", pa.timestamp("ns", tz="UTC"), "time of the source", unit="ns since 1970, UTC"),
        _field("value", pa.float64(), "may be NaN", unit="of the tag"),
        _field("quality", pa.uint8(), "0 = good; below 128 usable"),
    ),
    "results": (
        _field("kind", _NAME, "what was computed"),
        _field("name", _NAME, "of whom"),
        _field("span_s", pa.int32(), "length of the interval", unit="s"),
        _field("start", pa.timestamp("ms", tz="UTC"), "start of the interval", unit="ms since 1970, UTC"),
        _field("version", pa.int64(), "how often the row was computed"),
        _field("column", _NAME, "the quantity; its unit is at the end of its name"),
        _field("value", pa.float64(), "NaN = not known", unit="of the column"),
    ),
    "events": (
        _field("stream", _NAME, "who says it: device, or alarm = a change of an alarm"),
        _field("source", _NAME, "device, device.chN for a channel, or tag"),
        _field("kind", _NAME, "what happened"),
        _field("state", _NAME, "raised or cleared; of an alarm the state it changed to"),
        _field("at", pa.timestamp("ns", tz="UTC"), "by the clock of the source", unit="ns since 1970, UTC"),
        _field("time_good", pa.bool_(), "whether the source trusted its clock"),
        _field("received", pa.timestamp("ns", tz="UTC"), "when it came", unit="ns since 1970, UTC"),
        _field("sequence", pa.int64(), "number of the source; of an alarm the instant of the change"),
        _field("severity", _NAME, "high, medium or low"),
        _field("value", pa.float64(), "of a limit: what was measured; NaN = none", unit="of `unit`"),
        _field("limit", pa.float64(), "NaN = none", unit="of `unit`"),
        _field("unit", _NAME, "of value and limit"),
        _field("text", _NAME, "a sentence, where the kind does not say it all"),
        _field("author", _NAME, "who acknowledged"),
    ),
}


def schema_of(kind: str) -> Any:
    return pa.schema(_FIELDS[kind], metadata={"scada.kind": kind, "scada.schema": str(SCHEMA)})


class Writer:
    """A Parquet file in the making."""

    def __init__(self, path: Path, kind: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = schema_of(kind)
        names = [field.name for field in self._schema if field.name not in _PLAIN]
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=names)
        self._waiting: list[Columns] = []
        self._rows = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, columns: Columns) -> None:
        """Rows, in numbers; `arrow` says how they are kept."""
        self._waiting.append(columns)
        self._rows += len(next(iter(columns.values())))
        while self._rows >= ROWS:
            self._write(ROWS)

    def finish(self) -> None:
        """Write what waits."""
        if self._rows:
            self._write(self._rows)

    def _write(self, rows: int) -> None:
        """A group of so many rows, whatever pieces they came in: groups depend on the rows alone."""
        together = {name: np.concatenate([one[name] for one in self._waiting]) for name in self._waiting[0]}
        self._file.write_table(arrow({name: column[:rows] for name, column in together.items()}, self._schema))
        self._waiting = [{name: column[rows:] for name, column in together.items()}]
        self._rows -= rows
        self.rows += rows


def arrow(columns: Columns, schema: Any) -> Any:
    """A table of Arrow: missing numbers become null, times and texts what the schema says."""
    return pa.Table.from_arrays([_array(columns[field.name], field) for field in schema], schema=schema)


def groups(path: Path, kind: str) -> Iterator[dict[str, NDArray[Any]]]:
    """The row groups of a file as numpy arrays, one at a time; raises `StorageError` for what is no such file."""
    schema = schema_of(kind)
    texts = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    try:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            _check(path, kind, file.schema_arrow)
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=schema.names)
                yield {field.name: _numbers(table[field.name].combine_chunks(), field) for field in schema}
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error


# ---------------------------------------------------------------------- private
def _array(column: NDArray[Any], field: Any) -> Any:
    if pa.types.is_dictionary(field.type):
        return _texts(column, field)
    if field.nullable:
        return pa.array(column, field.type, mask=column < 0)
    return pa.array(column).cast(field.type)


def _texts(column: NDArray[Any], field: Any) -> Any:
    """Numbers of EUIs and links as hexadecimal texts; texts as they are."""
    unique, codes = np.unique(column, return_inverse=True)
    digits = {"eui": 16, "link": 8}.get(field.name)
    texts = [f"{one:0{digits}X}" for one in unique.tolist()] if digits else unique.tolist()
    return pa.DictionaryArray.from_arrays(pa.array(codes.reshape(-1).astype(np.int32)), pa.array(texts, pa.string()))


def _numbers(array: Any, field: Any) -> NDArray[Any]:
    """The way back."""
    if pa.types.is_dictionary(field.type):
        array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        texts: list[str] = array.dictionary.to_pylist()
        known = [int(one, 16) for one in texts] if field.name in ("eui", "link") else texts
        kind = {"eui": np.uint64, "link": np.int64}.get(field.name, object)
        found: NDArray[Any] = np.array(known, dtype=kind)[array.indices.to_numpy(zero_copy_only=False)]
        return found
    if pa.types.is_timestamp(field.type):
        array = array.cast(pa.int64())
    if field.nullable:
        array = array.fill_null(-1)
    numbers: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return numbers


def _check(path: Path, kind: str, schema: Any) -> None:
    about = schema.metadata or {}
    if about.get(b"scada.kind") != kind.encode():
        raise StorageError(f"{path} holds no {kind} of an export")
    if int(about.get(b"scada.schema", b"0")) > SCHEMA:
        raise StorageError(f"{path} was written by a later version; import it with that one")
