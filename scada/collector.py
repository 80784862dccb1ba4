"""Python's collector of circular garbage, kept out of the turns of the loop: it walks what is new, never the whole city.

A full collection walks every object that has survived, and nothing else happens meanwhile: 150 ms with two thousand
sessions. So it is no longer begun by itself. It comes often, while little is new, and what it leaves is put aside, where
the next one does not look. Circles that are made of things put aside are found once a day.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from scada.timers import cancel

PERIOD_S: Final = 0.02                  # real time between two looks
MIDDLE: Final = 3                       # collections of the youngest generation before one of the middle: 2,800 things
NEW: Final = 1                          # collections of the middle generation before what is new is put aside
DAY_S: Final = 86400.0


@contextmanager
def paused() -> Iterator[None]:
    """While modules are imported: what they make stays, and walking it again and again is a fifth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Collector:
    """Takes over when it is started, and gives the interpreter's own rhythm back when it is stopped."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._timer: Any = None
        self._rhythm = gc.get_threshold()
        self._whole = 0.0                                   # real, monotonic [s]: when everything was walked last
        self.longest_ms = 0.0                               # of the collections that were begun here

    def start(self) -> None:
        gc.set_threshold(self._rhythm[0], MIDDLE, 1_000_000)
        self._collect()
        self._whole = self._reactor.seconds()
        self._timer = self._reactor.callLater(PERIOD_S, self._look)

    def stop(self) -> None:
        cancel(self._timer)
        gc.set_threshold(*self._rhythm)
        gc.unfreeze()

    def _look(self) -> None:
        now = self._reactor.seconds()
        if now - self._whole >= DAY_S:
            self._whole = now
            gc.unfreeze()
            self._collect()
        elif gc.get_count()[2] >= NEW:
            self._collect()
        self._timer = self._reactor.callLater(PERIOD_S, self._look)

    def _collect(self) -> None:
        began = time.perf_counter()
        gc.collect()
        gc.freeze()
        self.longest_ms = max(self.longest_ms, 1000 * (time.perf_counter() - began))
