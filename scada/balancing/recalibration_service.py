"""Keeps the list of meters that are worth replacing: registers and ages once a night, money whenever somebody looks.

Implements the ports Replacements and HealthSource. Nothing is stored: the registry has the costs, history the registers.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, succeed
from twisted.python.threadpool import ThreadPool

from scada.balancing.once_a_night import OnceANight
from scada.balancing.recalibrating import MEDIA, Base, Reckoned, example_curve, gathered, reckoned
from scada.cases import CaseState
from scada.clock import SiteClock
from scada.ports import Cases, Health, Metering, Registry
from scada.replacement import Replaceable, ReplacementList
from scada.site import Medium, MeterTerms

AFTER_H: Final = 4                      # behind midnight: after balance groups and leaks
MOST_CASES: Final = 10_000
LOSING: Final = (CaseState.NEW, CaseState.INSPECTION, CaseState.CONFIRMED)
MOST_KEPT: Final = 8                    # lists by what they were reckoned from


class RecalibrationService:
    """Until the first night after a start is over the list says that it is not there yet."""

    def __init__(
        self, registry: Registry, metering: Metering, cases: Cases, clock: SiteClock, reactor: Any, pool: ThreadPool,
        timezone: str,
    ) -> None:
        self._registry, self._metering, self._cases, self._clock = registry, metering, cases, clock
        self._zone = ZoneInfo(timezone)
        self.nightly = OnceANight(
            "the reckoning of meters", AFTER_H, self._night, lambda: None, clock, reactor, pool, timezone
        )
        self._base: Base | None = None
        self._lists: dict[tuple[object, ...], Reckoned] = {}
        self._lock = threading.Lock()

    def start(self) -> "Deferred[None]":
        self.nightly.start("")
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self.nightly.stop())

    def health(self) -> Iterable[Health]:
        base, nightly = self._base, self.nightly
        text = "no meters reckoned yet" if base is None else f"{len(base.points)} meters reckoned on {base.day}"
        if nightly.failing:
            text = "the reckoning of meters failed; it is tried again"
        yield Health("recalibration", not nightly.failing, text, {
            "meters": 0.0 if base is None else float(len(base.points)), "failures": float(nightly.failures),
        })

    # ------------------------------------------------------------------ ports.Replacements
    def page(self, media: Sequence[Medium], first: int = 0, size: int = 50) -> ReplacementList:
        base = self._base
        if base is None:
            return ReplacementList("", 0, 0, 0.0, (), ())
        return self._reckoned(base, self._registry.directory.terms_of_medium, tuple(media)).page(first, size)

    def of_point(self, point: str) -> Replaceable | None:
        base = self._base
        if base is None or point not in self._registry.directory.point or point not in base.points:
            return None
        found = self._reckoned(base, self._registry.directory.terms_of_medium, MEDIA)
        return found.one(base.points.index(point))

    def example(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return example_curve()

    def _reckoned(self, base: Base, terms: Mapping[Medium, MeterTerms], media: tuple[Medium, ...]) -> Reckoned:
        """A list is worked out once for each state of the costs."""
        key = (id(base), media, tuple(terms.values()))
        with self._lock:
            found = self._lists.get(key)
            if found is None or found.base is not base:
                found = reckoned(base, terms, media)
                while len(self._lists) >= MOST_KEPT:
                    self._lists.pop(next(iter(self._lists)))
                self._lists[key] = found
        return found

    # ------------------------------------------------------------------ the night
    def _night(self, day: str, stopping: threading.Event) -> bool:
        """In a worker thread."""
        cases, _total = self._cases.find(LOSING, 0, MOST_CASES)
        base = gathered(
            self._registry.directory, self._metering.register, self._clock.hour() - AFTER_H, day, cases,
            stopping=stopping.is_set, zone=self._zone,
        )
        if base is None:
            return False
        with self._lock:
            self._base = base
            self._lists.clear()
        return True
