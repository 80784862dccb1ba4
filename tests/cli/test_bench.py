"""What `scada bench` is asked to measure."""

import pytest

from scada.cli.bench import AREAS, chosen


@pytest.mark.parametrize(
    ("asked", "measured"),
    [
        (["dmesh"], list(AREAS["dmesh"])),
        (["dmesh", "ingest"], ["ingest"]),
        (["ingest", "decode", "ingest"], ["ingest", "decode"]),
        (["dmesh", "ingest", "bus"], ["ingest", "bus"]),
        (["server", "decode"], [*AREAS["server"], "decode"]),
    ],
)
def test_an_area_is_all_of_its_own_unless_some_of_them_are_named(asked: list[str], measured: list[str]) -> None:
    """Each once, in the order asked."""
    assert chosen(asked) == measured
