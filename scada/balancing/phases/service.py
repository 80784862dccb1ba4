"""Studies of phases for the pages: worked out in other processes, one at a time, kept until the next hour or change."""

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from scada.balancing.phases.gather import Sources, gathered
from scada.balancing.phases.orderbook import FILE, OrderBook
from scada.balancing.phases.outcome import move_states, outcome, proposed
from scada.balancing.phases.study import Asked, study
from scada.balancing.phases.works import Told, Works
from scada.clock import DAY_H, NS, SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected
from scada.phase_orders import Achieved, MoveState, NoGain, OrderState, PhaseOrder
from scada.phase_study import MOST_MOVES, Objective, PhaseStudy, Working
from scada.ports import Audit, Balances, Compute, Health, History, Metering, Registry, ResultTable, TechnicalLosses
from scada.site import Directory

MOST_DAYS: Final = 28                   # of a page's study: 3 tags of 2.4 million samples, 400 members
PHASES: Final = 3


class PhaseStudyService:
    """Implements `ports.PhaseStudies` and `ports.PhaseOrders`. Called from the pages' threads, never from the reactor's."""

    def __init__(
        self, registry: Registry, metering: Metering, history: History, balances: Balances, losses: TechnicalLosses,
        compute: Compute, audit: Audit, clock: SiteClock, reactor: Any, pool: Any, zone: ZoneInfo, folder: Path,
        most_days: int = MOST_DAYS,
    ) -> None:
        self.most_days = most_days
        self._reactor, self._pool = reactor, pool
        self._book = OrderBook(folder / FILE, lambda actor, action, target, detail: audit.append_now(
            actor, action, target, **detail
        ))
        self._registry, self._clock, self._zone, self._compute = registry, clock, zone, compute
        self._sources = Sources(metering.hourly, history.resample, balances.table, partial(losses_of, losses))
        self._works = Works(pool)

    def start(self) -> "Deferred[None]":
        return deferToThreadPool(self._reactor, self._pool, self._book.open)

    def stop(self) -> "Deferred[None]":
        self._works.stop()                                  # its thread is waited for with the pool's others
        return deferToThreadPool(self._reactor, self._pool, self._book.close)

    def health(self) -> Iterable[Health]:
        return ()

    def study(
        self, group: str, first_hour: int, hours: int, objective: Objective = Objective.ABSOLUTE,
        moves: int | None = None, exact: bool = False,
    ) -> PhaseStudy | Working:
        if not 0 < hours <= self.most_days * DAY_H + 1:
            raise ValueError(f"a study is of 1 to {self.most_days} days; found {hours} hours")
        if moves is not None and not 0 < moves <= MOST_MOVES:
            raise ValueError(f"a work order has 1 to {MOST_MOVES} moves; found {moves}")
        directory = self._registry.directory
        key = group, first_hour, hours, objective, moves, exact, directory.site.generation, self._clock.hour()
        asked = partial(Asked, directory.balance_group[group].name, first_hour, hours, moves=moves, objective=objective,
                        exact=exact)
        work = partial(self._study, directory, group, first_hour, hours, asked)
        found: PhaseStudy | Working = self._works.ask(key, work)
        return found

    # ------------------------------------------------------------------ work orders
    def orders(self, group: str) -> tuple[PhaseOrder, ...]:
        return self._book.of(group)

    def order(self, number: int) -> PhaseOrder | None:
        return self._book.one(number)

    def keep(self, actor: Actor, study: PhaseStudy) -> PhaseOrder:
        self._covered(actor, study.group)
        return self._book.keep(actor, study.group, proposed(study), self._clock.now())

    def settle(
        self, actor: Actor, number: int, was: OrderState | None, state: OrderState, note: str, day: str
    ) -> PhaseOrder:
        order = self._book.one(number)
        if order is not None:
            self._covered(actor, order.group)
        now = self._clock.now()
        today = datetime.fromtimestamp(now // NS, UTC).astimezone(self._zone).date().isoformat()
        return self._book.settle(actor, number, was, state, note, at=now, today=today, day=day)

    def states(self, order: PhaseOrder) -> tuple[MoveState, ...]:
        return move_states(order.proposal, self._registry.directory)

    def achieved(self, order: PhaseOrder) -> Achieved | Working:
        if order.state is not OrderState.DONE:
            return Achieved(order.number, self.states(order), NoGain.NOT_DONE)
        directory, hour = self._registry.directory, self._clock.hour()
        key = "achieved", order.number, order.done_on, directory.site.generation, hour
        found: Achieved | Working = self._works.ask(key, partial(self._achieved, directory, order, hour))
        return found

    def _achieved(self, directory: Directory, order: PhaseOrder, hour: int, told: Told) -> Achieved:
        parts = 2 * PHASES * self.most_days
        return outcome(order, directory, self._zone, hour, self._sources, _counted(told, parts))

    def _covered(self, actor: Actor, group: str) -> None:
        one = self._registry.directory.balance_group.get(group)
        transformer = self._registry.directory.transformer.get(one.transformer) if one is not None else None
        area = transformer.area if transformer is not None else ""
        if not actor.covers(area):
            raise CommandRejected([f"{actor.name} may not order moves in area {area or '-'}"])

    # ------------------------------------------------------------------ in a worker's thread
    def _study(
        self, directory: Directory, group: str, first_hour: int, hours: int, asked: Callable[..., Asked], told: Told
    ) -> PhaseStudy:
        read = _counted(told, PHASES * -(-hours // DAY_H))
        given = gathered(
            directory, directory.balance_group[group], first_hour, hours, self._zone, self._sources, read)
        return study(asked(given=given), self._compute.each, told)


def _counted(told: Told, parts: int) -> Callable[[str], None]:
    """Progress of reading: called after each day of each tag."""
    count = itertools.count(1)
    told("reading", 0, parts)
    return lambda _tag: told("reading", min(next(count), parts), parts)


def losses_of(losses: TechnicalLosses, transformer: str, _span_s: int, first: int, last: int) -> ResultTable:
    return losses.table(transformer, first, last)
