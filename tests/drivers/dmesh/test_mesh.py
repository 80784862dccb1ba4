"""The tree from its reports: snapshots, deltas that fit, and who else is heard."""

from pathlib import Path

import pytest

from scada.clock import NS
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.messages import (
    Alternative,
    GetTopology,
    LinkStat,
    LinkStats,
    ModuleEntry,
    Neighbour,
    Overheard,
    Topology,
    TopologyDelta,
    TopologyNode,
)
from scada.drivers.dmesh.modules import listed
from scada.mesh.figures import Bounds, Known, figures
from scada.network import Trouble
from tests.drivers.dmesh.peers import Wire, bench

T = 1_767_261_500
TREE = Topology(5, 0, 1, T, (TopologyNode(1, 0, 1), TopologyNode(2, 1, 2), TopologyNode(3, 2, 3)))


def test_a_delta_changes_what_it_names_and_nothing_else() -> None:
    mesh = Mesh()
    mesh.take_topology(TREE)
    taken = mesh.take_delta(TopologyDelta(5, 6, T + 60, (TopologyNode(2, 0, 1),), sets.bitmap([3])))

    assert taken
    assert mesh.places == {1: (0, 1), 2: (0, 1)}
    assert (mesh.generation, mesh.as_of) == (6, (T + 60) * NS)


@pytest.mark.parametrize("news", [
    TopologyDelta(5, 6, T + 60, (), sets.bitmap([3])), Topology(6, 0, 1, T + 60, TREE.nodes[:2]),
], ids=["delta", "snapshot"])
def test_whom_the_concentrator_drops_from_the_tree_hangs_nowhere(news: TopologyDelta | Topology) -> None:
    """Whatever its statistics said before: it has no way to the concentrator, and is shown so."""
    mesh = Mesh()
    mesh.modules = listed(1, tuple(ModuleEntry(n, 0xA0 + n, 1, "", n) for n in (1, 2, 3)))
    stats = tuple(LinkStat(n, n, n - 1, -80, -82, 987, 1500, 0, 3600, 3400, T) for n in (1, 2, 3))
    mesh.take_stats(LinkStats(0, 1, T, stats))
    alone = [(node.parent, node.level) for node in mesh.view("C01", link_up=True).nodes]
    mesh.take_topology(TREE)
    (mesh.take_delta if isinstance(news, TopologyDelta) else mesh.take_topology)(news)  # type: ignore[operator]
    view = mesh.view("C01", link_up=True)
    found = figures(view, Known({}, {}, {}), (), (T + 120) * NS, Bounds())

    assert alone == [(0, 1), (1, 2), (2, 3)]                # while no tree was told, the statistics are all there is
    assert [(node.parent, node.level) for node in view.nodes] == [(0, 1), (1, 2), (0, 0)]
    assert [bool(one & Trouble.CUT_OFF) for one in found.trouble] == [False, False, True]
    assert mesh.parents()[1:4].tolist() == [0, 1, 0]


def test_a_delta_of_another_generation_changes_nothing() -> None:
    mesh = Mesh()
    mesh.take_topology(TREE)

    assert not mesh.take_delta(TopologyDelta(4, 6, T, (TopologyNode(2, 0, 1),)))
    assert mesh.places[2] == (1, 2)
    assert not Mesh().take_delta(TopologyDelta(0, 1, T, (TopologyNode(2, 0, 1),)))


def test_the_server_asks_for_the_whole_tree_once_when_a_delta_does_not_fit(tmp_path: Path) -> None:
    """It is asked for because the concentrator itself said something changed: never by a timer."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    quiet = wire.said(GetTopology)
    wire.replies[GetTopology] = lambda _: TREE
    told: list[str] = []
    site.service.on_mesh(told.append)
    wire.say(TopologyDelta(3, 5, T, (TopologyNode(2, 0, 1),)))
    view = site.service.view("C01")

    assert quiet == []
    assert len(wire.said(GetTopology)) == 1
    assert view is not None
    assert [(node.index, node.parent, node.level) for node in view.nodes] == [(1, 0, 1), (2, 1, 2), (3, 2, 3)]
    assert told == ["C01"]


def test_an_account_of_strangers_counts_when_all_its_pages_are_there() -> None:
    mesh = Mesh()
    first = mesh.take_overheard(Overheard(0, 2, T, (Neighbour(7, T - 5, -90, 3, 12),)))
    held = mesh.overheard
    last = mesh.take_overheard(Overheard(1, 2, T, (Neighbour(8, T - 6, -95),)))
    mesh.take_overheard(Overheard(0, 2, T + 9, ()))
    view = mesh.view("C01", link_up=True)

    assert (first, held, last) == (False, (), True)
    assert [(one.eui, one.rssi_dbm, one.by, one.packets) for one in view.overheard] == [(7, -90, 3, 12), (8, -95, 0, 0)]
    assert view.overheard_as_of == T * NS


def test_ordered_parents_budget_and_idle_voltage_reach_the_view(tmp_path: Path) -> None:
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    stat = LinkStat(
        1, 2, 3, -80, -82, 987, 1500, 40, 3600, 3400, T, 0, (Alternative(2, -85, 900), Alternative(0, -101, 500)),
        parent_changes=4, relay_budget=600, noise=-110, failed=2,
    )
    wire.say(LinkStats(0, 1, T, (stat,)))
    view = site.service.view("C01")
    assert view is not None
    node = view.nodes[0]

    assert [(one.parent, one.rssi_dbm, one.delivery) for one in node.alternatives] == [
        (2, -85, pytest.approx(0.9)), (0, -101, pytest.approx(0.5)),
    ]
    assert (node.battery_idle_mv, node.relay_budget, node.parent_changes, node.noise_dbm, node.failed) == (
        3600, 600, 4, -110, 2,
    )
    assert site.service.view("nobody") is None
