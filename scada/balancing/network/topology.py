"""Who feeds whom: a tree from the root, and what does not fit into one. Breadth first, a level at a time."""

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen(eq=False)
class Tree:
    """A spanning tree over what can be reached from the root. n nodes, s sections."""

    order: NDArray[np.intp]                 # (r,) reached sections, nearer ones first
    level: NDArray[np.intp]                 # (levels + 1,) where each level begins in `order`
    feeding: NDArray[np.intp]               # (n,) the section that feeds a node, -1 at the root and where nothing arrives
    above: NDArray[np.intp]                 # (n,) the node at its other end, -1 likewise
    closing: NDArray[np.intp]               # sections that close a loop
    reached: NDArray[np.bool_]              # (n,)


def spanning_tree(nodes: int, root: int, ends: NDArray[np.intp]) -> Tree:
    """
    Return the tree that grows from `root`, whichever way round the sections were entered.

    Parameters
    ----------
    nodes : int
        How many there are.
    root : int
    ends : ndarray of intp, shape (s, 2)

    Returns
    -------
    tree : Tree
        Which of several sections closes a loop is a matter of order: the later one of those of a level.
    """
    sections = len(ends)
    here, there = np.concatenate([ends, ends[:, ::-1]]).T
    section = np.tile(np.arange(sections), 2)
    by = np.argsort(here, kind="stable")
    there, section = there[by], section[by]
    start = np.searchsorted(here[by], np.arange(nodes + 1))

    feeding, above = np.full(nodes, -1, dtype=np.intp), np.full(nodes, -1, dtype=np.intp)
    reached, seen, kept = np.zeros(nodes, dtype=bool), np.zeros(sections, dtype=bool), np.zeros(sections, dtype=bool)
    order, level = [], [0]
    front = np.array([root], dtype=np.intp)
    reached[root] = True
    while len(front):
        count = start[front + 1] - start[front]
        place = np.arange(count.sum()) + np.repeat(start[front] - np.cumsum(count) + count, count)
        via, to, origin = section[place], there[place], np.repeat(front, count)
        new = ~reached[to]
        seen[via] = True
        _, first = np.unique(to[new], return_index=True)
        first.sort()
        via, to, origin = via[new][first], to[new][first], origin[new][first]
        feeding[to], above[to], reached[to], kept[via] = via, origin, True, True
        order.append(via)
        level.append(level[-1] + len(via))
        front = to
    return Tree(
        order=np.concatenate(order), level=np.array(level[:-1], dtype=np.intp), feeding=feeding, above=above,
        closing=np.flatnonzero(seen & ~kept), reached=reached,
    )


def paths(tree: Tree, nodes: NDArray[np.intp], sections: int) -> NDArray[np.bool_]:
    """
    Return which of the network's `sections` lie between the root and each of `nodes`.

    Returns
    -------
    path : ndarray of bool, shape (len(nodes), s)
        Climbs all nodes at once, so as many steps as the deepest of them.
    """
    path = np.zeros((len(nodes), sections), dtype=bool)
    row, here = np.arange(len(nodes)), np.asarray(nodes)
    while len(here):
        climbing = tree.feeding[here] >= 0
        row, here = row[climbing], here[climbing]
        path[row, tree.feeding[here]] = True
        here = tree.above[here]
    return path


def islands(nodes: int, reached: NDArray[np.bool_], ends: NDArray[np.intp]) -> list[Tree]:
    """Return a tree of each set of nodes that hang together, and that nothing reaches."""
    found, reached = [], reached.copy()
    while not reached.all():
        found.append(spanning_tree(nodes, int(np.argmin(reached)), ends))
        reached |= found[-1].reached
    return found
