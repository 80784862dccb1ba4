"""What a concentrator tells of its radio, and what the head-end makes of it: changes, neighbours, ways round."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scada.drivers.dmesh.messages import GetTopology, Overheard, Topology, TopologyDelta
from scada.drivers.dmesh.simulator import network
from scada.network import Trouble
from scada.simulate.faults import CATALOGUE
from tests.simulate.stand import LINKS, TARGET, Stand, eui


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()


def places(stand: Stand) -> dict[int, tuple[int, int]]:
    view = stand.service.view("C01")
    assert view is not None
    return {one.index: (one.parent, one.level) for one in view.nodes}


def test_a_change_of_the_tree_is_told_as_a_change_and_the_server_holds_the_whole(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No snapshot is sent for it, none is asked for, and both ends agree on every place."""
    stand.run(1.0)
    state = stand.clients[0].state
    session = stand.clients[0].protocol.session          # type: ignore[union-attr]
    sent: list[type] = []
    send = session._send
    monkeypatch.setattr(session, "_send", lambda message, corr=0: (sent.append(type(message)), send(message, corr)))
    before = places(stand)
    state.replant(worse_db=6.0)
    stand.settle()
    told = set(sent)

    assert told & {Topology, TopologyDelta, GetTopology} == {TopologyDelta}
    there = {index: place for index, place in places(stand).items() if place[1]}
    assert there == network.places((one.index for one in state.modules), state.mesh) != before
    assert state.tree[0] == 2


def test_who_is_not_heard_leaves_the_tree_and_hangs_nowhere_at_the_server(stand: Stand) -> None:
    """At once, though the statistics that the server has say otherwise; and has its place again when he is back."""
    stand.run(1.2)
    before = places(stand)
    undo = CATALOGUE["node-loss"].begin(stand.rig())
    stand.run(0.1)
    lost, told = places(stand), stand.clients[0].state.tree[1]
    figures = stand.head.network.figures("C01")
    undo()
    stand.settle()

    assert before[TARGET][1] > 0
    assert lost[TARGET] == (0, 0)
    assert TARGET not in told
    assert figures is not None
    assert figures.trouble[TARGET - 1] & Trouble.CUT_OFF
    assert places(stand)[TARGET][1] > 0


def test_what_does_not_fit_a_frame_is_told_as_a_whole() -> None:
    """And what changed is no more than what changed: new places, and who has gone."""
    before = dict.fromkeys(range(1, 200), (0, 1))
    everybody = dict.fromkeys(range(1, 200), (1, 2))
    few = {**before, 7: (3, 2)}
    few.pop(9)
    delta = network.delta(4, before, 5, few, 100.0, 1024)

    assert network.delta(4, before, 5, everybody, 100.0, 1024) is None
    assert delta is not None
    assert [(one.index, one.parent, one.level) for one in delta.nodes] == [(7, 3, 2)]
    assert (delta.base, delta.generation, delta.gone) == (4, 5, bytes([0, 1]) + bytes(28))


def test_modules_of_the_next_subnet_are_heard_and_shown_as_an_overlap(stand: Stand) -> None:
    """OVERHEARD reaches the view and the figures of both; who has fallen silent keeps the time he was last heard."""
    stand.run(1.0)
    view = stand.service.view("C01")
    assert view is not None
    stranger = eui(LINKS[1], 5)
    (heard,) = view.overheard
    both = [stand.head.network.figures(name) for name in ("C01", "C02")]
    account = stand.clients[0].state.overheard(stand.site_s)
    stand.clients[1].state.plight.away.add(5)
    later = stand.clients[0].state.overheard(stand.site_s + 7200.0)

    assert (heard.eui, heard.rssi_dbm, heard.by) == (stranger, -95, 7)
    assert [[one.eui for one in figures.overlaps] for figures in both if figures] == [[stranger], [stranger]]
    assert isinstance(account[0], Overheard)
    assert later[0].neighbours[0].heard == account[0].neighbours[0].heard


def test_the_parents_a_module_could_take_are_named_and_none_of_them_hangs_on_itself(stand: Stand) -> None:
    """So the server can say who has no way round; and noise rises with an interferer."""
    stand.run(1.0)
    mesh = stand.clients[0].state.mesh
    for place, index in enumerate(mesh.index.tolist()):
        named = [one[0] for one in mesh.alternatives(place, 3)]
        assert not set(named) & (mesh.subtree(index) | {index, int(mesh.parent[place])})
    figures = stand.head.network.figures("C01")
    stats = stand.clients[0].state.link_stats(stand.site_s)
    stand.clients[0].state.replant(worse_db=12.0)
    worse = stand.clients[0].state.link_stats(stand.site_s)

    assert figures is not None
    assert not (figures.trouble & Trouble.NO_WAY_ROUND).all()
    assert worse[0].nodes[0].noise - stats[0].nodes[0].noise == 12
