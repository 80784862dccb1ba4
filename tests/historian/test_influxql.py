"""Questions in InfluxQL, and answers that look like success and are none."""

import json
from typing import Any

import pytest

from scada.errors import StorageError
from scada.historian.influxql import Chunk, chunks, pulses_of, quoted, results_of, samples_of, table_of

WHERE = "city (http://influx:8086)"


def line(*series: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"results": [{"statement_id": 0, "series": list(series), **more}]}).encode() + b"\n"


def series(rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    return {"name": "mh", "tags": {"m": "a/0"}, "columns": ["time", "v", "q"], "values": rows, **more}


def test_questions_name_their_channels_and_their_range() -> None:
    """Identifiers in double quotes, for `tag` is a word of the language; the end is exclusive."""
    assert pulses_of([(0x12, 0), (0x12, 2)], 3600, 7200, 10_800) == (
        "SELECT v, q FROM \"mh\" WHERE (\"m\" = '0000000000000012/0' OR \"m\" = '0000000000000012/2') "
        "AND time >= 7200s AND time < 10800s GROUP BY \"m\""
    )
    assert 'FROM "m900"' in pulses_of([(1, 0)], 900, 0, 1)
    assert samples_of("T01/power", 1, 5, 10) == (
        "SELECT v, q FROM \"live\" WHERE \"tag\" = 'T01/power' AND time >= 1ms AND time < 5ms ORDER BY time DESC LIMIT 10"
    )


def test_results_are_asked_for_with_all_their_quantities() -> None:
    """A measurement of their kind and length; an end that no clock ever shows is one InfluxQL can say."""
    assert results_of("balance", 3600, "street 'A'", 0, 2**40) == (
        "SELECT * FROM \"balance_3600\" WHERE \"name\" = 'street \\'A\\'' AND time >= 0s AND time < 9223372036s"
    )


def test_results_of_many_chunks_are_one_table() -> None:
    """A quantity of one chunk alone is missing in the other; what others have, and the name, is no quantity of ours."""
    one = {"columns": ["time", "feed", "theirs", "name"], "values": [[1, 5, None, "a"], [2, None, None, "a"]]}
    other = {"columns": ["time", "name", "loss"], "values": [[3, "a", 0.5]]}
    found = table_of(chunks([line(one), line(other)], WHERE, None))

    assert found.start.tolist() == [1, 2, 3]
    assert {name: repr(values.tolist()) for name, values in found.columns.items()} == {
        "feed": "[5.0, nan, nan]", "loss": "[nan, nan, 0.5]",
    }


def test_a_name_cannot_leave_its_quotes() -> None:
    """Quotes and backslashes are said as InfluxQL wants them."""
    assert quoted("a' OR 'b' = 'b") == r"'a\' OR \'b\' = \'b'"
    assert quoted("a\\") == r"'a\\'"


def test_an_answer_comes_chunk_by_chunk() -> None:
    """In any order of columns; empty lines say nothing."""
    other = {"columns": ["time", "q", "v"], "values": [[3, None, 7.0]]}
    found = list(chunks([line(series([[1, 5.0, None]], partial=True), partial=True), b"\n", line(other)], WHERE))

    assert found == [Chunk({"m": "a/0"}, [(1, 5.0, None)]), Chunk({}, [(3, 7.0, None)])]


def test_nothing_found_is_an_empty_answer() -> None:
    """Not an error."""
    assert list(chunks([b'{"results":[{"statement_id":0}]}\n'], WHERE)) == []


@pytest.mark.parametrize("said", [
    b'{"results":[{"statement_id":0,"error":"database not found: scada"}]}', b'{"error":"database not found: scada"}',
])
def test_an_error_inside_an_answer_of_status_200_is_an_error(said: bytes) -> None:
    """It names the place and what it said."""
    with pytest.raises(StorageError, match=r"city \(http://influx:8086\) refuses a query: database not found: scada"):
        list(chunks([said], WHERE))


@pytest.mark.parametrize("lines", [[], [line(series([[1, 5.0, None]]), partial=True)]])
def test_an_answer_that_ends_too_early_is_an_error(lines: list[bytes]) -> None:
    """Never half of the truth taken for all of it."""
    with pytest.raises(StorageError, match="ends in its middle"):
        list(chunks(lines, WHERE))


@pytest.mark.parametrize("said", [
    b"<html>", b"[]", b'{"results":[3]}', b'{"results":7}', line({"columns": ["time", "v"], "values": [[1, 2]]}),
    line({"columns": ["time", "v", "q"], "values": [[1]]}), line({"columns": ["time", "v", "q"], "values": 3}),
])
def test_what_is_no_influxdb_is_told_apart(said: bytes) -> None:
    """A login page, another program."""
    with pytest.raises(StorageError, match="does not answer as InfluxDB does"):
        list(chunks([said], WHERE))
