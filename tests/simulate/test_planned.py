"""A plan at a running head-end: over TCP the concentrator is told, the module comes, and the server has it in its place."""

from pathlib import Path

import attrs

from scada.drivers.dmesh.numbers import MAX_MODULES
from scada.drivers.dmesh.simulator.state import SimModule
from scada.events import EventCode
from scada.site import Module, ModuleState
from tests.simulate.stand import LINKS, MODULES, Stand

NEW = 0x02DF_1000_0000_0000


def test_a_whole_subnet_is_planned_and_one_of_it_is_installed_later(tmp_path: Path) -> None:
    """240 names go over in seconds, in frames of 1 kB; who never comes is neither lost nor silent nor announced."""
    stand = Stand(tmp_path)
    try:
        stand.run(0.5)
        client, registry = stand.clients[0], stand.head.registry
        site = registry.directory.site
        more = MAX_MODULES - MODULES
        registry.replace(attrs.evolve(site, modules=(*site.modules, *(
            Module(NEW + number, f"N-{number}", "C01", 0, ModuleState.PLANNED) for number in range(more)
        ))))
        stand.run(0.5)
        awaited = {entry.eui: entry.index for entry in client.state.awaited}
        view = stand.service.view("C01")
        counted = stand.head.bus.snapshot().get("C01/modules")[0]
        before = {one.eui for one in registry.joined}
        client.state.admit(SimModule(awaited[NEW + 3], NEW + 3, 2), stand.site_s)
        stand.settle()
        stand.run(2.5)
        joined = [one for one in registry.joined if one.eui >= NEW]
        seen = stand.look()
        lost_and_doubled = stand.lost_and_doubled()
    finally:
        stand.close()

    assert set(awaited) == {NEW + number for number in range(more)}
    assert view is not None
    assert counted == len(view.nodes) == MODULES                       # nobody sees who is not there
    assert not any(eui >= NEW for eui in before)
    assert {(one.eui, one.index, one.channels) for one in joined} == {(NEW + 3, awaited[NEW + 3], 2)}
    assert joined[0].link_id == LINKS[0]
    assert [EventCode(event.code) for event in stand.head.events if event.device.startswith("N-")] == []
    assert (seen["dmesh.links_up"], seen.get("event.MODULE_LOST", 0)) == (2, 0)
    assert lost_and_doubled == ([], [])
