"""InfluxQL: the questions history is asked for in InfluxDB, and what its answers say. Pure.

Answers come in chunks, a line of JSON each, so that a long one needs no more memory than its parts. Two things look like
success and are none: an error inside an answer of status 200, and a stream that ends while it promises more.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from scada.errors import StorageError
from scada.historian.lines import measurement, series_name
from scada.ports import ResultTable

CHANNELS_AT_ONCE: Final = 64                        # in one statement; a URL of 4 KB
SPAN_S: Final = 3 * 86_400                          # of one statement: InfluxDB 3 Core refuses more than 72 h
CHUNK_ROWS: Final = 10_000
VALUE_AND_STATUS: Final = ("v", "q")                # of intervals and samples
LAST_S: Final = (2**63 - 1) // 10**9                # no time is later: they are ns in 64 bits


@attrs.frozen
class Chunk:
    """Some rows of one series, in the order asked for."""

    tags: Mapping[str, str]
    rows: Sequence[tuple[Any, ...]]                             # time, and a value or None a column
    columns: Sequence[str] = VALUE_AND_STATUS


def pulses_of(channels: Iterable[tuple[int, int]], interval_s: int, start: int, end: int) -> str:
    """Intervals of (EUI, channel) that begin in [start, end) s, oldest first."""
    wanted = " OR ".join(f'"m" = {quoted(series_name(*one))}' for one in channels)
    return (
        f'SELECT v, q FROM "{measurement(interval_s)}" WHERE ({wanted}) AND time >= {start}s AND time < {end}s GROUP BY "m"'
    )


def samples_of(tag: str, start: int, end: int, limit: int) -> str:
    """The newest samples of a tag in [start, end) ms, newest first."""
    within = f"time >= {start}ms AND time < {end}ms"
    name = quoted(tag.replace("\n", " "))           # as `lines.escaped` has written it
    return f'SELECT v, q FROM "live" WHERE "tag" = {name} AND {within} ORDER BY time DESC LIMIT {limit}'


def results_of(kind: str, span_s: int, name: str, first: int, last: int) -> str:
    """Rows of results of one name that begin in [first, last) s, oldest first, with all their quantities."""
    source = f"{kind}_{span_s}".replace("\\", "\\\\").replace('"', '\\"')
    within = f"time >= {max(first, -LAST_S)}s AND time < {min(last, LAST_S)}s"
    return f'SELECT * FROM "{source}" WHERE "name" = {quoted(name)} AND {within}'


def quoted(text: str) -> str:
    """A string as InfluxQL reads it."""
    said = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{said}'"


def chunks(lines: Iterable[bytes], where: str, columns: Sequence[str] | None = VALUE_AND_STATUS) -> Iterator[Chunk]:
    """
    The chunks of an answer to one statement, with these columns beside the time; None: with all there are.

    Raises
    ------
    StorageError
        It says an error, ends too early, or is nothing that InfluxDB says; `where` is named.
    """
    more = True
    for line in lines:
        if not line.strip():
            continue
        more = False
        for result in _results(line, where):
            if "error" in result:
                raise StorageError(f"{where} refuses a query: {str(result['error'])[:200]}")
            more = more or bool(result.get("partial"))
            yield from (_chunk(one, where, columns) for one in result.get("series", ()))
    if more:
        raise StorageError(f"the answer of {where} ends in its middle")


def table_of(found: Iterable[Chunk]) -> ResultTable:
    """Rows of results; a quantity without any value is of other names of the kind, and what is no number is a tag."""
    start, columns = list[int](), dict[str, list[Any]]()
    for chunk in found:
        values = {column: [row[place] for row in chunk.rows] for place, column in enumerate(chunk.columns, start=1)}
        for column in columns.keys() | values.keys():
            columns.setdefault(column, [None] * len(start)).extend(values.get(column, [None] * len(chunk.rows)))
        start += [row[0] for row in chunk.rows]
    return ResultTable(np.array(start, dtype=np.int64), {
        column: np.array(values, dtype=np.float64)                      # None is NaN
        for column, values in sorted(columns.items())
        if any(one is not None for one in values) and not any(isinstance(one, str) for one in values)
    })


def _results(line: bytes, where: str) -> Sequence[Any]:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if isinstance(said, dict) and "error" in said:
        raise StorageError(f"{where} refuses a query: {str(said['error'])[:200]}")
    if not isinstance(said, dict) or not isinstance(found := said.get("results"), list) or not all(
        isinstance(one, dict) for one in found
    ):
        raise StorageError(f"{where} does not answer as InfluxDB does")
    return found


def _chunk(series: Mapping[str, Any], where: str, wanted: Sequence[str] | None) -> Chunk:
    try:
        there = list(series["columns"])
        columns = tuple(name for name in there if name != "time") if wanted is None else tuple(wanted)
        places = [there.index(name) for name in ("time", *columns)]
        rows = [tuple(row[place] for place in places) for row in series["values"]]
        return Chunk(dict(series.get("tags") or {}), rows, columns)
    except (KeyError, ValueError, IndexError, TypeError):
        raise StorageError(f"{where} does not answer as InfluxDB does") from None
