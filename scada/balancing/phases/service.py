"""Studies of phases for the pages: one at a time, kept until the next hour or a change of the registry."""

from collections import OrderedDict
from threading import Lock
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from scada.balancing.phases.gather import gathered
from scada.balancing.phases.study import study
from scada.clock import SiteClock
from scada.phase_study import PhaseStudy
from scada.ports import Balances, History, Metering, Registry

MOST_DAYS: Final = 28                   # of a page's study: 3 tags of 2.4 million samples, 400 members
KEPT: Final = 16                        # studies, the newest ones
Key = tuple[str, int, int, int, int]    # group, first hour, hours, generation of the registry, hour that is running


@attrs.frozen(eq=False)
class PhaseStudyService:
    """Implements `ports.PhaseStudies`. Called from the pages' threads, never from the reactor's."""

    registry: Registry
    metering: Metering
    history: History
    balances: Balances
    clock: SiteClock
    zone: ZoneInfo
    most_days: int = MOST_DAYS
    _kept: OrderedDict[Key, PhaseStudy] = attrs.field(factory=OrderedDict, init=False)
    _one: Lock = attrs.field(factory=Lock, init=False)

    def study(self, group: str, first_hour: int, hours: int) -> PhaseStudy | None:
        if not 0 < hours <= self.most_days * 24 + 1:
            raise ValueError(f"a study is of 1 to {self.most_days} days; found {hours} hours")
        directory = self.registry.directory
        key = group, first_hour, hours, directory.site.generation, self.clock.hour()
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        if not self._one.acquire(blocking=False):           # a page must not hold its thread for another's work
            return None
        try:
            of, feeder, balance = gathered(
                directory, directory.balance_group[group], first_hour, hours, self.zone,
                self.metering.hourly, self.history.resample, self.balances.table,
            )
            found = study(group, first_hour, hours, of, feeder, *balance)
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found
        finally:
            self._one.release()
