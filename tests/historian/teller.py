"""A process that tells a historian events as fast as it can and prints what was acknowledged, to be killed at any moment.

Run as: python -m tests.historian.teller FOLDER FIRST_SEQUENCE
"""

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as one

from scada.bus import TagBus
from scada.clock import SiteClock
from scada.historian.service import Historian
from scada.settings import HistorianSettings
from tests.historian.test_events import Field, Journal, event

BATCH = 7


def main(directory: Path, first: int) -> None:
    reactor: Any = one
    clock, field = SiteClock(), Field()
    historian = Historian(HistorianSettings(), directory, clock, reactor, TagBus(clock, reactor))
    sequence = first

    def tell(_: Any = None) -> None:
        nonlocal sequence
        numbers = range(sequence, sequence + BATCH)
        sequence += BATCH
        told = field.deliver(*(event(number, channel=number % 3, raised=number % 2 == 0) for number in numbers))
        told.addCallback(lambda _: os.write(1, f"{numbers[-1]}\n".encode()))
        told.addCallback(tell)

    def begin(_: Any) -> None:
        historian.follow(field, Journal(), str)
        for _ in range(4):
            tell()

    historian.start().addCallback(begin)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
