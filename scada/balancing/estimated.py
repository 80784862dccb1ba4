"""News of validated hours: they are entered by other processes too, so somebody has to look whether there are new ones.

Where they are entered is where they are numbered, durably; up to which number the balances have them is in the memory of
balances. So none is forgotten, whoever dies between.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from scada.balancing.groups import Membership
from scada.ports import Estimates

EVERY_S: Final = 5.0                    # real time between two looks at the last number: one row of an index
AT_ONCE: Final = 10_000                 # hours of points that are taken up together


class EstimateNews:
    """`read` is the number up to which the news has been taken up, `waiting` whether there is more."""

    def __init__(
        self, estimates: Estimates | None, blocking: "Callable[..., Deferred[Any]]", reactor: Any,
        wake: Callable[[], None], failed: Callable[[Failure], None],
    ) -> None:
        self._estimates, self._blocking, self._wake, self._failed = estimates, blocking, wake, failed
        self.read, self.waiting = 0, estimates is not None
        self._ticker = LoopingCall(self._look)
        self._ticker.clock = reactor
        self._looking: Deferred[None] | None = None

    def start(self, read: int) -> None:
        self.read = read
        if self._estimates is not None:
            self._ticker.start(EVERY_S, now=False)

    async def stop(self) -> None:
        if self._ticker.running:
            self._ticker.stop()
        if self._looking is not None:
            await self._looking

    async def next(self, membership: Membership) -> dict[str, list[NDArray[np.int64]]]:
        """The hours of each group that the next piece of news touches. Raises `StorageError`."""
        assert self._estimates is not None
        number, told = await self._blocking(self._estimates.after, self.read, AT_ONCE)
        found: dict[str, list[NDArray[np.int64]]] = await self._blocking(touched, membership, told)
        self.read, self.waiting = number, len(told) == AT_ONCE
        return found

    def _look(self) -> None:
        if self.waiting:
            self._wake()
        elif self._looking is None or self._looking.called:
            self._looking = Deferred.fromCoroutine(self._ask()).addErrback(self._not_told)

    async def _ask(self) -> None:
        assert self._estimates is not None
        number, told = await self._blocking(self._estimates.after, self.read, 1)
        if told or number != self.read:
            self.waiting = True
            self._wake()

    def _not_told(self, failure: Failure) -> None:
        self.waiting = True                                 # the next tick tries again
        self._failed(failure)


def touched(membership: Membership, told: Iterable[tuple[str, int]]) -> dict[str, list[NDArray[np.int64]]]:
    """Hours by group, ascending, of (point, hour). [h since 1970]"""
    hours: dict[str, set[int]] = {}
    for point, hour in told:
        hours.setdefault(point, set()).add(hour)
    found: dict[str, set[int]] = {}
    for group, whole in zip(membership.groups, membership.sums, strict=True) if hours else ():
        for point in {*whole.points, group.feed_point} & hours.keys():
            found.setdefault(group.name, set()).update(hours[point])
    return {name: [np.array(sorted(some), dtype=np.int64)] for name, some in found.items()}
