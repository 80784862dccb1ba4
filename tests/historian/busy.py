"""A process of its own for the tests: a historian that takes data without pause and removes old months as they come.

A record is a day: the next new one, with its number as pulses, or one of five old ones, with 7. Old months are removed all
the time, and come again.
"""

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian import retention
from scada.historian.service import Historian
from scada.intervals import Mark
from scada.settings import HistorianSettings, RetentionSettings
from tests.historian.helpers import FIRST_HOUR, block

OLD = FIRST_HOUR - 2000 * 24
MONTH_H = 31 * 24
CHANNELS = 64


def main(directory: Path) -> None:
    loop: Any = reactor
    retention.FIRST_S = retention.EVERY_S = 0.02            # type: ignore[misc]
    clock = SiteClock(real=lambda: (FIRST_HOUR + 24) * 3600 * NS, trusted=lambda: True)
    historian = Historian(
        HistorianSettings(dir=directory, retention=RetentionSettings(interval_days=400)), directory, clock, loop,
        TagBus(clock, loop),
    )
    record = 0

    def commit() -> None:
        nonlocal record
        record += 1
        old = block([[7] * 24] * CHANNELS, first=OLD + record % 5 * MONTH_H, record=2 * record)
        historian.intervals.commit(old)
        new = block([[record] * 24] * CHANNELS, first=FIRST_HOUR + 24 * record, record=2 * record + 1)
        historian.intervals.commit(new).addCallback(acknowledged, record)

    def acknowledged(_: Mark, number: int) -> None:
        os.write(1, f"{number}\n".encode())
        commit()

    historian.start().addCallback(lambda _: commit())
    loop.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
