"""The tree that a subnet grows by itself: a node takes the parent over which a packet costs the fewest transmissions.

Pure. Node 0 is the concentrator. A node that cannot be reached has level 0 and no parent (-1).
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

MOST_LEVELS: Final = 30                     # domain A3
HYSTERESIS: Final = 0.4                     # transmissions that a new way must be better before a node changes its parent
WORST_LINK: Final = 0.6                     # delivery below which a link is not used

Ints = NDArray[np.int64]


@attrs.frozen(eq=False)
class Tree:
    """Arrays over the nodes, concentrator first."""

    parent: Ints                            # node; -1: none
    level: Ints                             # hops to the concentrator; 0 for itself, and for who is not reached
    expected: NDArray[np.float64]           # transmissions to the concentrator; infinite where not reached

    @property
    def reached(self) -> NDArray[np.bool_]:
        return np.isfinite(self.expected)


def grow(delivery: NDArray[np.float64], before: Tree | None = None, most_levels: int = MOST_LEVELS) -> Tree:
    """
    The tree of least expected transmissions.

    Parameters
    ----------
    delivery : ndarray of float64, shape (n, n)
        Chance that one try arrives, between all pairs; 0 where nothing does. [1]
    before : Tree, optional
        The tree until now: the link to the present parent counts `HYSTERESIS` transmissions less, so that nobody moves
        for a trifle. A link costs at least 1, so what is left of it stays above 0 and the order of settling stays right.
    """
    n = len(delivery)
    usable = delivery >= WORST_LINK
    cost = np.where(usable, 1.0 / np.where(usable, delivery, 1.0), np.inf)
    if before is not None:
        child = np.flatnonzero(before.parent >= 0)
        cost[before.parent[child], child] -= HYSTERESIS
    parent, level = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    weight = np.full(n, np.inf)
    weight[0] = 0.0
    open_ = np.ones(n, dtype=bool)
    for _ in range(n):
        node = int(np.argmin(np.where(open_, weight, np.inf)))
        if not open_[node] or not np.isfinite(weight[node]):
            break
        open_[node] = False
        if level[node] >= most_levels:
            continue
        way = weight[node] + cost[node]
        better = open_ & (way < weight)
        weight[better], parent[better], level[better] = way[better], node, level[node] + 1
    return Tree(parent, level, _expected(delivery, parent, level, weight))


def _expected(delivery: NDArray[np.float64], parent: Ints, level: Ints, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the ways really cost, without the favour for the present parents."""
    expected = np.where(np.isfinite(weight), 0.0, np.inf)
    for deep in range(1, int(level.max(initial=0)) + 1):
        here = np.flatnonzero((level == deep) & (parent >= 0))
        expected[here] = expected[parent[here]] + 1.0 / delivery[parent[here], here]
    return np.asarray(expected, dtype=np.float64)


def below(tree: Tree) -> Ints:
    """How many nodes send through each."""
    count = np.zeros(len(tree.parent), dtype=np.int64)
    for deep in range(int(tree.level.max(initial=0)), 0, -1):
        here = np.flatnonzero(tree.level == deep)
        np.add.at(count, tree.parent[here], count[here] + 1)
    return count
