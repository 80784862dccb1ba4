"""InfluxQL: the questions history is asked for in InfluxDB, and what its answers say. Pure.

Answers come in chunks, a line of JSON each, so that a long one needs no more memory than its parts. Two things look like
success and are none: an error inside an answer of status 200, and a stream that ends while it promises more.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from scada.errors import StorageError
from scada.historian.lines import measurement, series_name

CHANNELS_AT_ONCE: Final = 64                        # in one statement; a URL of 4 KB
SPAN_S: Final = 3 * 86_400                          # of one statement: InfluxDB 3 Core refuses more than 72 h
CHUNK_ROWS: Final = 10_000


@attrs.frozen
class Chunk:
    """Some rows of one series, in the order asked for."""

    tags: Mapping[str, str]
    rows: Sequence[tuple[int, float | None, float | None]]      # time, v, q


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


def quoted(text: str) -> str:
    """A string as InfluxQL reads it."""
    said = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{said}'"


def chunks(lines: Iterable[bytes], where: str) -> Iterator[Chunk]:
    """
    The chunks of an answer to one statement.

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
            yield from (_chunk(one, where) for one in result.get("series", ()))
    if more:
        raise StorageError(f"the answer of {where} ends in its middle")


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


def _chunk(series: Mapping[str, Any], where: str) -> Chunk:
    try:
        columns = series["columns"]
        places = [columns.index(name) for name in ("time", "v", "q")]
        rows = [tuple(row[place] for place in places) for row in series["values"]]
        return Chunk(dict(series.get("tags") or {}), rows)
    except (KeyError, ValueError, IndexError, TypeError):
        raise StorageError(f"{where} does not answer as InfluxDB does") from None
