"""From frames to an outage: a concentrator's messages go through the real driver, alarm book and outage service."""

from pathlib import Path
from typing import Any

import attrs

from scada.alarms.service import AlarmService
from scada.drivers.dmesh.messages import Event, EventAck, Events, Overheard, Topology, TopologyDelta, TopologyNode
from scada.events import EventCode
from scada.mesh.service import NetworkService
from scada.outage import Scope
from scada.outages.service import OutageService
from scada.settings import NetworkSettings
from scada.site import Module, ModuleState
from tests.alarms.test_service import MemoryAudit
from tests.drivers.dmesh.peers import LINK_ID, Wire, bench
from tests.fakes import NOON, InlinePool


def test_modules_that_say_their_supply_is_lost_become_a_dark_building(tmp_path: Path) -> None:
    """TOPOLOGY, a delta, and EVENT(POWER_DOWN): one alarm, one outage, acknowledged to the field; and the tree is kept."""
    site = bench(tmp_path)
    reactor: Any = site.reactor
    reactor.callFromThread = lambda call, *args: call(*args)        # threads that are none
    pool: Any = InlinePool()
    known = site.registry.directory.site
    modules = tuple(
        Module(0xD100_0000 + n, f"C01-00{n}", "C01", n, ModuleState.ACTIVE, building="B1/2") for n in (1, 2, 3)
    )
    site.registry.replace(attrs.evolve(known, modules=modules))
    registry: Any = site.registry
    alarms = AlarmService(
        site.bus, site.service, registry, MemoryAudit(), site.bus, site.clock, reactor, tmp_path, pool,  # type: ignore[arg-type]
    )
    network = NetworkService(NetworkSettings(), site.service, registry, site.bus, site.clock, reactor, tmp_path, pool)
    outages = OutageService(
        site.bus, site.service, site.service, registry, alarms, site.bus, site.clock, reactor, tmp_path, pool, network
    )
    for part in (alarms, network, outages):
        part.start()
    wire = Wire(site.service).shake()
    wire.say(Topology(5, 0, 1, NOON - 60, (TopologyNode(1, 0, 1), TopologyNode(2, 1, 2), TopologyNode(3, 1, 2))))
    wire.say(TopologyDelta(5, 6, NOON - 50, (TopologyNode(3, 2, 3),)))
    wire.say(Overheard(0, 1, NOON - 40, ()))
    reactor.advance(3)
    wire.say(Events(tuple(Event(n, EventCode.POWER_DOWN, True, NOON - 20 + n, True, n) for n in (1, 2, 3))), 9)
    acknowledged = [ack.cursor for ack in wire.said(EventAck)]
    for _ in range(40):
        reactor.advance(1)
    (outage,) = outages.open()

    assert site.service.link_up(LINK_ID)
    assert acknowledged == [3]
    assert (outage.scope, outage.subject, outage.members) == (Scope.BUILDING, "B1", ("C01-001", "C01-002", "C01-003"))
    assert [alarm.id for alarm in alarms.active()] == ["Outage.B1:outage_building"]
    assert {alarm.kind for alarm in alarms.suppressed()} == {"power_down"}
    assert [(one.index, one.parent) for one in network.tree("C01", site.clock.now())] == [(1, 0), (2, 1), (3, 2)]
