"""A historian with all its parts under load, in as many lives as are asked for, each to be killed at any moment.

Run as: python -m tests.historian.mortal FOLDER URL_OF_INFLUXDB

Every line of its input, the number of the first record, begins a life: a fork, so that it costs no second of imports. It
prints "born PID", the number of each record that was acknowledged, and "dead" when the life has ended.
"""

import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from scada.bus import TagBus
from scada.clock import HOUR_S, SiteClock
from scada.historian import tap
from scada.historian.service import Historian
from scada.intervals import News
from scada.ports import ResultTable
from scada.settings import HistorianSettings, InfluxSettings
from scada.tags import Batch, Device, TagDef
from tests.historian.committer import counts_of
from tests.historian.helpers import FIRST_HOUR, block

DEVICE = Device("T01", tags=(TagDef("power"),))
UNDER_WAY = 8
COPY = "copy"                           # a kind of results, and its only series


def value_at(ms: int) -> float:
    """What is said at an instant: told by it, so that a reader can check it."""
    return float(ms % 10_007)


class Copier:
    """Follows the news as an analysis does: the sum of each hour it tells of is a result before it is dealt with."""

    def __init__(self, historian: Historian) -> None:
        self._historian, self._news = historian, deque[News]()
        self._following = historian.intervals.follow("copier", self._news.append)

    async def copy(self) -> bool:
        """One piece of news; False = there is none."""
        news = self._news.popleft() if self._news else await self._following.older()
        if news is None:
            return False
        intervals = self._historian.intervals
        slots = np.arange(intervals.slot_bound())
        for mark in news.marks:
            counts = intervals.read(slots, mark.first, mark.intervals).counts
            hours = np.arange(mark.first, mark.first + mark.intervals)[(counts >= 0).any(axis=0)]
            sums = np.where(counts >= 0, counts, 0).sum(axis=0)[hours - mark.first]
            await self._historian.results.put(COPY, COPY, HOUR_S, ResultTable(hours * HOUR_S, {"sum": sums.astype(float)}))
        self._following.dealt(news)
        return True


def live(directory: Path, url: str, first: int) -> None:
    """Commit blocks and publish values, as fast as it goes, until somebody kills the process."""
    from twisted.internet import reactor as one  # made in the fork: a reactor cannot be shared

    reactor: Any = one
    tap.FLUSH_S = 0.01                                          # type: ignore[misc]
    clock = SiteClock()
    bus = TagBus(clock, reactor)
    bus.add_device(DEVICE)
    historian = Historian(HistorianSettings(influx=(InfluxSettings(url=url),)), directory, clock, reactor, bus)
    record = first

    def commit(_: Any = None) -> None:
        nonlocal record
        number, record = record, record + 1
        mark = historian.intervals.commit(block(counts_of(number), record=number, first=FIRST_HOUR + number))
        mark.addCallback(lambda _: os.write(1, f"{number}\n".encode()))
        mark.addCallback(commit)

    def publish() -> None:
        ms = clock.now() // 1_000_000
        bus.publish(Batch(DEVICE.name, np.array([value_at(ms)]), np.zeros(1, np.uint8), ms * 1_000_000, ms * 1_000_000))
        reactor.callLater(0.002, publish)

    async def copy(copier: Copier) -> None:
        while True:
            if not await copier.copy():
                await deferLater(reactor, 0.005)

    def begin(_: Any) -> None:
        Deferred.fromCoroutine(copy(Copier(historian)))
        publish()
        for _ in range(UNDER_WAY):
            commit()

    reactor.callWhenRunning(lambda: historian.start().addCallback(begin))
    reactor.run(installSignalHandlers=False)


def main(directory: Path, url: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.write(1, f"born {os.getpid()}\n".encode())
            live(directory, url, int(line))
            os._exit(1)
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
