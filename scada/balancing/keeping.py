"""Stores and shows what was computed while the next is being computed: one computation's results at a time."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.task import deferLater

from scada.balancing import edges as register_edges
from scada.balancing.compute import KIND, Outcome
from scada.clock import HOUR_S, NS, SiteClock
from scada.ports import ResultStore, TagSink
from scada.tags import Batch, Device, Quality

SHOWN: Final = ("feed", "members", "imbalance", "imbalance_percent", "uncertainty")
DOUBTED: Final = 0.05                   # share of doubtful hours above which what rests on them is uncertain
PER_TURN: Final = 100                   # groups published in one turn of the loop: well under its 20 ms
NEVER: Final = float("-inf"),           # shown of a group of which nothing was


class Keeping:
    """What waits to be durable is due as long as it is not: `again` makes it so if it cannot be stored."""

    def __init__(
        self, results: ResultStore, sink: TagSink, devices: Callable[[], Mapping[str, Device]], clock: SiteClock,
        reactor: Any,
    ) -> None:
        self._results, self._sink, self._devices, self._clock, self._reactor = results, sink, devices, clock, reactor
        self._pending: Deferred[None] | None = None
        self._groups: frozenset[str] = frozenset()
        self._again: Callable[[], None] = lambda: None
        self._shown: dict[str, tuple[float, ...]] = {}
        self.rows = 0                                       # stored since the start

    def holds(self, names: tuple[str, ...]) -> bool:
        """Whether results of any of these groups are still on their way to the disk."""
        return not self._groups.isdisjoint(names)

    async def begin(self, outcome: Outcome, again: Callable[[], None]) -> None:
        """Store it once what was begun before is stored; if that fails, both are due again and the error is raised."""
        try:
            await self.done()
        except BaseException:
            again()
            raise
        self._groups, self._again = frozenset(outcome.groups), again
        self._pending = Deferred.fromCoroutine(self._keep(outcome))

    async def done(self) -> None:
        """What was begun is durable, and shown."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            await pending
        except BaseException:
            self._again()
            raise
        finally:
            self._groups = frozenset()

    async def _keep(self, outcome: Outcome) -> None:
        waiting: list[Deferred[None]] = [
            self._results.put(register_edges.KIND, tag, HOUR_S, table) for tag, table in outcome.edges
        ]
        waiting += [self._results.put_many(KIND, span, rows) for span, rows in outcome.rows]
        try:
            await gatherResults(waiting, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        self.rows += sum(len(rows.which) for _, rows in outcome.rows)
        await self._show(outcome)

    async def _show(self, outcome: Outcome) -> None:
        """Publish each group's newest whole hour, unless a newer one is shown already or nothing changed."""
        devices, now = self._devices(), self._clock.now()
        starts = outcome.whole.start
        values = np.column_stack([
            *(outcome.whole.columns[name] for name in SHOWN), 100.0 * outcome.latest_completeness
        ])
        unsure = np.zeros(values.shape, dtype=np.bool_)
        unsure[:, 1:len(SHOWN)] = outcome.whole.columns["doubtful"][:, None] > DOUBTED
        quality = np.select(
            [np.isnan(values), unsure], [Quality.BAD_OUT_OF_RANGE, Quality.UNCERTAIN_LAST_KNOWN], Quality.GOOD
        ).astype(np.uint8)
        for row in np.flatnonzero(starts >= 0).tolist():
            name, start = outcome.groups[row], int(starts[row])
            fresh, last = (float(start), *values[row].tolist(), *quality[row].tolist()), self._shown.get(name, NEVER)
            if name not in devices or start < last[0] or np.array_equal(fresh, last, equal_nan=True):
                continue
            self._shown[name] = fresh
            self._sink.publish(Batch(name, values[row], quality[row], (start + HOUR_S) * NS, now))
            if row % PER_TURN == PER_TURN - 1:
                await deferLater(self._reactor, 0)
