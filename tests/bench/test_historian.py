"""The historian's measurements measure: everything that is written is read back by them."""

import os
import sys
from pathlib import Path

import pytest

from scada.bench.historian import frames, influx, live, peers, whole
from scada.errors import ScadaError
from tests.influx import influxd

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def values(figures: list[object]) -> dict[str, float]:
    return {figure.id: figure.value for figure in figures}  # type: ignore[attr-defined]


def test_whole_blocks_are_imported_and_read_by_another_process() -> None:
    """A few hundred meters; no limit on speed here."""
    found = values([*whole.measure(meters=600, days=2, city=1024)])

    assert {"embedded_write_per_s", "embedded_bytes_per_value", "embedded_rss_mb", "day_10m_s"} <= set(found)
    assert 0 < found["embedded_bytes_per_value"] < 100
    assert found["point_read_ms"] > 0
    assert found["group_sum_ms"] > 0


def test_frames_go_through_the_production_door() -> None:
    """Together and in random order."""
    found = values([*frames.measure(links=2)])

    assert 0 < found["commit_per_s"] <= found["commit_durable_per_s"]
    assert 0 < found["commit_random_per_s"] <= found["commit_random_durable_per_s"]


def test_live_values_are_all_kept_and_durable_within_a_second() -> None:
    """Two seconds of some devices."""
    found = values([*live.measure(devices=40, seconds=2.0)])

    assert found["live_durable_s"] > 0
    assert 0 < found["live_core_share"] < 100


def test_an_influxdb_takes_what_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one, two days of two blocks."""
    monkeypatch.setenv("PATH", f"{Path(influxd()).parent}{os.pathsep}{os.environ['PATH']}")
    found = values([*influx.measure(meters=512, bodies=2)])

    assert found["influx_lines_per_s"] > 0
    assert 0 < found["influx_client_share"] < 100
    assert found["spool_drain_per_s"] > 0


def test_a_row_a_value_answers_the_same_in_more_space() -> None:
    """The comparison compares answers too; DuckDB and Parquet are not installed for the tests."""
    found = values([*peers.measure(meters=512, days=2, names=("scada", "sqlite_row"))])

    assert found["scada_bytes_per_value"] < found["sqlite_row_bytes_per_value"]


def test_a_peer_that_is_not_installed_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ScadaError, match="needs duckdb: pip install duckdb pyarrow"):
        peers.measure(meters=512, days=2, names=("duckdb",))
