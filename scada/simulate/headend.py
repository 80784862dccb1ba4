"""A head-end in this process and in virtual time: the real driver, historian, alarm book and outage service.

What faults and scenarios are judged against. Only the registry is another: it lives in memory, because nothing that is
judged here is a matter of its database.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from scada.alarms.service import AlarmService
from scada.balancing.service import BalancingService
from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.commands import Action, GroupOrder, LoadClass, MemberReport, MemberState
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.numbers import KeyTarget
from scada.drivers.dmesh.service import DmeshService
from scada.events import DeviceEvent, EventCode
from scada.historian.store import EmbeddedIntervals
from scada.mesh.service import NetworkService
from scada.metering.service import MeteringService
from scada.outages.service import OutageService
from scada.ports import Alarm, AlarmState
from scada.settings import DmeshSettings, NetworkSettings
from scada.simulate.standins import Counted, Inline, NoHistory, ResultsBook, SiteBook, run_now
from scada.simulate.virtual import Listening, VirtualEndpoint, VirtualReactor
from scada.site import Site
from scada.validation.service import ValidationService

GROUP, EPOCH, REPEAT = 5, 2, 3
VALID_S: Final = 300                        # of a group command, site time
MOST_OUTAGES: Final = 10_000                # of one trial that are over
PATIENCE_S: Final = 20.0                    # real time; only a bug waits that long


class HeadEnd:
    """Everything wired and started; `settle` after each step of the clock."""

    def __init__(
        self, folder: Path, reactor: VirtualReactor, clock: SiteClock, site: Site, link_keys: Mapping[int, bytes]
    ) -> None:
        self.reactor, self.clock, self.registry = reactor, clock, SiteBook(site)
        registry, pool, audit = self._any(self.registry), self._any(Inline()), self._any(None)
        self.historian = EmbeddedIntervals(folder / "history", reactor, fsync=lambda file: None, merge_delay=0.0)
        self.historian.open()
        self.historian.start()
        self.store = Counted(self.historian)
        self.keys = KeyStore.open(folder / "keys.store", folder / "master.key")
        for link, key in link_keys.items():
            self.keys.add_link(link, key)
        self.bus = bus = TagBus(clock, reactor)
        self.dmesh = DmeshService(
            DmeshSettings(), clock, reactor, bus.of("D-Mesh"), self._any(self.store), registry, self.keys, run_now,
            reader=self.historian,
        )
        self.alarms = AlarmService(bus, self.dmesh, registry, audit, bus.of("alarms"), clock, reactor, folder, pool)
        self.network = NetworkService(
            NetworkSettings(), self.dmesh, registry, bus.of("network"), clock, reactor, folder, pool
        )
        self.outages = OutageService(
            bus, self.dmesh, self.dmesh, registry, self.alarms, bus.of("outages"), clock, reactor, folder, pool,
            self.network,
        )
        self.metering = MeteringService(
            registry, self.historian, self._any(self.store), bus.of("metering"), clock, reactor, pool
        )
        self.balancing = BalancingService(
            registry, bus, bus.of("balancing"), self.metering, self.historian, self._any(self.store), NoHistory(),
            ResultsBook(), clock, reactor, pool, "UTC", self.historian.directory,
        )
        self.validation = ValidationService(
            registry, self.metering, self.balancing, self.alarms, clock, reactor, pool
        )
        self.events: list[DeviceEvent] = []
        self.counts: Counter[str] = Counter()
        self._members: dict[tuple[bytes, int], list[MemberReport]] = {}
        self._raised: set[tuple[str, int]] = set()
        self._parts: tuple[Any, ...] = (
            self.metering, self.balancing, self.alarms, self.network, self.outages, self.validation, self.dmesh
        )
        self.dmesh.on_events(self._heard_events)
        self.dmesh.on_report(self._heard_reports)
        self.dmesh.on_link(lambda link, up: self.counts.update(["link.ups" if up else "link.downs"]))
        for part in self._parts:
            failed: list[Failure] = []
            maybeDeferred(part.start).addErrback(failed.append)
            self.settle()
            if failed:
                failed[0].raiseException()
        self.alarms.subscribe(self._heard_alarm)

    @property
    def port(self) -> Listening:
        """Where concentrators call."""
        port: Listening = self.reactor.listening[0]
        return port

    @property
    def endpoint(self) -> VirtualEndpoint:
        return VirtualEndpoint(self.reactor, self.port)

    def settle(self) -> None:
        """Until nothing is under way, over the network or to the disk."""
        self.reactor.run_until_still(lambda: self.store.under_way > 0)

    def close(self) -> None:
        for part in reversed(self._parts[:-1]):             # the driver's connections end with their sockets
            part.stop()
            self.settle()
        self.reactor.close()
        self.historian.close()

    # ------------------------------------------------------------------ what people do at it
    def shed(self, command_id: bytes, link_id: int, members: tuple[tuple[int, int], ...], off_for_s: int = 600) -> None:
        """A group command to the given (index, EUI), as the desk would hand it to the driver."""
        order = GroupOrder(
            command_id, link_id, GROUP, EPOCH, Action.SHED, LoadClass.YELLOW, off_for_s,
            self.clock.now() // NS + VALID_S, 0, REPEAT, members,
        )
        self.dmesh.send(order).addErrback(lambda failure: self.counts.update(["command.failed"]))

    def inquire(self, command_id: bytes, link_id: int) -> None:
        """Ask a concentrator what became of a command, as the desk does after a break."""
        self.dmesh.inquire(command_id, link_id).addCallbacks(
            lambda known: self.counts.update(["command.known" if known else "command.forgotten"]), lambda failure: None
        )

    def rotate(self, link_id: int) -> None:
        """Lay up a new link key, as `scada keys rotate` does."""
        self.keys.begin([(KeyTarget.LINK, link_id)], self.clock.real())

    # ------------------------------------------------------------------ what it shows
    def look(self) -> dict[str, float]:
        """Its figures, events, alarms, outages and members, by the names of `scada.simulate.faults.expect`."""
        seen: dict[str, float] = dict(self.counts)
        (health,) = self.dmesh.health()
        seen |= {f"dmesh.{name}": value for name, value in health.figures.items()}
        self.merge()
        seen |= {f"historian.{name}": value for name, value in self.historian.health().figures.items()}
        told = Counter(
            f"{'event' if event.raised else 'cleared'}.{EventCode(event.code).name}" for event in self.events
        )
        for history in self._members.values():
            told.update(f"member.{state.name}" for state in {one.state for one in history})
            told.update(
                f"refused.{reason}" for reason in {one.reason for one in history if one.state is MemberState.REFUSED}
            )
        outages = (*self.outages.open(), *self.outages.history(size=MOST_OUTAGES))
        told.update(f"outage.{one.scope}" for one in outages)
        told["outage.any"] = len(outages)
        return seen | told

    def merge(self) -> None:
        """Wait until what is durable can be read, too."""
        end = time.monotonic() + PATIENCE_S
        while len(self.historian.merging):
            if time.monotonic() > end:
                raise TimeoutError("the historian merges for ever")
            time.sleep(0.002)

    def _heard_events(self, events: Sequence[DeviceEvent]) -> "Deferred[None]":
        self.events += events
        return succeed(None)

    def _heard_reports(self, reports: Sequence[MemberReport]) -> None:
        for one in reports:
            self._members.setdefault((one.command_id, one.eui), []).append(one)

    def _heard_alarm(self, alarm: Alarm) -> None:
        if alarm.state is AlarmState.UNACKNOWLEDGED and (alarm.id, alarm.raised) not in self._raised:
            self._raised.add((alarm.id, alarm.raised))
            self.counts[f"alarm.{alarm.kind}"] += 1
        elif alarm.state is AlarmState.RETURNED:
            self.counts[f"over.{alarm.kind}"] += 1

    @staticmethod
    def _any(part: Any) -> Any:
        """A part of our own in the place of one that a port asks for more of."""
        return part
