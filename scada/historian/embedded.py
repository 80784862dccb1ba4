"""The embedded store's folder as a history backend: read also beside a running server, written while none has it.

What is written goes through the journal into the blocks as everything does that the field delivers, and the news of it
is owed to the next start of the server.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.errors import DataRejected
from scada.historian.admission import unusable
from scada.historian.database import ReadPool
from scada.historian.livefiles import LiveFiles, LiveHistory
from scada.historian.offline import ClosedHistory, alone, merge_what_waits
from scada.historian.reader import BlockReader
from scada.historian.results import ResultHistory, put_now
from scada.historian.samples import Samples
from scada.historian.slots_stored import StoredSlots
from scada.intervals import HOURLY, IntervalBatch, IntervalBlock, IntervalSeries
from scada.ports import Offers, ResultTable, TagHistory

OFFERS: Final = Offers(registers=True, results=True, merges=True, resolution=1, pulses_most=2**63 - 1)


class EmbeddedHistory:
    """Implements `ports.Historian` over a folder."""

    offers = OFFERS

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pool = ReadPool()
        self._blocks = BlockReader(directory, self._pool, StoredSlots(directory, self._pool))
        self._live = LiveHistory(directory, self._pool)
        self._results = ResultHistory(directory, self._pool)

    # ------------------------------------------------------------------ writing
    def write(self, blocks: Sequence[IntervalBlock]) -> None:
        for block in blocks:
            if reason := unusable(IntervalBatch.of(block)):
                raise DataRejected(str(self._directory), reason)
        with ClosedHistory(self._directory) as history:
            history.append(blocks)
        merge_what_waits(self._directory)

    def write_tag(self, tag: str, samples: TagHistory) -> None:
        if not len(samples.at):
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        with alone(self._directory), closing(LiveFiles(self._directory)) as files:
            known = files.open()
            number = known.get(tag, max(known.values(), default=0) + 1)
            numbers = np.full(len(samples.at), number, np.int32)
            files.append([(number, tag)], Samples(numbers, samples.at, samples.values, samples.quality))
            files.roll()

    def write_results(self, kind: str, name: str, span_s: int, table: ResultTable) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with alone(self._directory):
            put_now(self._directory, kind, name, span_s, table)

    # ------------------------------------------------------------------ reading
    def intervals(
        self, eui: NDArray[np.uint64], channel: NDArray[np.uint8], first: int, count: int, interval_s: int = HOURLY
    ) -> IntervalSeries:
        return self._blocks.read_intervals(self._blocks.slots(eui, channel), first, count, interval_s)

    def registers(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8], hour: int) -> NDArray[np.int64]:
        return self._blocks.register(self._blocks.slots(eui, channel), hour)

    def tag(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        return self._live.read(tag, first, last, limit)

    def results(self, kind: str, name: str, span_s: int, first: int, last: int) -> ResultTable:
        return self._results.get(kind, name, span_s, first, last)

    def close(self) -> None:
        self._pool.close()
