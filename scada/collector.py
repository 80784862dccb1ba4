"""Python's collector of circular garbage, kept out of the turns of the loop: it walks what is new, never the whole city.

A full collection walks every object that has survived, and nothing else happens meanwhile: 150 ms with two thousand
sessions. So it is no longer begun by itself. It comes often, while little is new, and what it leaves is put aside, where
the next one does not look. Circles that are made of things put aside hold memory until everything is walked once more:
that is done at most once a day, and only if the process has grown, for with a city's registry it takes a second or two.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from scada.memory import resident_mb
from scada.timers import cancel

PERIOD_S: Final = 0.02                  # real time between two looks
MIDDLE: Final = 3                       # collections of the youngest generation before one of the middle: 2,800 things
NEW: Final = 1                          # collections of the middle generation before what is new is put aside
DAY_S: Final = 86400.0
GROWN: Final = 1.1                      # times the memory of the last time, before everything is walked once more
GROWN_MB: Final = 50.0                  # and by so much


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
        self._whole = 0.0                                   # real, monotonic [s]: when that was last thought of
        self._held_mb = 0.0                                 # when everything was walked last
        self.longest_ms = 0.0                               # of the collections that were begun here

    def start(self) -> None:
        gc.set_threshold(self._rhythm[0], MIDDLE, 1_000_000)
        self._collect()
        self._whole, self._held_mb = self._reactor.seconds(), resident_mb()
        self._timer = self._reactor.callLater(PERIOD_S, self._look)

    def stop(self) -> None:
        cancel(self._timer)
        gc.set_threshold(*self._rhythm)
        gc.unfreeze()

    def _look(self) -> None:
        now = self._reactor.seconds()
        if now - self._whole >= DAY_S:
            self._whole = now
            self._walk_everything_if_grown()
        elif gc.get_count()[2] >= NEW:
            self._collect()
        self._timer = self._reactor.callLater(PERIOD_S, self._look)

    def _walk_everything_if_grown(self) -> None:
        held = resident_mb()
        if held <= max(GROWN * self._held_mb, self._held_mb + GROWN_MB):
            return                                          # nothing to win: what it is that fills it has not become more
        gc.unfreeze()
        self._collect()
        self._held_mb = resident_mb()

    def _collect(self) -> None:
        began = time.perf_counter()
        gc.collect()
        gc.freeze()
        self.longest_ms = max(self.longest_ms, 1000 * (time.perf_counter() - began))
