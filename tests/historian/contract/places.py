"""A fresh place for each kind of backend: what settings name it, and what must run for it."""

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


PLACES: dict[str, Callable[[Path], AbstractContextManager[HistorianSettings]]] = {
    "embedded": embedded, "influxdb": influxdb,
}
