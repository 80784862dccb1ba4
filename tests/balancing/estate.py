"""Twenty days of a group with thieves in real stores: intervals, balances and events, up to the last midnight (UTC)."""

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner

from scada.bus import TagBus
from scada.cli import main
from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.events import KeptEvent, Stream
from scada.historian.service import Historian
from scada.ports import ResultTable
from scada.settings import load
from tests.bench.feeders import Feeder, feeder
from tests.bench.thefts import Theft
from tests.historian.helpers import PumpedReactor, block

DAYS = 20
MEMBERS = 24
TODAY = int(time.time()) // 86_400 * 24     # the midnight before now [h]
FIRST = TODAY - DAYS * 24
EUI = 0x00124B0000000001


@cache
def robbed() -> Feeder:
    """Two of them in proportion, all the time."""
    return feeder(100, MEMBERS, DAYS, (Theft.CONSTANT,) * 2, day_of_year=60)


def thieves() -> list[str]:
    return [f"P{n}" for n in np.flatnonzero(robbed().kind > 0)]


def site_of(count: int = MEMBERS) -> dict[str, Any]:
    """BG-1 is measured, BG-2 is fed by nobody."""
    names = [f"P{n}" for n in range(count)]
    return {
        "transformers": [{"name": "T01", "rated_kva": 250.0, "area": "south"}],
        "concentrators": [{"name": "C01", "link_id": "C0FFEE01"}],
        "modules": [
            {"eui": f"{EUI + n:016x}", "name": f"M{n}", "concentrator": "C01", "index": n + 1, "state": "active"}
            for n in range(count)
        ],
        "points": [{"name": name, "medium": "electricity"} for name in names],
        "meters": [
            {"serial": f"S{n}", "point": f"P{n}", "eui": f"{EUI + n:016x}", "channel": 0, "pulses_per_unit": 100.0,
             "valid_from": "2020-01-01T00:00Z"} for n in range(count)
        ],
        "balance_groups": [
            {"name": "BG-1", "medium": "electricity", "transformer": "T01", "feed_tag": "T01-meter/energy_import",
             "members": names},
            {"name": "BG-2", "medium": "electricity", "members": names[:5]},
        ],
    }


def build(folder: Path, magnets: Sequence[int] = ()) -> Path:
    """A configuration with all of it; a magnet is reported twice at the modules `magnets`."""
    config = folder / "scada.yaml"
    config.write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    (folder / "site.yaml").write_text(yaml.safe_dump(site_of(), sort_keys=False), encoding="utf-8")
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(folder / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    settings, reactor = load(config), PumpedReactor()
    clock = SiteClock(TimeMap(), real=lambda: round(reactor.seconds() * NS), monotonic=reactor.seconds)
    historian = Historian(settings.historian, settings.data_dir, clock, reactor, TagBus(clock, reactor))
    reactor.wait(historian.start())
    counts = np.round(robbed().members * 100).astype(np.int64)
    for number, first in enumerate(range(0, DAYS * 24, 240)):
        part = counts[:, first:first + 240]
        reactor.wait(historian.intervals.commit(block(part, first=FIRST + first, record=number + 1)))
    hours = (FIRST + np.arange(DAYS * 24, dtype=np.int64)) * HOUR_S
    reactor.wait(historian.results.put("balance", "BG-1", HOUR_S, ResultTable(hours, {"feed": robbed().feed})))
    reactor.wait(historian._events.put([
        KeptEvent(Stream.DEVICE, f"M{n}", "magnet", "raised", 10 * n + day, (FIRST + 24 * day) * HOUR_S * NS, True, 1)
        for n in magnets for day in (12, 15)
    ]))
    reactor.wait(historian.stop())
    return config
