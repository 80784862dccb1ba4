"""kill -9 at fifty random moments under load: what was acknowledged is here and in InfluxDB, once and as it was.

Who follows the news of it, and makes results of it, has in the end made them of every hour as it is.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from twisted.internet.defer import Deferred

from scada.clock import HOUR_S
from scada.historian.service import open_reader
from tests.historian.committer import CHANNELS, counts_of
from tests.historian.helpers import FIRST_HOUR
from tests.historian.mortal import COPY, Copier, value_at
from tests.historian.test_faults import Load
from tests.historian.test_replica import Site
from tests.influx import ROOT, Influx

KILLS = 50
EUIS = np.array(0x00124B0000000001 + np.arange(CHANNELS), dtype=np.uint64)


class Lives:
    """One folder, one life after the other."""

    def __init__(self, directory: Path, url: str) -> None:
        self.acknowledged: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.historian.mortal", str(directory), url], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def live_and_die(self, seconds: float) -> None:
        """A life that is killed so long after its birth, ready or not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{max(self.acknowledged, default=0) + 1}\n")
        self._process.stdin.flush()
        word, pid = self._process.stdout.readline().split()
        assert word == "born"
        time.sleep(seconds)
        os.kill(int(pid), signal.SIGKILL)
        while (line := self._process.stdout.readline()) != "dead\n":
            self.acknowledged.add(int(line))

    def close(self) -> None:
        self._process.stdin.close()                 # type: ignore[union-attr]
        self._process.wait(30)
        self._process.stdout.close()                # type: ignore[union-attr]


def test_nothing_acknowledged_is_lost_by_fifty_kills(influx: Influx, tmp_path: Path) -> None:
    """In the store and in InfluxDB; live values are in InfluxDB as they were said; nobody ever said anything twice."""
    kill_again_and_again(influx, tmp_path, KILLS, random.SystemRandom().randrange(10_000))


def kill_again_and_again(influx: Influx, tmp_path: Path, kills: int, seed: int) -> int:
    """As many lives as kills, and what must be there then; returns how many records were acknowledged."""
    moments = random.Random(seed)
    lives = Lives(tmp_path / "data", influx.url)
    for _ in range(kills):
        lives.live_and_die(moments.choice((0.1, 0.3, 0.6)) * moments.random())
    for _ in range(40):                             # on a slow machine none may have lived long enough
        if len(lives.acknowledged) >= 400:
            break
        lives.live_and_die(2.0)
    lives.close()
    site = Site(tmp_path / "data", url=influx.url)
    copier = Copier(site.historian)
    while site.reactor.wait(Deferred.fromCoroutine(copier.copy())):
        pass
    Load(site).sent()
    seen, store = site.health.figures, site.historian.intervals.health().figures
    site.stop()
    reader = open_reader(tmp_path / "data" / "history")
    most = max(lives.acknowledged) + 50
    copied = reader.results.get(COPY, COPY, HOUR_S, 0, 2**40)
    read = reader.intervals.read(reader.intervals.slots(EUIS, np.zeros(CHANNELS, np.uint8)), FIRST_HOUR, most).counts
    reader.close()
    there = np.flatnonzero((read >= 0).any(axis=0))

    assert len(lives.acknowledged) >= 400, f"seed {seed}"
    assert lives.acknowledged <= set(there.tolist()), f"seed {seed}"
    expected = np.stack([counts_of(number)[:, 0] for number in there.tolist()], axis=1)
    assert np.array_equal(read[:, there], expected), f"seed {seed}"
    assert (copied.start // HOUR_S - FIRST_HOUR).tolist() == there.tolist(), f"seed {seed}"
    assert copied.columns["sum"].tolist() == expected.sum(axis=0).tolist(), f"seed {seed}"
    assert store["conflicts"] == 0
    for figure in ("dropped_lines", "dead_lines", "rotten_bodies", "damaged_spools"):
        assert seen[figure] == 0, f"seed {seed}"
    pulses = influx.query('SELECT v FROM mh GROUP BY "m"')
    assert len(pulses) == CHANNELS
    for row, series in enumerate(sorted(pulses, key=lambda one: one["tags"]["m"])):
        assert [value for _, value in series["values"]] == expected[row].tolist(), f"seed {seed}"
    (live,) = influx.query("SELECT v FROM live")
    assert len(live["values"]) >= 100
    assert all(value == value_at(ms) for ms, value in live["values"])
    return len(lives.acknowledged)
