"""Reads, when a shed has settled, what its transformers measured, and enters it: in a thread, one command at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import NS, SiteClock
from scada.commands import Effect
from scada.dr_dispatch import effect
from scada.dr_dispatch.book import Book
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.effect import Series, Span
from scada.dr_dispatch.heavy import Heavy
from scada.dr_dispatch.images import Images
from scada.dr_dispatch.members import WAITING
from scada.dr_dispatch.outages import deadline, terms
from scada.ports import LiveReader, TagSource
from scada.tags import UNCERTAIN, tag_id

POINT: Final = "power_active_total"     # of a transformer's meter
WATTS: Final = {"W": 1.0, "kW": 1e3, "MW": 1e6}
LAG_S: Final = 15                       # site time until what was measured is in the history
RECENT_S: Final = 24 * 3600             # site time; an older command is not measured any more


class Confirming:
    log = Logger()

    def __init__(
        self, live: LiveReader | None, bus: TagSource, clock: SiteClock, book: Book, images: Images, course: Course,
        reactor: Any, pool: ThreadPool, running: Callable[[], bool],
    ) -> None:
        self._live, self._bus, self._clock, self._book, self._images = live, bus, clock, book, images
        self._course, self._reactor, self._pool, self._running = course, reactor, pool, running
        self._heavy = Heavy(reactor, pool)
        self._busy = False
        self._not_before: dict[bytes, int] = {}             # ns, site time: the history was not there yet
        self.failures = 0

    def look(self) -> None:
        """Measure the next command whose time has come."""
        if self._busy or self._live is None:
            return
        now = self._clock.now()
        due = next((one for one in self._book.all() if self._due(one, now)), None)
        if due is None:
            return
        self._busy = True
        measuring = Deferred.fromCoroutine(self._measure(due))

        def over(outcome: object) -> object:
            self._busy = False
            return outcome

        measuring.addBoth(over).addErrback(self._failed, due.id)

    def _due(self, command: Command, now: int) -> bool:
        if not effect.may_be_measured(command) or now > command.made + RECENT_S * NS:
            return False
        settled = int(command.members.times(terms(command)).settled.max(initial=0))
        if not settled:
            return False
        if command.members.any_in(WAITING) and now < deadline(command):
            return False
        return now >= self._not_before.get(command.id, settled + (effect.WINDOW_S + LAG_S) * NS)

    async def _measure(self, command: Command) -> None:
        directory = self._images.directory
        restored = min((one.made for one in self._book.restores(command.id)), default=None)
        outages, size = await self._images.outages(but=command.id), len(command.members)
        spans = await self._heavy.run(size, partial(effect.spans, command, directory, restored))
        effects = list(effect.untold(command, directory, spans))
        others = await self._heavy.run(sum(map(len, outages)), partial(effect.edges, outages, directory))
        for name, span in spans.items():
            meter = directory.transformer[name].meter
            if meter:
                disturbed = effect.is_disturbed(span, others.get(name, ()))
                job = partial(self._read, name, meter, self._factor(meter), span, disturbed)
                effects.append(await deferToThreadPool(self._reactor, self._pool, job))
        if not self._running() or not effects:
            return
        back = max((span.back for span in spans.values()), default=0) + (effect.WINDOW_S + LAG_S) * NS
        if any(one.reason == effect.NO_SAMPLES for one in effects) and self._clock.now() < back:
            self._not_before[command.id] = back             # a slow meter: the window is not over yet
            return
        self._not_before.pop(command.id, None)
        found = tuple(sorted(effects, key=lambda one: one.transformer))
        self._course.change(command.id, lambda one, now: attrs.evolve(one, effects=found))

    def _factor(self, meter: str) -> float:
        """From the meter's unit to W; NaN if it measures no active power."""
        device = self._bus.devices().get(meter)
        units = {tag.point: tag.unit for tag in device.tags} if device else {}
        return WATTS.get(units.get(POINT, ""), float("nan"))

    def _read(self, name: str, meter: str, factor: float, span: Span, disturbed: bool) -> Effect:
        """In a thread."""
        assert self._live is not None
        first, last = span.made - effect.HISTORY_S * NS, span.back + effect.WINDOW_S * NS
        history = self._live.read(tag_id(meter, POINT), first, last)
        good = (history.quality < UNCERTAIN) & np.isfinite(history.values * factor)
        series = Series(history.at[good], history.values[good] * factor)
        return effect.measured(name, span, series, disturbed)

    def _failed(self, failure: Failure, identity: bytes) -> None:
        self.failures += 1
        self._not_before[identity] = self._clock.now() + effect.WINDOW_S * NS       # a disk that is busy now
        self.log.failure("the effect of command {command} could not be measured", failure, command=identity.hex())
