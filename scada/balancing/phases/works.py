"""Work that a page asks for and cannot wait for: one piece at a time, with its progress; what is done is kept a while."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.errors import ScadaError
from scada.phase_study import Working

KEPT: Final = 16                        # answers, the newest ones
WAIT_S: Final = 2.0                     # that a page may wait for its answer before it is told how far it is
Told = Callable[[str, int, int], None]


class Stopped(Exception):
    """The server ends, and nobody wants the answer any more."""


class WorkFailed(ScadaError):
    """Somebody reads this in the place of what was asked for; the reason is in the log."""


class Works:
    """Any thread may ask. `pool` has `callInThreadWithCallback`; the heavy part of a piece is not done in its thread."""

    log = Logger()

    def __init__(self, pool: Any, wait_s: float = WAIT_S) -> None:
        self._pool, self._wait_s = pool, wait_s
        self._changed = threading.Condition()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._failed: dict[Hashable, Failure] = {}          # told once, to whoever asks next; at most the newest
        self._running: tuple[Hashable, tuple[str, int, int]] | None = None
        self._stopping = False

    @classmethod
    def _said(cls, failure: Failure) -> Failure:
        cls.log.failure("what a page asked for could not be worked out", failure)
        said = "this could not be worked out; the server's log has the details, and it is tried again when it is asked for"
        return Failure(WorkFailed(said))

    def ask(self, key: Hashable, work: Callable[[Told], Any]) -> Any:
        """The answer for `key`, worked out by `work` if it is not kept and nothing else is under way; or `Working`."""
        with self._changed:
            if key in self._kept:
                return self._kept[key]
            begin = self._running is None and key not in self._failed and not self._stopping
            if begin:
                self._running = key, ("reading", 0, 0)
        if begin:
            self._pool.callInThreadWithCallback(lambda good, found: self._done(key, good, found), work, self._told)
        with self._changed:
            mine = self._running is not None and self._running[0] == key
            if mine:
                self._changed.wait_for(lambda: self._running is None or self._running[0] != key, self._wait_s)
            if key in self._failed:
                self._failed.pop(key).raiseException()
            if key in self._kept:
                return self._kept[key]
            return Working(mine, *(self._running[1] if self._running is not None else ("reading", 0, 0)))

    def forget(self) -> None:
        """What is kept is not what would be found now."""
        with self._changed:
            self._kept.clear()

    def stop(self) -> None:
        """What is under way ends with its next sign of progress."""
        with self._changed:
            self._stopping = True

    # ------------------------------------------------------------------ in the pool's thread
    def _told(self, step: str, done: int, of: int) -> None:
        with self._changed:
            if self._stopping:
                raise Stopped
            assert self._running is not None
            self._running = self._running[0], (step, done, of)

    def _done(self, key: Hashable, good: bool, found: Any) -> None:
        with self._changed:
            self._running = None
            if good:
                self._kept[key] = found
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            elif found.check(Stopped) is None:
                self._failed = {key: found if found.check(ScadaError) else self._said(found)}
            self._changed.notify_all()
