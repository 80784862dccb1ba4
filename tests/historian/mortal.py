"""A historian with all its parts under load, in as many lives as are asked for, each to be killed at any moment.

Run as: python -m tests.historian.mortal FOLDER URL_OF_INFLUXDB

Every line of its input, the number of the first record, begins a life: a fork, so that it costs no second of imports. It
prints "born PID", the number of each record that was acknowledged, and "dead" when the life has ended.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from scada.bus import TagBus
from scada.clock import SiteClock
from scada.historian import tap
from scada.historian.service import Historian
from scada.settings import HistorianSettings, InfluxSettings
from scada.tags import Batch, Device, TagDef
from tests.historian.committer import counts_of
from tests.historian.helpers import FIRST_HOUR, block

DEVICE = Device("T01", tags=(TagDef("power"),))
UNDER_WAY = 8


def value_at(ms: int) -> float:
    """What is said at an instant: told by it, so that a reader can check it."""
    return float(ms % 10_007)


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

    def begin(_: Any) -> None:
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
