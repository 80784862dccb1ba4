"""Looks for flows that never stop, once a night and for every metering point; keeps them, and raises their alarms.

Implements the ports Leaks and HealthSource. Hours are read in a worker thread, a batch of points at a time, and worked out
in processes. An alarm holds as long as the leak runs and nobody has called it usual.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import examination
from scada.balancing.examination import period_before
from scada.balancing.leak_examination import examined_points, leak_inquiries, leaks_of, together
from scada.balancing.leakbook import FILE, Leakbook
from scada.balancing.once_a_night import OnceANight
from scada.clock import NS, SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected
from scada.leaks import OPEN, Flowing, Leak, LeakNight, LeakState, Standby, said_rate
from scada.ports import AlarmGroups, Audit, Compute, Health, Metering, Registry
from scada.site import Directory, Medium

AFTER_H: Final = 3                      # behind midnight: after the balance groups
KINDS: Final = "leak_"                  # how the kinds of these alarms begin
DAYS = examination.DAYS                 # that a night looks at
FURTHER_DAYS: Final = 92                # that are looked at where a leak is found that is older
MOST_FURTHER: Final = 1_000             # leaks of a night for which that is done
MOST_ALARMS: Final = 500                # the strongest; the list has all of them
AT_ONCE: Final = 5                      # alarms of one turn of the loop: each walks over all that there are
UNKNOWN_KEPT: Final = 1_000             # points of which nothing can be said, by name; all are counted
STANDBY_KEPT: Final = 200
Wanted = Mapping[tuple[str, str], tuple[str, int, str]]     # (source, kind) -> area, since [ns], detail


class LeakService:
    """All of a night is entered together, when everything is examined."""

    log = Logger()

    def __init__(
        self, registry: Registry, metering: Metering, alarms: AlarmGroups, audit: Audit, compute: Compute, clock: SiteClock,
        reactor: Any, pool: ThreadPool, timezone: str, folder: Path,
    ) -> None:
        self._registry, self._metering, self._alarms, self._compute = registry, metering, alarms, compute
        self._clock, self._reactor, self._pool, self._zone = clock, reactor, pool, ZoneInfo(timezone)
        self._book = Leakbook(folder / FILE, lambda actor, number, detail: audit.append_now(
            actor, "leak.decide", str(number), **detail
        ))
        self.nightly = OnceANight(
            "the search for leaks", AFTER_H, self._night, self._show, clock, reactor, pool, timezone
        )
        self._running = self._over_bound = 0
        self._showing: Deferred[None] | None = None
        self._again = self._stopped = False
        self._turns = Cooperator(scheduler=lambda call: reactor.callLater(0.0, call))

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self._blocking(self._book.open)
        night = await self._blocking(self._book.night)
        self.nightly.start(night.day)
        self._show()

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopped = True
        await self.nightly.stop()
        if self._showing is not None:
            await self._showing
        await self._blocking(self._book.close)

    def health(self) -> Iterable[Health]:
        text = f"{self._running} leaks run, examined on {self.nightly.day}" if self.nightly.day else (
            "no search for leaks yet"
        )
        if self._over_bound:
            text = f"{self._over_bound} leaks have no alarm: more than {MOST_ALARMS} run"
        if self.nightly.failing:
            text = "the search for leaks failed; it is tried again"
        yield Health("leaks", not self.nightly.failing, text, {
            "running": float(self._running), "without_alarm": float(self._over_bound),
            "failures": float(self.nightly.failures),
        })

    # ------------------------------------------------------------------ ports.Leaks
    def find(
        self, states: Sequence[LeakState], medium: Medium | None = None, first: int = 0, size: int = 50
    ) -> tuple[tuple[Leak, ...], int]:
        return self._book.find(states, medium, first, size)

    def one(self, number: int) -> Leak | None:
        return self._book.one(number)

    def of_point(self, point: str) -> Leak | None:
        return self._book.of_point(point)

    def counts(self) -> Mapping[tuple[LeakState, Medium], int]:
        return self._book.counts()

    def night(self) -> LeakNight:
        return self._book.night()

    def standby(self, point: str) -> Standby | None:
        """The last twenty whole days of it."""
        directory, medium = self._registry.directory, Medium.ELECTRICITY
        known = directory.point.get(point)
        if known is None or known.medium is not medium:
            return None
        period = period_before(self._zone, self._clock.hour(), DAYS)
        inquiry = next(leak_inquiries(self._metering.hourly, directory, {medium: [point]}, period))
        return next(iter(leaks_of(inquiry).standby), None)

    def decide(self, actor: Actor, number: int, was: LeakState | None, state: LeakState, note: str) -> Leak:
        leak = self._book.one(number)
        if leak is not None and not actor.covers(area := _place(self._registry.directory, leak.flow.point)[1]):
            raise CommandRejected([f"{actor.name} may not decide about leaks in area {area or '-'}"])
        found = self._book.decide(actor, number, was, state, note, at=self._clock.now())
        self._reactor.callFromThread(self._show)
        return found

    # ------------------------------------------------------------------ the night
    def _night(self, day: str, stopping: threading.Event) -> bool:
        """In a worker thread; False = the server stops meanwhile, and nothing is entered."""
        directory, at = self._registry.directory, self._clock.now()
        period = period_before(self._zone, self._clock.hour() - AFTER_H, DAYS)
        points, feeds = examined_points(directory)
        watched, answers = self._book.watched(), []
        for answer in self._compute.each(
            leaks_of, leak_inquiries(self._metering.hourly, directory, points, period, watched)
        ):
            if stopping.is_set():
                return False
            answers.append(answer)
        flows = {flow.point: flow for answer in answers for flow in answer.flowing}
        flows.update(self._longer([one for one in flows.values() if one.at_least and one.point not in watched], directory))
        standby = sorted((one for answer in answers for one in answer.standby), key=lambda one: (-one.power, one.point))
        night = LeakNight(
            day, together(answers, feeds), tuple(one for answer in answers for one in answer.unknown)[:UNKNOWN_KEPT],
            tuple(standby[:STANDBY_KEPT]),
        )
        self._book.enter(list(flows.values()), night, at)
        return True

    def _longer(self, fresh: Sequence[Flowing], directory: Directory) -> Mapping[str, Flowing]:
        """Leaks that were found the first time and ran on the first day already: looked at again, further back."""
        points: dict[Medium, list[str]] = {}
        for one in sorted(fresh, key=lambda flow: -flow.weight)[:MOST_FURTHER]:
            points.setdefault(one.medium, []).append(one.point)
        period = period_before(self._zone, self._clock.hour() - AFTER_H, FURTHER_DAYS)
        found = self._compute.each(leaks_of, leak_inquiries(self._metering.hourly, directory, points, period))
        return {flow.point: flow for answer in found for flow in answer.flowing if flow.runs}

    # ------------------------------------------------------------------ alarms, as the book has it
    def _show(self) -> None:
        if self._showing is not None and not self._showing.called:
            self._again = True
        elif not self._stopped:
            self._showing = Deferred.fromCoroutine(self._alarmed()).addErrback(self._not_shown)

    async def _alarmed(self) -> None:
        while True:
            self._again = False
            wanted, self._running = await self._blocking(self._wanted)
            self._over_bound = max(self._running - len(wanted), 0)
            await self._turns.coiterate(self._settled(wanted))
            if not self._again:
                return

    def _wanted(self) -> tuple[Wanted, int]:
        directory = self._registry.directory
        leaks, total = self._book.find(OPEN, None, 0, MOST_ALARMS)
        found: dict[tuple[str, str], tuple[str, int, str]] = {}
        for leak in leaks:
            source, area = _place(directory, leak.flow.point)
            since = datetime.combine(date.fromisoformat(leak.flow.since), datetime.min.time(), self._zone)
            found[source, KINDS + leak.flow.medium.value] = area, int(since.timestamp()) * NS, detail_of(leak)
        return found, total

    def _settled(self, wanted: Wanted) -> Iterator[None]:
        """A few alarms a turn; what holds already is not told again."""
        held = frozenset(self._alarms.held(KINDS))
        changes: list[tuple[str, str]] = [*(held - wanted.keys()), *(one for one in wanted if one not in held)]
        for number, (source, kind) in enumerate(changes, 1):
            if (source, kind) in wanted:
                area, since, detail = wanted[source, kind]
                self._alarms.hold(source, kind, area, since, (), detail)
            else:
                self._alarms.let_go(source, kind)
            if number % AT_ONCE == 0:
                yield

    def _not_shown(self, failure: Failure) -> None:
        self.log.failure("the alarms of leaks could not be brought up to date", failure)

    def _blocking(self, function: Any, *arguments: object) -> "Deferred[Any]":
        answer: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer


def detail_of(leak: Leak) -> str:
    """What an alarm says of a leak when it is raised."""
    flow = leak.flow
    return (
        f"{flow.point} never takes less than {said_rate(flow.medium, flow.rate)} since {flow.since}: "
        f"{leak.quantity:.1f} {leak.unit} so far"
    )


def _place(directory: Directory, point: str) -> tuple[str, str]:
    """Device of the channel that counts at a point now, and its area."""
    periods = directory.meters_of_point.get(point, ())
    module = directory.module_of_eui.get(periods[-1].eui) if periods else None
    if module is None:
        return point, ""
    concentrator = directory.concentrator.get(module.concentrator)
    return f"{module.name}.ch{periods[-1].channel}", concentrator.area if concentrator is not None else ""
