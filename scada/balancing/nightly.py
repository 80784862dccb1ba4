"""Examines all balance groups once a night and keeps case files of their suspects.

Implements the ports Cases and HealthSource. What is examined is read in a worker thread, a batch of groups at a time, and
worked out in processes; a night whose server was down is made up for at the start, for the newest day alone.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing.casebook import FILE, Casebook
from scada.balancing.examination import Sources, examined, inquiries, period_before, ranked
from scada.cases import OPEN, Case, CaseState, GroupState, Suspicion
from scada.clock import HOUR_S, NS, SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected
from scada.ports import Audit, Balances, Compute, EventHistory, Health, Metering, Registry
from scada.site import Directory

EVERY_S: Final = 30.0                   # real time between two glances at the clock
RETRY_S: Final = 900.0                  # after one that failed
AFTER_H: Final = 2                      # behind midnight: the radio needs its time for the day's archive
MOST_A_NIGHT: Final = 5_000             # suspects, the strongest: more than anybody can visit


class NightlyService:
    """All of a night's cases are entered together, when everything is examined."""

    log = Logger()

    def __init__(
        self, registry: Registry, metering: Metering, balances: Balances, events: EventHistory, audit: Audit,
        compute: Compute, clock: SiteClock, reactor: Any, pool: ThreadPool, timezone: str, folder: Path,
    ) -> None:
        self._registry, self._clock, self._reactor, self._pool = registry, clock, reactor, pool
        self._compute, self._zone = compute, ZoneInfo(timezone)
        self._sources = Sources(metering.hourly, balances.table, events)
        self._book = Casebook(folder / FILE, lambda actor, number, detail: audit.append_now(
            actor, "case.decide", str(number), **detail
        ))
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor
        self._stopping = threading.Event()
        self._examining: Deferred[None] | None = None
        self._day = ""                                      # of the newest examination
        self._not_before = 0.0                              # monotonic; after a failure
        self._counts: Mapping[CaseState, int] = {}
        self._failing, self._failures, self._left_out = False, 0, 0

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self._blocking(self._book.open)
        self._day, _states = await self._blocking(self._book.night)
        self._counts = await self._blocking(self._book.counts)
        self._ticker.start(EVERY_S, now=False)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping.set()
        if self._ticker.running:
            self._ticker.stop()
        if self._examining is not None:
            await self._examining
        await self._blocking(self._book.close)

    def health(self) -> Iterable[Health]:
        waiting = sum(self._counts.get(state, 0) for state in OPEN)
        text = f"{waiting} open cases, examined on {self._day}" if self._day else "no examination of balance groups yet"
        if self._left_out:
            text = f"{self._left_out} suspects were left out last night: more than {MOST_A_NIGHT}"
        if self._failing:
            text = "the examination of balance groups failed; it is tried again"
        figures = {state.value: float(count) for state, count in self._counts.items()}
        yield Health("suspects", not self._failing, text, {
            **figures, "failures": float(self._failures), "left_out": float(self._left_out)
        })

    # ------------------------------------------------------------------ ports.Cases
    def find(
        self, states: Sequence[CaseState], first: int = 0, size: int = 50, *, groups: Sequence[str] | None = None,
        members: Sequence[str] | None = None,
    ) -> tuple[tuple[Case, ...], int]:
        return self._book.find(states, first, size, groups=groups, members=members)

    def one(self, number: int) -> Case | None:
        return self._book.one(number)

    def counts(
        self, *, groups: Sequence[str] | None = None, members: Sequence[str] | None = None
    ) -> Mapping[CaseState, int]:
        return self._book.counts(groups=groups, members=members)

    def night(self) -> tuple[str, tuple[GroupState, ...]]:
        return self._book.night()

    def decide(self, actor: Actor, number: int, was: CaseState | None, state: CaseState, note: str) -> Case:
        directory = self._registry.directory
        if (case := self._book.one(number)) is not None and not actor.covers(area := _area(directory, case)):
            raise CommandRejected([f"{actor.name} may not decide about suspects in area {area or '-'}"])
        now = self._clock.now()
        day = datetime.fromtimestamp(now // NS, UTC).astimezone(self._zone).date().isoformat()
        found = self._book.decide(actor, number, was, state, note, at=now, day=day)
        self._counts = self._book.counts()
        return found

    # ------------------------------------------------------------------ the night
    def _tick(self) -> None:
        if (self._examining is not None and not self._examining.called) or self._reactor.seconds() < self._not_before:
            return
        now = self._clock.seconds()
        due = datetime.fromtimestamp(now - AFTER_H * HOUR_S, UTC).astimezone(self._zone).date().isoformat()
        if due > self._day:
            self._examining = Deferred.fromCoroutine(self._examine(due)).addErrback(self._failed)

    async def _examine(self, day: str) -> None:
        directory, hour, at = self._registry.directory, self._clock.hour() - AFTER_H, self._clock.now()
        done = await self._blocking(self._night, directory, hour, day, at)
        if done:
            self._day, self._failing = day, False
        self._counts = await self._blocking(self._book.counts)

    def _night(self, directory: Directory, hour: int, day: str, at: int) -> bool:
        """In a worker thread; False = the server stops meanwhile, and nothing is entered."""
        period = period_before(self._zone, hour)
        states: list[GroupState] = []
        suspects: list[Suspicion] = []
        for answer in self._compute.each(
            examined, inquiries(self._sources, directory, directory.site.balance_groups, period)
        ):
            if self._stopping.is_set():
                return False
            states.extend(answer.states)
            suspects.extend(one for one in answer.suspicions if one.suspect)
        strongest = ranked(suspects)[:MOST_A_NIGHT]
        self._book.enter(strongest, day, at)
        self._book.end_night(day, states)
        self._left_out = len(suspects) - len(strongest)
        return True

    def _blocking(self, function: Callable[..., Any], *arguments: object) -> "Deferred[Any]":
        answer: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer

    def _failed(self, failure: Failure) -> None:
        self._failures += 1
        self._not_before = self._reactor.seconds() + RETRY_S
        was_failing, self._failing = self._failing, True
        if not was_failing:
            self.log.failure("the balance groups could not be examined", failure)


def _area(directory: Directory, case: Case) -> str:
    group = directory.balance_group.get(case.suspicion.group)
    transformer = directory.transformer.get(group.transformer) if group is not None else None
    return transformer.area if transformer is not None else ""
