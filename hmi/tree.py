"""Places a mesh as a tree that never moves by itself: level to the right, parents at the middle."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from scada.site import MeshNode

ROW: Final = 26.0
COLUMN: Final = 205.0
LABEL: Final = 120.0                    # the line to a child begins behind its parent's name
LEFT: Final = 70.0
TOP: Final = 20.0


@attrs.frozen
class Placed:
    node: MeshNode
    x: float
    y: float
    parent_x: float
    parent_y: float
    row: Any                            # whatever the page knows about the module


@attrs.frozen
class Tree:
    placed: tuple[Placed, ...]
    root_x: float
    root_y: float
    width: float
    height: float


def lay_out(nodes: Sequence[MeshNode], rows: Mapping[int, Any]) -> Tree:
    """Positions of all nodes; one whose parent is unknown (or in a loop) hangs at the concentrator."""
    by_index = {node.index: node for node in nodes}
    children: dict[int, list[int]] = {}
    for node in sorted(nodes, key=lambda node: node.index):
        children.setdefault(_parent(node, by_index), []).append(node.index)
    y: dict[int, float] = {}
    depth: dict[int, int] = {0: 0}
    leaves = 0
    stack: list[tuple[int, bool]] = [(0, False)]
    while stack:                                              # after its children, a parent stands at their middle
        index, seen = stack.pop()
        below = children.get(index, [])
        if seen:
            y[index] = (y[below[0]] + y[below[-1]]) / 2
        elif below:
            stack.append((index, True))
            for child in reversed(below):
                depth[child] = depth[index] + 1
                stack.append((child, False))
        else:
            y[index] = TOP + leaves * ROW
            leaves += 1
    root_y = y.get(0, TOP)
    placed = tuple(
        Placed(node, LEFT + depth[index] * COLUMN, y[index], _line_start(depth[index] - 1), y[_parent(node, by_index)],
               rows.get(index))
        for index, node in sorted(by_index.items()) if index in y
    )
    width = LEFT + (max(depth.values(), default=0) + 1) * COLUMN
    return Tree(placed, LEFT, root_y, width, max(leaves, 1) * ROW + TOP)


def _line_start(depth: int) -> float:
    return LEFT + depth * COLUMN + (LABEL if depth else 10.0)


def _parent(node: MeshNode, by_index: Mapping[int, MeshNode]) -> int:
    """The parent's index, 0 where it is unknown or the way up runs in a circle."""
    seen, at = {node.index}, node.parent
    while at:
        if at in seen or at not in by_index:
            return 0
        seen.add(at)
        at = by_index[at].parent
    return node.parent
