"""A network as written down: every mistake is named, all at once, with the name a person knows."""

import attrs
import numpy as np
import pytest

from scada.balancing.network import feeder, network_of
from scada.balancing.network.topology import spanning_tree
from scada.bench.balance.feeders import tables
from scada.errors import ConfigError


def changed(table, **columns):
    """A copy in which some cells of some columns are others."""
    cells = {}
    for column, others in columns.items():
        old = list(getattr(table, column))
        for index, value in others.items():
            old[index] = value
        cells[column] = np.array(old) if isinstance(getattr(table, column), np.ndarray) else tuple(old)
    return attrs.evolve(table, **cells)


def complaints(written):
    with pytest.raises(ConfigError) as raised:
        network_of(written)
    return [str(problem) for problem in raised.value.problems]


def test_all_mistakes_are_named_at_once():
    """Twelve kinds in one network, each with its place."""
    right = tables("chain", 12, 6, 1)
    sections = changed(
        right.sections,
        names={0: "s2"}, linecode={2: "copper", 3: ""}, length={4: -3.0, 5: np.nan},
        ends={8: ("n8", "n7"), 11: ("far", "away"), 6: ("n6", "")},
    )
    points = changed(
        right.points, names={1: "c0"}, phases={2: "", 3: "L4", 4: "L1L1"}, node={5: "nowhere"}, power_factor={0: 1.2}
    )
    linecodes = changed(right.linecodes, ohm_per_km={1: np.array([-1.0, 0, 0, 0])})
    said = complaints(attrs.evolve(right, sections=sections, points=points, linecodes=linecodes))

    for expected in (
        "sections: s2: is there 2 times", "sections: s3: linecode 'copper' is not known",
        "sections: s4: expected a linecode", "sections: s5: length -3 m", "sections: s6: length nan m",
        "sections: s9: closes a loop", "sections: s7: an end is missing",
        "sections: island: nothing feeds", "service points: c0: is there 2 times", "service points: c2: no phase",
        "service points: c3: phase 'L4' is not known", "service points: c4: phase 'L1L1' is not known",
        "service points: c5: node 'nowhere' has no section", "service points: c0: power factor 1.2",
        "linecodes: main70: impedance is not possible",
    ):
        assert [line for line in said if line.startswith(expected)], expected


def test_an_island_is_one_complaint_and_says_what_hangs_on_it():
    """Not one for each of its sections."""
    right = tables("chain", 10, 6, 1)
    behind = sum(int(node[1:]) >= 6 for node in right.points.node)
    said = complaints(attrs.evolve(right, sections=changed(right.sections, ends={5: ("n5", "elsewhere")})))

    assert said == [f"sections: island: nothing feeds n6, n7, n8 … (5 nodes, {behind} service points)"]


def test_a_parallel_cable_closes_a_loop_and_a_meshed_network_may_have_it():
    """The radial model refuses it, too."""
    right = tables("chain", 10, 3, 1)
    written = attrs.evolve(right, sections=changed(right.sections, ends={9: right.sections.ends[4]}), points=changed(
        right.points, node={0: "n1", 1: "n2", 2: "n3"}))
    said = complaints(written)

    assert len(said) == 1
    assert "s10: closes a loop" in said[0]
    with pytest.raises(ValueError, match="loops"):
        feeder(network_of(written, meshed=True))


def test_the_source_is_found_as_the_only_node_that_only_feeds():
    """And asked for, where there are several."""
    right = tables("star", 9, 3, 1)
    straight = tuple((f"n{max(0, node - 4)}", f"n{node}") for node in range(1, 10))
    found = network_of(attrs.evolve(right, root="", sections=attrs.evolve(right.sections, ends=straight)))
    turned = attrs.evolve(right.sections, ends=(*straight[:-1], straight[-1][::-1]))
    said = complaints(attrs.evolve(right, root="", sections=turned))

    assert found.nodes[found.root] == "n0"
    assert "where is the source?" in said[0]
    assert complaints(attrs.evolve(right, root="n77")) == ["sections: no section reaches 'n77', where the source hangs"]


def test_a_tree_has_the_nearer_sections_first():
    """Each level is whole before the next begins, however the sections were numbered and turned."""
    rng = np.random.default_rng(3)
    above = np.array([rng.integers(node) for node in range(1, 300)])
    ends = np.column_stack([above, np.arange(1, 300)])
    ends = np.where(rng.random((299, 1)) < 0.5, ends, ends[:, ::-1])[rng.permutation(299)]
    tree = spanning_tree(300, 0, ends)
    depth = np.zeros(300, dtype=int)
    for node in range(1, 300):
        depth[node] = depth[above[node - 1]] + 1

    assert sorted(tree.order) == list(range(299))
    assert (np.diff(depth[ends[tree.order]].max(axis=1)) >= 0).all()
    assert (tree.above[1:] == above).all()
    assert np.diff(tree.level).tolist() == np.bincount(depth)[1:].tolist()
