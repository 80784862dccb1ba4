"""Hourly quantities for whoever asks, and each channel's last delivered hour as tags."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.arrays import distinct
from scada.clock import HOUR_S, NS, SiteClock
from scada.debounce import Debounced
from scada.estimates import Estimate
from scada.intervals import Mark
from scada.metering.channels import Channels, channels
from scada.metering.hourly import consumption, consumption_of_many, profile
from scada.metering.known import as_known, hour_known, point_changes, registers
from scada.metering.latest import Rows, latest
from scada.metering.periods import Periods, periods
from scada.metering.sums import group_sums, members_of
from scada.metering.validated import laid_over
from scada.ports import (
    Consumption,
    Estimates,
    GroupSums,
    Health,
    IntervalHistory,
    IntervalStore,
    PointChange,
    Profile,
    Registry,
    TagSink,
    Unsubscribe,
)
from scada.site import Directory, Site
from scada.tags import Batch

SETTLE_S: Final = 0.25                  # a concentrator's blocks come in bursts; one computation for all of them
PER_TURN: Final = 200                   # devices published in one turn of the loop: well under its 20 ms
MANY: Final = 1000                      # points, from which on columns of the whole registry are worth being made
MOST_MARKS: Final = 10_000              # beyond it everything is looked at again instead
NOTHING_FOUND: Final = -1
NOT_LOOKED: Final = -2


class MeteringService:
    """Implements `ports.Metering` and `ports.HealthSource`."""

    log = Logger()

    def __init__(
        self,
        registry: Registry,
        intervals: IntervalHistory,
        store: IntervalStore,
        sink: TagSink,
        clock: SiteClock,
        reactor: Any,
        pool: ThreadPool,
        estimates: Estimates | None = None,
    ) -> None:
        self._estimates = estimates
        self._registry, self._intervals, self._store, self._sink = registry, intervals, store, sink
        self._clock, self._reactor, self._pool = clock, reactor, pool
        self._worker = Debounced(reactor, SETTLE_S, lambda: Deferred.fromCoroutine(self._follow()), self._failed)
        self._unsubscribe: list[Unsubscribe] = []
        self._stopping = False
        self._marks: list[Mark] = []
        self._everything = True
        self._channels = channels(Directory(Site()), 0)
        self._adopted: Directory | None = None
        self._shown = np.empty(0, dtype=np.int64)          # (n,) hour each channel's tags show, or one of the two above
        self._members = Directory(Site()), members_of(Directory(Site()))       # of one content of the registry
        self._periods: tuple[Directory, Periods] | None = None
        self._failing = False
        self._failures = 0
        self._published = 0

    def start(self) -> "Deferred[None]":
        self._unsubscribe = [
            self._store.subscribe(self._committed),
            self._registry.subscribe(lambda directory: self._worker.poke()),
        ]
        self._worker.poke()
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        self._stopping = True
        while self._unsubscribe:
            self._unsubscribe.pop()()
        return self._worker.stop()

    def health(self) -> Iterable[Health]:
        channels_shown = len(self._channels.devices)
        text = "channels cannot be read; tried again" if self._failing else f"{channels_shown} channels"
        figures = {"channels": channels_shown, "hours_published": self._published, "failures": self._failures}
        yield Health("metering", not self._failing, text, figures)

    # ------------------------------------------------------------------ Metering
    def hourly(
        self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None = None, *, validated: bool = False
    ) -> Consumption:
        intervals = as_known(self._intervals, as_of)
        now = hour_known(self._clock.hour(), as_of)
        if len(points) < MANY or as_of is not None:
            raw = consumption(self._registry.directory, intervals, points, first_hour, hours, now)
        else:
            raw = consumption_of_many(self._all_periods(), intervals, points, first_hour, hours, now)
        if not validated or self._estimates is None:
            return raw
        return laid_over(raw, self._estimates.standing(points, first_hour, hours, as_of))

    def _all_periods(self) -> Periods:
        """Of the registry as it is; in whatever thread asks first."""
        directory, known = self._registry.directory, self._periods
        old, new = known[0].site if known is not None else Site(), directory.site
        if known is None or old.points is not new.points or old.meters is not new.meters:
            known = self._periods = directory, periods(directory)
        return known[1]

    def estimates(self, point: str, first_hour: int, hours: int) -> tuple[Estimate, ...]:
        self._registry.directory.point[point]
        return () if self._estimates is None else self._estimates.history(point, first_hour, hours)

    def profile(self, points: Sequence[str], first: int, count: int, interval_s: int, as_of: int | None = None) -> Profile:
        intervals, now = as_known(self._intervals, as_of), hour_known(self._clock.hour(), as_of)
        return profile(self._registry.directory, intervals, points, first, count, interval_s, now)

    def register(self, points: Sequence[str], hour: int, as_of: int | None = None) -> NDArray[np.float64]:
        return registers(self._registry.directory, as_known(self._intervals, as_of), points, hour)

    def group_sums(self, groups: Sequence[str], first_hour: int, hours: int, as_of: int | None = None) -> GroupSums:
        directory, (of, members) = self._registry.directory, self._members
        members = (members if of is directory else members_of(directory)).found(self._intervals)
        self._members = directory, members
        return group_sums(members.of(groups), as_known(self._intervals, as_of), first_hour, hours)

    def changes(self, point: str, first_hour: int, hours: int) -> tuple[PointChange, ...]:
        return point_changes(self._registry.directory, self._intervals, point, first_hour, hours)

    # ------------------------------------------------------------------ following the store
    def _committed(self, mark: Mark) -> None:
        self._marks.append(mark)
        if len(self._marks) > MOST_MARKS:
            self._marks.clear()
            self._everything = True
        self._worker.poke()

    async def _follow(self) -> None:
        """Publish what the marks since the last time brought; after a change of the registry, what is new in it."""
        await self._adopt_registry()
        marks, self._marks = self._marks, []
        if self._everything:
            self._everything = False
            self._shown[:] = NOT_LOOKED
        slots = self._intervals.slots(self._channels.eui, self._channels.channel)
        newest = _newest(slots, marks)
        unseen = self._shown == NOT_LOOKED
        newest[unseen] = np.maximum(newest[unseen], self._clock.hour() - 1)
        self._shown[unseen] = NOTHING_FOUND
        row = np.flatnonzero((slots >= 0) & (newest >= 0) & (newest >= self._shown))
        if len(row):
            rows = await deferToThreadPool(
                self._reactor, self._pool, latest,
                self._intervals, row, slots[row], self._channels.per_unit[row], newest[row],
            )
            await self._publish(rows)
        self._failing = False

    async def _adopt_registry(self) -> None:
        directory, hour = self._registry.directory, self._clock.hour()
        if directory is self._adopted and hour < self._channels.until:
            return
        fresh: Channels = await deferToThreadPool(self._reactor, self._pool, channels, directory, hour)
        known = {device.name: device for device in self._channels.devices}
        shown = np.full(len(fresh.devices), NOT_LOOKED, dtype=np.int64)
        for index, device in enumerate(fresh.devices):
            if known.get(device.name) == device:
                shown[index] = self._shown[self._channels.position[device.name]]
            else:
                self._sink.add_device(device)
            if index % PER_TURN == PER_TURN - 1 and not self._stopping:
                await deferLater(self._reactor, 0)
        shown[self._constants_changed(fresh)] = NOT_LOOKED
        self._channels, self._shown, self._adopted = fresh, shown, directory

    def _constants_changed(self, fresh: Channels) -> NDArray[np.bool_]:
        """Which channels have another meter than before, so that their last hour must be shown anew."""
        before = self._channels
        old = np.array([before.position.get(device.name, -1) for device in fresh.devices], dtype=np.intp)
        changed = old < 0
        known = np.flatnonzero(~changed)
        changed[known] = before.per_unit[old[known]] != fresh.per_unit[known]
        return changed

    async def _publish(self, rows: Rows) -> None:
        shown = self._channels
        received = self._clock.now()
        for index, row in enumerate(rows.row.tolist()):
            width = len(shown.devices[row].tags)
            end = (int(rows.hour[index]) + 1) * HOUR_S * NS
            values, quality = rows.values[index, :width], rows.quality[index, :width]
            self._sink.publish(Batch(shown.devices[row].name, values, quality, end, received))
            if index % PER_TURN == PER_TURN - 1 and not self._stopping:
                await deferLater(self._reactor, 0)
        self._shown[rows.row] = rows.hour
        self._published += len(rows.row)

    def _failed(self, failure: Failure) -> None:
        self._failures += 1
        self._failing = self._everything = True
        self.log.failure("channels could not be published; the next delivery tries again", failure)


def _newest(slots: NDArray[np.int64], marks: Sequence[Mark]) -> NDArray[np.int64]:
    """The newest hour the marks touched, for each of (n,) slots; -1 where none did."""
    newest = np.full(len(slots), -1, dtype=np.int64)
    last = np.array([((mark.first + mark.intervals) * mark.interval_s - 1) // HOUR_S for mark in marks], dtype=np.int64)
    for hour in distinct(last):                           # ascending, so that the newest hour stays
        touched = np.concatenate([mark.slots for mark, its in zip(marks, last, strict=True) if its == hour])
        newest[np.isin(slots, touched)] = hour
    return newest
