"""A historian at full load whose InfluxDB goes away; tells how much memory it takes.

Run as: python -m tests.historian.away FOLDER URL_OF_INFLUXDB INSTANTS SECONDS_APART REAL_SECONDS_APART

Full load is 10,000 live values at each instant, and an hour of 10,000 channels at each full hour. It says ten instants,
sends them, prints its figures and waits for a line of input: now InfluxDB is gone. It says INSTANTS more, prints its
figures, and waits for a line again: InfluxDB is back. When everything is sent it prints its figures, and may be killed.
With no REAL_SECONDS_APART it goes as fast as the store and the spool can take it.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian import tap
from scada.historian.back_off import BackOff
from scada.historian.service import Historian
from scada.settings import HistorianSettings, InfluxSettings
from scada.tags import Batch, Device, TagDef
from tests.historian.helpers import FIRST_HOUR, block

DEVICES, TAGS, CHANNELS = 100, 100, 10_000
WARM = 10
MB = 1 << 20
NAMES = [f"D{number:02d}" for number in range(DEVICES)]
CLEAN = np.zeros(TAGS, np.uint8)


def values_at(instant: int) -> NDArray[np.float64]:
    """What all tags say, device by device: no two alike, and exact in any order of adding."""
    return np.random.default_rng(instant).integers(0, 80_000, (DEVICES, TAGS)) / 8.0


class Away:
    """The load, and what is known of it."""

    def __init__(self, directory: Path, url: str, apart_s: int, real_s: float) -> None:
        self.loop: Any = reactor
        clock = SiteClock()
        self.bus = TagBus(clock, self.loop)
        for name in NAMES:
            self.bus.add_device(Device(name, tags=tuple(TagDef(f"t{place:02d}") for place in range(TAGS))))
        settings = HistorianSettings(influx=(InfluxSettings(url=url, spool_max_mb=16_384),))
        self.historian = Historian(
            settings, directory, clock, self.loop, self.bus, back_off=BackOff(first=0.2, most=1.0, most_refused=1.0),
        )
        self.apart_s, self.real_s = apart_s, real_s
        self.instants, self.hours = 0, 0
        self.worst_mb, self.process = 0.0, psutil.Process()

    @property
    def figures(self) -> dict[str, float]:
        return list(self.historian.health())[1].figures

    def tell(self) -> None:
        """A line of what there is now."""
        rss = self.process.memory_info().rss / MB
        self.worst_mb = max(self.worst_mb, rss)
        more = {"rss_mb": rss, "worst_mb": self.worst_mb, "hours": self.hours, "said": self.instants * DEVICES * TAGS}
        print(json.dumps({**self.figures, **more}), flush=True)

    async def say(self, instants: int) -> None:
        """So many instants of load."""
        began = time.monotonic()
        for number in range(instants):
            at = (FIRST_HOUR * 3600 + self.instants * self.apart_s) * NS
            for name, values in zip(NAMES, values_at(self.instants), strict=True):
                self.bus.publish(Batch(name, values, CLEAN, at, at))
            self.instants += 1
            if self.instants * self.apart_s // 3600 > self.hours:
                self.hours += 1
                one = block(np.full((CHANNELS, 1), self.hours), record=self.hours, first=FIRST_HOUR + self.hours)
                await self.historian.intervals.commit(one)
            self.worst_mb = max(self.worst_mb, self.process.memory_info().rss / MB)
            await task.deferLater(self.loop, max(began + (number + 1) * self.real_s - time.monotonic(), 0.0))
            while self.waiting() > 100_000:                 # a bus that is never full is what real time would be
                await task.deferLater(self.loop, 0.01)

    def waiting(self) -> int:
        """Samples that neither the live log nor the spool has written yet."""
        taps = self.historian._log.tap, self.historian._replicas[0]._tap
        return max(one._samples + (one._writing is not None) for one in taps)

    async def all_sent(self) -> None:
        """Until nothing waits."""
        while self.waiting() or self.historian.intervals.health().figures["unmerged"] or (
            self.figures["waiting_lines"] + self.figures["waiting_blocks"]
        ):
            self.worst_mb = max(self.worst_mb, self.process.memory_info().rss / MB)
            await task.deferLater(self.loop, 0.05)

    async def play(self, instants: int) -> None:
        await self.historian.start()
        await self.say(WARM)
        await self.all_sent()
        self.tell()
        await deferToThread(sys.stdin.readline)
        await self.say(instants)
        while self.waiting():
            await task.deferLater(self.loop, 0.05)
        self.tell()
        await deferToThread(sys.stdin.readline)
        await self.all_sent()
        self.tell()
        await deferToThread(sys.stdin.readline)


def main(directory: Path, url: str, instants: int, apart_s: int, real_s: float) -> None:
    if not real_s:
        tap.FLUSH_S = 0.02                                  # type: ignore[misc]
    away = Away(directory, url, apart_s, real_s)

    async def begin() -> None:
        try:
            await away.play(instants)
        finally:
            away.loop.stop()

    away.loop.callWhenRunning(lambda: Deferred.fromCoroutine(begin()))
    away.loop.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
