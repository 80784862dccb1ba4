"""The kinds of history backends, and those of each kind that a configuration names.

Whoever reads history off the loop finds it here, and so do the tests: a kind that is entered in `KINDS` is held to the
contract (`tests/historian/contract`) from then on.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import attrs

from scada.historian import embedded, influx_history
from scada.ports import Historian, Offers
from scada.settings import HistorianSettings


@attrs.frozen
class Backend:
    """One configured place of history."""

    name: str
    kind: str
    where: str                                      # for a person: a folder or an address
    open: Callable[[], Historian]


@attrs.frozen
class Kind:
    """A kind of backend: what each of it offers, and those that settings name, in their order."""

    offers: Offers
    configured: Callable[[HistorianSettings, Path], list[Backend]]      # settings, data directory


def _embedded(settings: HistorianSettings, data_dir: Path) -> list[Backend]:
    directory = settings.dir or data_dir / "history"
    return [Backend("embedded", "embedded", str(directory), partial(embedded.EmbeddedHistory, directory))]


def _influxdb(settings: HistorianSettings, data_dir: Path) -> list[Backend]:
    return [
        Backend(one.name, "influxdb", one.url, partial(influx_history.InfluxHistory, one)) for one in settings.influx
    ]


KINDS: Final[Mapping[str, Kind]] = {
    "embedded": Kind(embedded.OFFERS, _embedded),
    "influxdb": Kind(influx_history.OFFERS, _influxdb),
}


def configured(settings: HistorianSettings, data_dir: Path) -> list[Backend]:
    """Every backend that settings name: the embedded store, which is the original, first."""
    return [one for kind in KINDS.values() for one in kind.configured(settings, data_dir)]
