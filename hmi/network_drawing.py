"""A network of cables as a tree, drawn by the server: the wider and the redder, the more is lost there. Pure."""

from collections.abc import Sequence
from typing import Final

import attrs

from scada.ports import SectionLoss

WIDTH, LEFT, TOP, ROW = 1280.0, 16.0, 14.0, 15.0     # px
RIGHT: Final = 120.0                                # px, for the names of the ends
GRADES: Final = (0.05, 0.2, 0.5)                    # of the section that loses most, from which on it is grade 1, 2, 3
MOST: Final = 2000                                  # sections that are drawn


@attrs.frozen
class Line:
    path: str
    css: str                                        # "loss0" to "loss3"
    section: SectionLoss
    x: float                                        # of its far end
    y: float
    end: bool                                       # nothing goes on from there


@attrs.frozen
class Drawing:
    width: float
    height: float
    lines: tuple[Line, ...]
    left_out: int


def drawing(root: str, sections: Sequence[SectionLoss]) -> Drawing:
    """
    Lay out a tree of sections, nearer ones first: to the right as long as they are, an end a row.

    What leads to a node that is there already closes a loop, and is drawn straight between its ends.
    """
    drawn = sections[:MOST]
    onward: dict[str, list[str]] = {}
    away = {root: 0.0}
    ties = set()
    for one in drawn:
        near, far = one.ends
        if far in away:
            ties.add(one.name)
            continue
        onward.setdefault(near, []).append(far)
        away[far] = away[near] + one.length_m
    rows: dict[str, float] = {}
    waiting, ends = [root], 0
    while waiting:
        node = waiting.pop()
        waiting += reversed(onward.get(node, ()))
        if node not in onward:
            rows[node], ends = float(ends), ends + 1
    for node in reversed(away):
        if node not in rows:
            rows[node] = (rows[onward[node][0]] + rows[onward[node][-1]]) / 2
    scale = (WIDTH - LEFT - RIGHT) / (max(away.values()) or 1.0)
    most = max((one.lost for one in drawn), default=0.0) or 1.0

    def place(node: str) -> tuple[float, float]:
        return round(LEFT + away[node] * scale, 1), round(TOP + rows[node] * ROW, 1)

    lines = []
    for one in drawn:
        (x1, y1), (x2, y2) = place(one.ends[0]), place(one.ends[1])
        grade = sum(one.lost >= share * most for share in GRADES) if one.lost > 0 else 0
        if one.name in ties:
            lines.append(Line(f"M{x1} {y1}L{x2} {y2}", f"loss{grade} tie", one, x2, y2, False))
        else:
            lines.append(Line(f"M{x1} {y1}V{y2}H{x2}", f"loss{grade}", one, x2, y2, one.ends[1] not in onward))
    return Drawing(WIDTH, TOP * 2 + max(ends - 1, 0) * ROW, tuple(lines), len(sections) - len(drawn))
