"""A process that commits blocks as fast as it can and prints what was acknowledged, to be killed at any moment.

Run as: python -m tests.historian.committer FOLDER FIRST_RECORD [BYTES_OF_A_SEGMENT]
"""

import os
import sys
from pathlib import Path

import numpy as np
from twisted.internet import reactor

from scada.historian.journal import SEGMENT_BYTES
from scada.historian.store import EmbeddedIntervals
from scada.intervals import Mark
from tests.historian.helpers import FIRST_HOUR, block

CHANNELS = 40


def counts_of(record: int) -> np.ndarray:
    """What a record holds: told by its number, so that a reader can check it."""
    return (np.arange(CHANNELS)[:, None] * 1000 + record) % 50_000


def main(directory: Path, first: int, segment_bytes: int = SEGMENT_BYTES, keep: int = 0) -> None:
    store = EmbeddedIntervals(
        directory, reactor, merge_delay=0.002, segment_bytes=segment_bytes, keep_merged=bool(keep)
    )
    store.open()
    store.start()
    record = first

    def commit() -> None:
        nonlocal record
        number, record = record, record + 1
        one = block(counts_of(number), record=number, first=FIRST_HOUR + number, received=number)
        store.commit(one).addCallback(acknowledged, number)

    def acknowledged(_: Mark, number: int) -> None:
        os.write(1, f"{number}\n".encode())
        commit()

    for _ in range(8):
        reactor.callWhenRunning(commit)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:]))
