"""A reactor that only runs when told, for parts with threads of their own; and blocks that are quick to make."""

import queue
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from scada.intervals import IntervalBlock, Provenance

PATIENCE = 60.0                         # s; only a broken test ever waits that long
FIRST_HOUR = 490_896                    # 2026-01-01T00:00Z


class PumpedReactor(Clock):
    """A `Clock` whose `callFromThread` waits to be pumped by the test's own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = time.time()
        self._calls: queue.Queue[Callable[[], Any]] = queue.Queue()

    def callFromThread(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        self._calls.put(lambda: function(*arguments, **named))

    def pump(self, done: Callable[[], bool]) -> None:
        """Run what threads hand in until something is so."""
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, "the thing waited for never came"
            try:
                self._calls.get(timeout=0.05)()
            except queue.Empty:
                self.advance(0.25)

    def wait(self, deferred: "Deferred[Any]") -> Any:
        """The result of a Deferred; its failure is raised."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.pump(lambda: bool(results))
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]


def block(
    counts: Any, *, record: int = 0, first: int = FIRST_HOUR, eui: Any = None, channel: Any = None, register: Any = None,
    status: Any = None, link: int = 0xC0FFEE01, archive: int = 7, interval_s: int = 3600, received: int = 1,
) -> IntervalBlock:
    """A block of `counts` (n, h); EUIs count up from 0x00124B0000000001."""
    table = np.asarray(counts, dtype=np.int64)
    n = len(table)
    return IntervalBlock(
        eui=np.asarray(0x00124B0000000001 + np.arange(n) if eui is None else eui, dtype=np.uint64),
        channel=np.asarray(np.zeros(n) if channel is None else channel, dtype=np.uint8),
        first=first, counts=table,
        register=np.asarray(np.full(n, -1) if register is None else register, dtype=np.int64),
        status=np.asarray(np.zeros(table.shape) if status is None else status, dtype=np.uint8),
        provenance=Provenance(link, archive, record), received=received, interval_s=interval_s,
    )
