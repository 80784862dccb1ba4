"""Everything the pages may use, as ports: the HMI knows no package, only what it is handed here."""

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from hmi.names import title_of
from scada.clock import SiteClock
from scada.ports import (
    AlarmBook,
    Audit,
    Balances,
    Cases,
    CollectionMonitor,
    Concentrators,
    Desk,
    Dials,
    EventHistory,
    Firmware,
    GroupKeys,
    Health,
    History,
    Leaks,
    LiveReader,
    MeshMonitor,
    Metering,
    NetworkMonitor,
    Outages,
    PhaseOrders,
    PhaseStudies,
    PhaseWeeks,
    Reading,
    Registry,
    Replacements,
    Supplies,
    TagSource,
    TechnicalLosses,
    TimeMonitor,
    Users,
    Voltages,
    WalkbyImport,
)
from scada.settings import HmiSettings, SiteSettings, TimeSettings


def in_this_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Stand-in for the reactor bridge where there is no reactor: what is called must have its result at once."""
    outcome: list[Any] = []
    result = function(*args, **kwargs)
    if not isinstance(result, Deferred):
        return result
    result.addBoth(outcome.append)
    if not outcome:
        raise RuntimeError("the result is not there yet, and no reactor runs that could bring it")
    if hasattr(outcome[0], "raiseException"):
        outcome[0].raiseException()
    return outcome[0]


@attrs.frozen(eq=False)
class Services:
    """The ports behind the pages. `in_reactor` is replaced by `HmiService` with its own bridge."""

    bus: TagSource
    registry: Registry
    users: Users
    audit: Audit
    metering: Metering
    balances: Balances
    cases: Cases
    leaks: Leaks
    replacements: Replacements
    phases: PhaseStudies
    phase_weeks: PhaseWeeks
    phase_orders: PhaseOrders
    losses: TechnicalLosses
    live: LiveReader
    voltages: Voltages
    history: History
    alarms: AlarmBook
    events: EventHistory
    desk: Desk
    dials: Dials
    reading: Reading
    supplies: Supplies
    mesh: MeshMonitor
    collection: CollectionMonitor
    concentrators: Concentrators
    time: TimeMonitor
    clock_limits: TimeSettings
    network: NetworkMonitor
    outages: Outages
    firmware: Firmware
    walkby: WalkbyImport
    group_keys: GroupKeys
    health: Callable[[], list[Health]]
    clock: SiteClock
    site: SiteSettings
    hmi: HmiSettings
    in_reactor: Callable[..., Any] = in_this_thread

    def title(self, source: str) -> str:
        """What people call a tag or a device. Any thread."""
        return title_of(source, self.registry.directory, self.bus.devices())
