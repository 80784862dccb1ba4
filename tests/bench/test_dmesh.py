"""The measurements of a city measure: real driver, real historian, real sockets, and everything is read back."""

import pytest

from scada.bench.dmesh import ingest, sessions
from scada.bench.dmesh.city import City

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def test_a_small_city_is_taken_and_read_back() -> None:
    """No limit on speed here; the comparison of what was sent and what is stored is part of the measurement."""
    day, push = City(concentrators=6, modules=20), City(concentrators=6, modules=20, block_hours=1, hours=2)
    figures = {figure.id: figure.value for figure in ingest.measure(day, push)}

    assert {"ingest_per_s", "ingest_hourly_per_s", "city_backlog_s", "handshakes_per_s"} <= set(figures)
    assert all(value > 0 for value in figures.values())


def test_a_few_sessions_are_held() -> None:
    """All of them are up, and the process says what it needed."""
    figures = {figure.id: figure.value for figure in sessions.measure(City(concentrators=30, modules=0), hold_s=1.0)}

    assert figures["sessions"] == 30
    assert figures["sessions_memory"] > 0
