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
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from scada.balancing.answers import examined, ranked
from scada.balancing.casebook import FILE, Casebook
from scada.balancing.examination import Sources, inquiries, period_before
from scada.balancing.once_a_night import OnceANight
from scada.cases import OPEN, Case, CaseState, GroupState, Suspicion
from scada.clock import NS, SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected
from scada.ports import Audit, Balances, Compute, EventHistory, Health, Metering, Registry
from scada.site import Directory

AFTER_H: Final = 2                      # behind midnight: the radio needs its time for the day's archive
MOST_A_NIGHT: Final = 5_000             # suspects, the strongest: more than anybody can visit


class NightlyService:
    """All of a night's cases are entered together, when everything is examined."""

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
        self.nightly = OnceANight(
            "the examination of balance groups", AFTER_H, self._night, lambda: None, clock, reactor, pool, timezone
        )
        self._counts: Mapping[CaseState, int] = {}
        self._left_out = 0

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self._blocking(self._book.open)
        day, _states = await self._blocking(self._book.night)
        self._counts = await self._blocking(self._book.counts)
        self.nightly.start(day)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.nightly.stop()
        await self._blocking(self._book.close)

    def health(self) -> Iterable[Health]:
        waiting = sum(self._counts.get(state, 0) for state in OPEN)
        day, failing = self.nightly.day, self.nightly.failing
        text = f"{waiting} open cases, examined on {day}" if day else "no examination of balance groups yet"
        if self._left_out:
            text = f"{self._left_out} suspects were left out last night: more than {MOST_A_NIGHT}"
        if failing:
            text = "the examination of balance groups failed; it is tried again"
        figures = {state.value: float(count) for state, count in self._counts.items()}
        yield Health("suspects", not failing, text, {
            **figures, "failures": float(self.nightly.failures), "left_out": float(self._left_out)
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
    def _night(self, day: str, stopping: threading.Event) -> bool:
        """In a worker thread; False = the server stops meanwhile, and nothing is entered."""
        directory, at = self._registry.directory, self._clock.now()
        period = period_before(self._zone, self._clock.hour() - AFTER_H)
        states: list[GroupState] = []
        suspects: list[Suspicion] = []
        fed = [one for one in directory.site.balance_groups if one.fed]     # of others nothing can be missing
        for answer in self._compute.each(examined, inquiries(self._sources, directory, fed, period)):
            if stopping.is_set():
                return False
            states.extend(answer.states)
            suspects.extend(one for one in answer.suspicions if one.suspect)
        strongest = ranked(suspects)[:MOST_A_NIGHT]
        self._book.enter(strongest, day, at)
        self._book.end_night(day, states)
        self._left_out = len(suspects) - len(strongest)
        self._counts = self._book.counts()
        return True

    def _blocking(self, function: Callable[..., Any], *arguments: object) -> "Deferred[Any]":
        answer: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer


def _area(directory: Directory, case: Case) -> str:
    group = directory.balance_group.get(case.suspicion.group)
    transformer = directory.transformer.get(group.transformer) if group is not None else None
    return transformer.area if transformer is not None else ""
