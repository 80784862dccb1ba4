"""Looks once an hour whether the meters can be believed, and at the balances of yesterday; one alarm for each finding.

Implements the port HealthSource. The look is made in a worker thread, some time after the hour: readings and balances come
first.
"""

from collections.abc import Iterable
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import HOUR_S, NS, SiteClock
from scada.ports import AlarmGroups, Balances, Health, Metering, Registry
from scada.validation.daily import days_found
from scada.validation.findings import findings

EVERY_S: Final = 5.0                    # real time between two glances at the clock
AFTER_S: Final = 1500                   # site time behind the full hour
KINDS: Final = "meter_"                 # how the kinds of these alarms begin
DAYS: Final = "balance_"                # and of those about yesterday's balance


class ValidationService:
    """Alarms are held as long as the last look says so; a look that fails changes nothing."""

    log = Logger()

    def __init__(
        self, registry: Registry, metering: Metering, balances: Balances, alarms: AlarmGroups, clock: SiteClock,
        reactor: Any, pool: ThreadPool, timezone: str = "UTC",
    ) -> None:
        self._zone = ZoneInfo(timezone)
        self._days: dict[tuple[str, str], str] = {}         # what was said last of each group
        self._registry, self._metering, self._balances, self._alarms = registry, metering, balances, alarms
        self._clock, self._reactor, self._pool = clock, reactor, pool
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor
        self._looking: Deferred[None] | None = None
        self._looked = 0                                    # the hour of the last look
        self._held = self._looks = self._failures = 0
        self._failing = False

    def start(self) -> "Deferred[None]":
        self._ticker.start(EVERY_S, now=False)
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        if self._ticker.running:
            self._ticker.stop()
        return succeed(None) if self._looking is None else self._looking

    def health(self) -> Iterable[Health]:
        text = "the last look at the meters failed; it is tried again" if self._failing else (
            f"{self._held} meters cannot be believed"
        )
        yield Health("validation", not self._failing, text, {
            "meters": self._held, "looks": self._looks, "failures": self._failures,
        })

    def _tick(self) -> None:
        hour = (self._clock.now() // NS - AFTER_S) // HOUR_S
        if hour > self._looked and (self._looking is None or self._looking.called):
            self._looking = Deferred.fromCoroutine(self._look(hour)).addErrback(self._failed)

    async def _look(self, hour: int) -> None:
        await self._look_at_days(hour)
        found = await deferToThreadPool(
            self._reactor, self._pool, findings, self._registry.directory, self._metering, self._balances, hour
        )
        for one in found:
            self._alarms.hold(one.source, one.kind, one.area, one.since, (), one.detail)
        for source, kind in set(self._alarms.held(KINDS)) - {(one.source, one.kind) for one in found}:
            self._alarms.let_go(source, kind)
        self._looked, self._held, self._failing = hour, len(found), False
        self._looks += 1

    async def _look_at_days(self, hour: int) -> None:
        """Another day, or another figure of the same one, is another message."""
        found = await deferToThreadPool(
            self._reactor, self._pool, days_found, self._registry.directory, self._balances, self._zone, hour
        )
        said = {(one.source, one.kind): one.detail for one in found}
        for source, kind in self._alarms.held(DAYS):
            if said.get((source, kind)) != self._days.get((source, kind)):
                self._alarms.let_go(source, kind)
        for one in found:
            self._alarms.hold(one.source, one.kind, one.area, one.since, (), one.detail)
        self._days = said

    def _failed(self, failure: Failure) -> None:
        self._failures += 1
        was_failing, self._failing = self._failing, True
        if not was_failing:                                 # said once: the next look comes in a few seconds
            self.log.failure("the meters could not be looked at", failure)
