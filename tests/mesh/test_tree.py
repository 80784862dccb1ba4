"""The arithmetic of trees, held against the slow and obvious way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scada.mesh import tree


@st.composite
def graphs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Parents and alternatives of up to 12 modules: anything a report may say, circles and strangers too."""
    n = draw(st.integers(1, 12))
    row = st.integers(-2, n - 1)
    parent = draw(st.lists(row, min_size=n, max_size=n))
    ways = draw(st.lists(st.lists(row, min_size=2, max_size=2), min_size=n, max_size=n))
    return np.array(parent), np.array(ways)


def climb(parent: np.ndarray, at: int) -> list[int] | None:
    """The modules on the way up; None if it does not end at the concentrator."""
    way: list[int] = []
    while True:
        at = int(parent[at])
        if at == tree.ROOT:
            return way
        if at < 0 or at in way:
            return None
        way.append(at)


def reached(parent: np.ndarray, ways: np.ndarray, without: int) -> set[int]:
    """Who has a way to the concentrator, found by walking."""
    found: set[int] = set()
    grown = True
    while grown:
        grown = False
        for u in range(len(parent)):
            ups = {int(parent[u]), *map(int, ways[u])}
            if u not in found and u != without and (tree.ROOT in ups or ups & found):
                found.add(u)
                grown = True
    return found


@given(graphs())
def test_depth_and_subtree_are_what_climbing_finds(graph: tuple[np.ndarray, np.ndarray]) -> None:
    """Whatever is reported: who climbs to the concentrator has a depth, and hangs on all on its way."""
    parent, _ = graph
    depth = tree.depths(parent)
    below = tree.below(parent, depth)
    ways = [climb(parent, at) for at in range(len(parent))]

    assert depth.tolist() == [-1 if way is None else len(way) + 1 for way in ways]
    assert below.tolist() == [sum(way is not None and at in way for way in ways) for at in range(len(parent))]


@given(graphs())
def test_stranded_are_those_that_a_removal_cuts_off(graph: tuple[np.ndarray, np.ndarray]) -> None:
    """The matrix of all removals at once says what removing them one by one says."""
    parent, ways = graph
    whole = reached(parent, ways, without=-9)
    slow = [len(whole - reached(parent, ways, without=v) - {v}) for v in range(len(parent))]

    assert tree.stranded(parent, ways).tolist() == slow


def test_an_alternative_saves_the_subtree() -> None:
    """3 hangs on 2 on 1; 2 could go to the concentrator itself, so 1 can be done without and 2 cannot."""
    parent = tree.positions(np.array([1, 2, 3]), np.array([0, 1, 2]))
    ways = tree.positions(np.array([1, 2, 3]), np.array([[-1], [0], [-1]]))

    assert tree.stranded(parent, np.full((3, 1), tree.NOWHERE)).tolist() == [2, 1, 0]
    assert tree.stranded(parent, ways).tolist() == [0, 1, 0]


def test_an_empty_subnet_has_no_figures() -> None:
    none = np.zeros(0, dtype=np.int64)

    assert len(tree.depths(none)) == len(tree.below(none, none)) == len(tree.stranded(none, none.reshape(0, 0))) == 0
