"""Measures the main loop: how long each turn takes, exactly, by timing the gap between two waits for I/O.

A turn that is long blocks every driver, so the longest one is a tag. Wall time says what the field felt; processor
time of this thread says whether it was our code or a busy machine.
"""

import asyncio
import faulthandler
import itertools
import re
import selectors
import tempfile
import threading
import time
from collections import Counter
from typing import Any, Final

LIMIT_MS: Final = 20.0
SAMPLE_S: Final = 0.005
AT_ONCE: Final = 64                     # files whose news one turn takes at most: a city that hangs up is many turns,
FEWEST: Final = 8                       # and at least, whatever their news costs
LONG_S: Final = 0.008                   # after a turn of this length the next takes half as many


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
        self._most = AT_ONCE
        self._ready: dict[int, int] = {}                    # file -> what happened; of one look, not handed out yet

    def select(self, timeout: float | None = None) -> Any:
        wall = time.perf_counter() - self.turn_began
        self.turns += 1
        if wall > self._longest[0]:
            self._longest = (wall, time.thread_time() - self._cpu_began)
        if wall * 1000 > LIMIT_MS:
            self.long_turns += 1
            self.busy_turns += (time.thread_time() - self._cpu_began) * 1000 > LIMIT_MS
        self._most = max(FEWEST, self._most // 2) if wall > LONG_S else min(AT_ONCE, self._most + 1)
        self.waiting = True
        try:
            if not self._ready:
                found = super().select(timeout)
                if len(found) <= self._most:
                    return found
                self._ready = {key.fd: happened for key, happened in found}
            return self._some()
        finally:
            self.waiting = False
            self.turn_began = time.perf_counter()
            self._cpu_began = time.thread_time()

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._ready.pop(key.fd, None)                       # its number may be another file's in the next turn
        return key

    def _some(self) -> list[tuple[selectors.SelectorKey, int]]:
        """The next that were found ready, as far as somebody still waits for them; nobody is overtaken."""
        known = self.get_map()
        some: list[tuple[selectors.SelectorKey, int]] = []
        for file in tuple(itertools.islice(self._ready, self._most)):
            key, happened = known[file], self._ready.pop(file)
            if happened & key.events:
                some.append((key, happened & key.events))
        return some

    def take(self) -> tuple[float, float]:
        """(wall, processor) of the longest turn since the last call. [ms]"""
        wall, processor = self._longest
        self._longest = (0.0, 0.0)
        return wall * 1000, processor * 1000


def install() -> MeasuredSelector:
    """Make Twisted run on an asyncio loop with a measured selector; call before anything imports the reactor."""
    from twisted.internet.main import installReactor

    from scada.turns import SharingReactor

    selector = MeasuredSelector()
    loop = asyncio.SelectorEventLoop(selector)
    asyncio.set_event_loop(loop)
    installReactor(SharingReactor(loop))
    return selector


class LoopWatch:
    """
    Samples the main thread's stack while a turn is over the limit, to name who blocks (`scada run --watch-loop`).

    The stack is written by `faulthandler`, which lets nobody run meanwhile: walking the frames of a thread that goes on
    crashes the interpreter now and then.
    """

    def __init__(self, selector: MeasuredSelector) -> None:
        self._selector = selector
        self._main = f"0x{threading.main_thread().ident or 0:016x}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self.blockers: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
            while not self._stopped.wait(SAMPLE_S):
                if self._selector.waiting or (time.perf_counter() - self._selector.turn_began) * 1000 < LIMIT_MS:
                    continue
                file.seek(0)
                file.truncate()
                faulthandler.dump_traceback(file, all_threads=True)
                file.seek(0)
                if stack := stack_of(self._main, file.read()):
                    ours = [place for place in stack if "/scada/" in place[0] or "/hmi/" in place[0]]
                    path, line, name = (ours or stack)[0]
                    self.blockers[f"{path}:{line} {name} -> {stack[0][2]}"] += 1


def stack_of(thread: str, dump: str) -> list[tuple[str, int, str]]:
    """(file, line, function) of one thread in what `faulthandler` wrote, what runs first."""
    found = []
    mine = False
    for line in dump.splitlines():
        if not line.startswith("  "):
            mine = thread in line
        elif mine and (place := _PLACE.match(line)):
            found.append((place[1], int(place[2]), place[3]))
    return found


_PLACE: Final = re.compile(r'  File "(.*)", line (\d+) in (.*)')
