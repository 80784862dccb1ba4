"""Measures the main loop: how long each turn takes, exactly, by timing the gap between two waits for I/O.

A turn that is long blocks every driver, so the longest one is a tag. Wall time says what the field felt; processor
time of this thread says whether it was our code or a busy machine.
"""

import asyncio
import contextlib
import selectors
import sys
import threading
import time
import traceback
from collections import Counter
from typing import Any, Final

LIMIT_MS: Final = 20.0
SAMPLE_S: Final = 0.005


class MeasuredSelector(selectors.DefaultSelector):
    """The platform's selector, and the length of the turns between its waits."""

    def __init__(self) -> None:
        super().__init__()
        self.turn_began = time.perf_counter()
        self._cpu_began = time.thread_time()
        self.waiting = False
        self.turns = 0
        self.long_turns = 0
        self.busy_turns = 0                                 # those of them in which it was we who computed
        self._longest = (0.0, 0.0)

    def select(self, timeout: float | None = None) -> Any:
        wall = time.perf_counter() - self.turn_began
        self.turns += 1
        if wall > self._longest[0]:
            self._longest = (wall, time.thread_time() - self._cpu_began)
        if wall * 1000 > LIMIT_MS:
            self.long_turns += 1
            self.busy_turns += (time.thread_time() - self._cpu_began) * 1000 > LIMIT_MS
        self.waiting = True
        try:
            return super().select(timeout)
        finally:
            self.waiting = False
            self.turn_began = time.perf_counter()
            self._cpu_began = time.thread_time()

    def take(self) -> tuple[float, float]:
        """(wall, processor) of the longest turn since the last call. [ms]"""
        wall, processor = self._longest
        self._longest = (0.0, 0.0)
        return wall * 1000, processor * 1000


def install() -> MeasuredSelector:
    """Make Twisted run on an asyncio loop with a measured selector; call before anything imports the reactor."""
    from twisted.internet import asyncioreactor

    selector = MeasuredSelector()
    loop = asyncio.SelectorEventLoop(selector)
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    return selector


class LoopWatch:
    """Samples the main thread's stack while a turn is over the limit, to name who blocks (`scada run --watch-loop`)."""

    def __init__(self, selector: MeasuredSelector) -> None:
        self._selector = selector
        self._main = threading.main_thread().ident
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self.blockers: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            if self._selector.waiting or (time.perf_counter() - self._selector.turn_began) * 1000 < LIMIT_MS:
                continue
            with contextlib.suppress(KeyError, AttributeError):     # a stack that moves while it is read
                stack = traceback.extract_stack(sys._current_frames()[self._main or 0], limit=40)
                ours = [frame for frame in stack if "/scada/" in frame.filename or "/hmi/" in frame.filename]
                place = (ours or stack)[-1]
                self.blockers[f"{place.filename}:{place.lineno} {place.name} -> {stack[-1].name}"] += 1
