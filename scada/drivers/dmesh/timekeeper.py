"""Keeps one concentrator's clock: compares, decides, tells of a step before it is made, sets.

The order is the promise: the event is durable, then the hours in doubt are marked, and only then the clock goes back.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.clock import NS, SiteClock
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.messages import Ping, Pong, Result, TimeSet
from scada.drivers.dmesh.modules import ModuleBook
from scada.drivers.dmesh.numbers import ClockMode, Code, code_name
from scada.drivers.dmesh.timekeeping import Measure, Plan, decide, measured
from scada.events import DeviceEvent, EventCode
from scada.intervals import MISSING, IntervalBlock, IntervalStatus, Provenance
from scada.ports import IntervalStore

log = Logger()

ROUND_TRIPS: Final = 3
LONGEST_ROUND_TRIP_S: Final = 5.0       # real time; beyond it a clock is not set
RESYNC_S: Final = 3600.0                # site time between two comparisons
LEAST_RESYNC_S: Final = 30.0            # real time


class TimeKeeper:
    """
    Of one session.

    Parameters
    ----------
    held_until
        End of the newest hour stored of this concentrator; None where hours may be on their way.
    tell_events
        Fires when an event is durable.
    tell_time
        Told after every comparison.
    """

    def __init__(
        self, link: Link, book: ModuleBook, mesh: Mesh, clock: SiteClock, store: IntervalStore,
        held_until: Callable[[], int | None], tell_events: Callable[[Sequence[DeviceEvent]], "Deferred[Any]"],
        tell_time: Callable[[int], None],
    ) -> None:
        self._link, self._book, self._mesh, self._clock, self._store = link, book, mesh, clock, store
        self._held_until, self._tell_events, self._tell_time = held_until, tell_events, tell_time

    @property
    def wait(self) -> float:
        """Real seconds until the next comparison."""
        return max(LEAST_RESYNC_S, self._clock.delay(RESYNC_S))

    async def keep(self) -> None:
        """Compare and set right; a server whose own time is not trusted judges nobody's."""
        measure, took = await self._compare()
        if measure is None:
            return
        plan = decide(measure, self._link.name, self._held_until())
        self._mesh.clock.take(measure)
        if plan.code is not None:
            await self._tell(plan.code, plan.detail)
        if plan.hours:
            await self._mark(plan)
        if await self._set(plan.mode, measure.error, took) and plan.mode is ClockMode.STEP:
            after, _ = await self._compare()                # what it runs on from
            if after is not None:
                self._mesh.clock.take(after)
        self._tell_time(self._link.link_id)

    async def _compare(self) -> tuple[Measure | None, float]:
        """The best of several, and its round trip. [s, real time]"""
        clock, best, found = self._clock, LONGEST_ROUND_TRIP_S, None
        for _ in range(ROUND_TRIPS if clock.trusted() else 0):
            asked, sent = clock.monotonic(), clock.now() / NS
            pong = await self._link.ask(Ping(int(sent)), Pong)
            if (took := clock.monotonic() - asked) < best and isinstance(pong, Pong):
                best = took
                found = measured(sent, took * clock.rate, pong.own, pong.own_ms, trusted=pong.time_good)
        return found, best

    async def _set(self, mode: ClockMode, error: float, took: float) -> bool:
        """Whether the concentrator took it. What was measured goes along: a message may be late, and its time with it."""
        time = self._clock.now() + round(took / 2 * self._clock.rate * NS)
        order = TimeSet(time // NS, mode, round(took * 1000), time % NS // 1_000_000, -round(error * 1000))
        answer = await self._link.ask(order, Result)
        if answer.code != Code.OK:
            log.warn("{name}: does not take the time: {code}", name=self._link.name, code=code_name(answer.code))
            return False
        self._mesh.clock.ordered(mode, error)
        return True

    async def _tell(self, code: EventCode, detail: str) -> None:
        """Durable; fails with `StorageError`, and then the clock stays as it is until it can be told."""
        log.warn("{detail}", detail=detail)
        now = self._clock.now()
        await self._tell_events([DeviceEvent(self._link.name, code, True, now, True, now, received=now, detail=detail)])

    async def _mark(self, plan: Plan) -> None:
        """Bits are joined and a missing count changes none: what is stored of these hours, or comes late, is in doubt."""
        modules = await self._book.of(0)
        if modules is None or not len(modules):
            return
        counts = modules.channels.astype(np.int64)
        eui = np.repeat(modules.euis[modules.index], counts)
        channel = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.uint8)
        nothing = np.full((len(eui), len(plan.hours)), MISSING, dtype=np.int64)
        await self._store.commit(IntervalBlock(
            eui, channel, plan.hours[0], nothing, np.full(len(eui), MISSING, dtype=np.int64),
            np.full(nothing.shape, IntervalStatus.CLOCK_INVALID, dtype=np.uint8), Provenance(self._link.link_id, 0, 0),
            self._clock.now(),
        ))
