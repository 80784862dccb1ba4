"""What many of the historian's tests stand on: an InfluxDB of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.influx import Influx


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influx]:
    """A real one, for one test, with the database that the settings name."""
    server = Influx(tmp_path / "influx")
    server.start()
    server.query("CREATE DATABASE scada")
    yield server
    server.kill()
