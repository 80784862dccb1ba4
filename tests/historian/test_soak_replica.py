"""The long ones of the historian, by `make soak`: InfluxDB away in real time at full load, and a thousand kills.

SCADA_SOAK_AWAY_MINUTES sets how long it is away, 10 by default (1440 is a day); SCADA_SOAK_KILLS how many kills.
"""

import os
import random
from pathlib import Path

import pytest

from tests.historian.test_away import Story, check
from tests.historian.test_fifty_kills import kill_again_and_again
from tests.influx import Influx
from tests.system.soak import Soak

MINUTES = float(os.environ.get("SCADA_SOAK_AWAY_MINUTES", "10"))
KILLS = int(os.environ.get("SCADA_SOAK_KILLS", "1000"))
pytestmark = [pytest.mark.soak, pytest.mark.timeout(180 * MINUTES + 5 * KILLS + 1200)]


def test_with_influxdb_away_at_10_000_values_a_second_memory_stays_small(influx: Influx, tmp_path: Path) -> None:
    """In real time, a second at a time; then all of it arrives."""
    with Soak("InfluxDB away at full load") as soak:
        instants = round(MINUTES * 60)
        story = Story(tmp_path / "data", influx, instants, 1, 1.0)
        soak.found |= {
            "minutes": MINUTES, "waiting_lines": story.away["waiting_lines"],
            "waiting_mb": round(story.away["waiting_bytes"] / 2**20),
            "growth_mb": round(story.end["worst_mb"] - story.before["rss_mb"]),
        }
        check(story, influx, instants, 1)


def test_nothing_acknowledged_is_lost_by_a_thousand_kills(influx: Influx, tmp_path: Path) -> None:
    """As in the short one, with a store that has grown."""
    with Soak("kill -9 of a loaded historian") as soak:
        seed = random.SystemRandom().randrange(10_000)
        soak.found |= {"seed": seed, "kills": KILLS}
        soak.found["records"] = kill_again_and_again(influx, tmp_path, KILLS, seed)
