"""Twelve days of water, gas, heat and electricity with leaks in real stores, up to the last midnight (UTC)."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray

from scada.bus import TagBus
from scada.cli import main
from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.historian.service import Historian
from scada.settings import load
from tests.bench import water
from tests.historian.helpers import PumpedReactor, block

DAYS: Final = 12
TODAY: Final = int(time.time()) // 86_400 * 24      # the midnight before now [h]
FIRST: Final = TODAY - DAYS * 24
EUI: Final = 0x00124B0000000001
LEAKS: Final = {"W-old": (0.020, 0), "W-new": (0.012, 8), "G-old": (0.030, 0), "H-old": (0.3, 0)}   # [unit/h], first day
# point, medium, one count; the order of the modules
POINTS: Final = (
    ("W-old", "water", 0.010), ("W-new", "water", 0.010), ("W-dry", "water", 0.010), ("W-coarse", "water", 0.100),
    ("W-silent", "water", 0.010), ("W-house", "water", 0.010), ("G-old", "gas", 0.010), ("G-dry", "gas", 0.010),
    ("H-old", "heat", 0.1), ("E-busy", "electricity", 0.001), ("E-idle", "electricity", 0.001),
)


def day(number: int) -> str:
    """A day by its number from the first."""
    return datetime.fromtimestamp((FIRST + 24 * number) * HOUR_S, UTC).date().isoformat()


def taken() -> NDArray[np.int64]:
    """Counts of each point and hour."""
    hours = np.arange(DAYS * 24)
    awake = np.isin(hours % 24, (7, 8, 12, 19, 20))
    homes = water.homes(11, 4, DAYS) / 1000
    flows = {
        "W-old": homes[0], "W-new": homes[1], "W-dry": homes[2], "W-coarse": 3 * homes[3], "W-silent": homes[3],
        "W-house": homes.sum(axis=0) + 0.02, "G-old": 0.2 * awake, "G-dry": 0.2 * awake, "H-old": 2.0 * awake,
        "E-busy": 0.12 + 0.4 * awake, "E-idle": 0.03 + 0.4 * awake,
    }
    for name, (rate, begins) in LEAKS.items():
        flows[name] = flows[name] + rate * (hours >= 24 * begins)
    steps = [np.floor(np.cumsum(flows[name]) / count + 1e-6) for name, _medium, count in POINTS]
    return np.diff(np.array(steps), axis=1, prepend=0.0).astype(np.int64)


def site_of() -> dict[str, Any]:
    return {
        "concentrators": [{"name": "C01", "link_id": "C0FFEE01", "area": "south"}],
        "modules": [
            {"eui": f"{EUI + n:016x}", "name": f"M{n}", "concentrator": "C01", "index": n + 1, "state": "active"}
            for n in range(len(POINTS))
        ],
        "consumers": [{"name": "K1", "title": "Ana, ap. 1", "building": "B7"}],
        "points": [
            *({"name": name, "medium": medium, "consumer": "K1"} for name, medium, _count in POINTS),
            {"name": "W-bare", "medium": "water"},
        ],
        "meters": [
            {"serial": f"S{n}", "point": name, "eui": f"{EUI + n:016x}", "channel": 0, "pulses_per_unit": round(1 / count),
             "valid_from": "2020-01-01T00:00Z"} for n, (name, _medium, count) in enumerate(POINTS)
        ],
        "balance_groups": [{"name": "BG-W", "medium": "water", "feed_point": "W-house", "members": ["W-old", "W-dry"]}],
    }


def build(folder: Path, counts: NDArray[np.int64] | None = None) -> Path:
    """A configuration with all of it; the meter of W-silent never says anything."""
    config = folder / "scada.yaml"
    config.write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    (folder / "site.yaml").write_text(yaml.safe_dump(site_of(), sort_keys=False), encoding="utf-8")
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(folder / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    settings, reactor = load(config), PumpedReactor()
    clock = SiteClock(TimeMap(), real=lambda: round(reactor.seconds() * NS), monotonic=reactor.seconds)
    historian = Historian(settings.historian, settings.data_dir, clock, reactor, TagBus(clock, reactor))
    reactor.wait(historian.start())
    keep_hours(historian, reactor, taken() if counts is None else counts, FIRST)
    reactor.wait(historian.stop())
    return config


def keep_hours(
    historian: Historian, reactor: PumpedReactor, counts: NDArray[np.int64], first: int, before: NDArray[np.int64] | int = 0
) -> None:
    """Commit hours of all points but the silent one; `before` is what their registers showed."""
    rows = np.array([n for n, (name, *_) in enumerate(POINTS) if name != "W-silent"])
    eui = np.asarray(EUI + rows, dtype=np.uint64)
    for number, start in enumerate(range(0, counts.shape[1], 240)):
        part, register = counts[rows, start:start + 240], counts[rows, :start].sum(axis=1) + before
        reactor.wait(historian.intervals.commit(
            block(part, first=first + start, record=first + number, eui=eui, register=register)
        ))
