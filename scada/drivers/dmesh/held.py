"""Batches that the store has no room for at the moment: they wait a little here, instead of every link being closed.

A link that is closed obeys no command either. What waits is not acknowledged, so that no concentrator sends more than its
credit meanwhile; what waits too long, or would be too much, is given up as where a disk is full.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from scada.drivers.dmesh.archive import Sheaf
from scada.intervals import IntervalBatch
from scada.timers import cancel

AGAIN_S: Final = 0.25                   # real time until the first that waits is tried again
PATIENCE_S: Final = 10.0                # real time that one waits
HELD_CELLS: Final = 4_194_304           # intervals of all channels that wait: 40 MB


@attrs.frozen(eq=False)
class Load:
    """A batch on its way to the disk, and who is to hear of it."""

    batch: IntervalBatch
    sheaves: Sequence[Sheaf]
    end_hours: list[int]
    since: float                        # s, the reactor's time


class Held:
    """In the order of their coming; `commit` tries one again."""

    def __init__(self, reactor: Any, commit: Callable[[Load], None]) -> None:
        self._reactor, self._commit = reactor, commit
        self._waiting: deque[Load] = deque()
        self._cells = 0
        self._next: Any = None

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, load: Load) -> bool:
        """Whether it may wait (on)."""
        late = self._reactor.seconds() - load.since > PATIENCE_S
        if late or self._cells + load.batch.counts.size > HELD_CELLS:
            return False
        self._waiting.append(load)
        self._cells += load.batch.counts.size
        if self._next is None:
            self._next = self._reactor.callLater(AGAIN_S, self._again)
        return True

    def stop(self) -> None:
        """Nothing is tried any more; nothing of it was acknowledged, so that it comes again."""
        cancel(self._next)
        self._next, self._cells = None, 0
        self._waiting.clear()

    def _again(self) -> None:
        """As many as there is room for; where one is refused, the others would be too."""
        self._next = None
        waiting, self._waiting, self._cells = self._waiting, deque(), 0
        while waiting and not self._waiting:
            self._commit(waiting.popleft())
        self._waiting.extend(waiting)
        self._cells += sum(load.batch.counts.size for load in waiting)
