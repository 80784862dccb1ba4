"""The measurements of a city measure: real driver, real historian, real sockets, and everything is read back."""

import pytest

from scada.bench import decode
from scada.bench.dmesh import fanout, faults, ingest, sessions
from scada.bench.dmesh.city import City
from scada.simulate.faults import CATALOGUE

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


def test_a_group_command_to_a_small_city_ends_with_every_module_in_one_state() -> None:
    """Real desk, journal, driver and sockets; what is on disk afterwards is read back by the measurement itself."""
    figures = {figure.id: figure.value for figure in fanout.measure(City(concentrators=6, modules=20))}

    assert 0 < figures["fanout_s"] < figures["fanout_final_s"]
    assert figures["fanout_memory"] > 0


def test_a_fault_is_played_and_what_is_lost_is_counted() -> None:
    """The first of the catalogue, and none of its readings is missing."""
    figures = {figure.id: figure.value for figure in faults.measure(tuple(CATALOGUE.values())[:1])}

    assert figures["lost_or_doubled"] == 0
    assert figures["faults_readings"] > 300


def test_small_frames_are_legal_and_decoded() -> None:
    """Nothing of a city's archive is refused."""
    assert {figure.id for figure in decode.small_frames()} == {"profile_decode_per_s", "profile_decode_wall"}
