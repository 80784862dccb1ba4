"""A place for each kind of backend: what settings name it, and what must run for it.

InfluxDB 1.6 is started here. Of 2.x and 3 nothing can be started: they are held to the same contract where
SCADA_TEST_INFLUXDB_URL names a server that may be written to, with SCADA_TEST_INFLUXDB_TOKEN (then the dialect is v2),
and SCADA_TEST_INFLUXDB_BUCKET and SCADA_TEST_INFLUXDB_ORG where they are not `scada` and none.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from scada.settings import HistorianSettings, InfluxSettings
from tests.influx import Influx


@contextmanager
def embedded(directory: Path) -> Iterator[HistorianSettings]:
    yield HistorianSettings(dir=directory / "history")


@contextmanager
def influxdb(directory: Path) -> Iterator[HistorianSettings]:
    """A real InfluxDB 1.6."""
    server = Influx(directory / "influx")
    server.start()
    try:
        server.query("CREATE DATABASE scada")
        yield HistorianSettings(influx=(InfluxSettings(url=server.url),))
    finally:
        server.kill()


@contextmanager
def influxdb_elsewhere(_: Path) -> Iterator[HistorianSettings]:
    """Whatever version the environment names; other runs have left their channels there."""
    token = "SCADA_TEST_INFLUXDB_TOKEN"
    yield HistorianSettings(influx=(InfluxSettings(
        url=os.environ[ELSEWHERE], dialect="v2" if token in os.environ else "v1",
        secret_env=token if token in os.environ else "",
        database=os.environ.get("SCADA_TEST_INFLUXDB_BUCKET", "scada"),
        organisation=os.environ.get("SCADA_TEST_INFLUXDB_ORG", ""),
    ),))


ELSEWHERE = "SCADA_TEST_INFLUXDB_URL"
Place = Callable[[Path], AbstractContextManager[HistorianSettings]]
PLACES: dict[str, tuple[str, Place]] = {            # name of the place: kind of the backend, how to have it
    "embedded": ("embedded", embedded),
    "influxdb-1.6": ("influxdb", influxdb),
    **({"influxdb-elsewhere": ("influxdb", influxdb_elsewhere)} if ELSEWHERE in os.environ else {}),
}
