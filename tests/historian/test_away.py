"""InfluxDB away for a day at full load: what waits is on the disk and not in memory, and all of it arrives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scada.clock import DAY_H, HOUR_S
from tests.historian.away import CHANNELS, DEVICES, TAGS, WARM, values_at
from tests.historian.helpers import FIRST_HOUR
from tests.influx import ROOT, Influx

GROWTH_MB = 200                         # in real time, most of it the live log's roll of five minutes
SHORT_GROWTH_MB = 90                    # as fast as it goes; what waits would take more than that if it were kept in memory
DEVICE = 7                              # whose series are read back one by one
pytestmark = pytest.mark.timeout(300)
Figures = dict[str, float]


class Story:
    """The process of `away`, and what it told: before InfluxDB went, while it was away, and in the end."""

    def __init__(self, directory: Path, influx: Influx, instants: int, apart_s: int, real_s: float = 0.0) -> None:
        words = [str(directory), influx.url, str(instants), str(apart_s), str(real_s)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.historian.away", *words], cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.before = self._hear()
            influx.stop()
            self._go_on()
            self.away = self._hear()
            influx.start()
            self._go_on()
            self.end = self._hear()
        finally:
            self._process.kill()
            self._process.communicate()

    def _hear(self) -> Figures:
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said, "it ended too early"
        figures: Figures = json.loads(said)
        return figures

    def _go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


def check(story: Story, influx: Influx, instants: int, apart_s: int, growth_mb: int = GROWTH_MB) -> None:
    """Memory stayed small, the operator saw what waited, and at last every value is there, once and in its order."""
    lines = instants * DEVICES * TAGS
    hours = (WARM + instants) * apart_s // HOUR_S
    assert story.away["worst_mb"] - story.before["rss_mb"] <= growth_mb
    assert story.end["worst_mb"] - story.before["rss_mb"] <= growth_mb
    assert story.away["waiting_lines"] == lines
    assert story.away["waiting_blocks"] >= (CHANNELS // 256 if hours else 0)
    assert story.away["oldest_s"] > 1.0
    assert story.away["failures"] >= 2
    assert story.away["waiting_bytes"] > lines
    for figure in ("dropped_lines", "dead_lines", "rotten_bodies"):
        assert story.away[figure] == story.end[figure] == 0
    assert (story.end["waiting_lines"], story.end["waiting_blocks"], story.end["oldest_s"]) == (0, 0, 0)
    assert story.end["lines_per_s"] > 0
    (live,) = influx.query("SELECT count(v) FROM live")
    assert live["values"][0][1] == lines + WARM * DEVICES * TAGS
    values, start = [values_at(instant)[DEVICE] for instant in range(WARM + instants)], FIRST_HOUR * HOUR_S
    for series in influx.query(f"SELECT v FROM live WHERE \"tag\" =~ /^D{DEVICE:02d}/ GROUP BY \"tag\""):
        place = int(series["tags"]["tag"][-2:])
        assert series["values"] == [[(start + n * apart_s) * 1000, one[place]] for n, one in enumerate(values)]
    if hours:
        (pulses,) = influx.query("SELECT count(v), sum(v) FROM mh")
        assert pulses["values"][0][1:] == [CHANNELS * hours, CHANNELS * int(np.arange(1, hours + 1).sum())]


def test_with_influxdb_away_for_a_day_memory_stays_small_and_all_of_it_arrives(influx: Influx, tmp_path: Path) -> None:
    """2.4 million values over a day of site time with its hours of pulses, as fast as it goes; `make soak` has more."""
    instants, apart_s = 240, DAY_H * HOUR_S // 240
    story = Story(tmp_path / "data", influx, instants, apart_s)

    check(story, influx, instants, apart_s, SHORT_GROWTH_MB)
