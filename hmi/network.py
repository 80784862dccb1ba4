"""How the figures of a radio network are shown: bands of colour, words for troubles, order and choice of rows. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from scada.network import Basis, NetworkFigures, Place, Trouble
from scada.site import MeshNode, MeshView

NAN: Final = float("nan")
BANDS: Final[dict[str, tuple[float, float, float, float]]] = {
    # the best band ends at the first edge; rising edges: more is worse, falling edges: less is worse
    "delivery": (95.0, 90.0, 80.0, 60.0),                   # %
    "signal": (-75.0, -85.0, -95.0, -105.0),                # dBm, the weaker direction
    "level": (2.0, 4.0, 6.0, 10.0),
    "relayed": (25.0, 50.0, 80.0, 100.0),                   # % of the budget
    "battery": (8.0, 5.0, 3.0, 2.0),                        # years
}
SORTS: Final = ("trouble", "level", "name", "delivery", "signal", "relayed", "battery", "below")
RISING: Final = frozenset({"delivery", "signal", "battery"})        # the smallest is the worst


@attrs.frozen
class Figures:
    """What is reckoned of one module; nothing where nothing is known."""

    depth: int = -1
    below: int = 0
    share: float = NAN
    stranded: int = 0
    relayed: float = NAN
    budget: float = NAN
    changes: int = 0
    years: float = NAN
    years_low: float = NAN
    years_high: float = NAN
    basis: Basis = Basis.UNKNOWN
    trouble: Trouble = Trouble.NONE

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        return tuple(one for one in Trouble if one and one in self.trouble)


def of_modules(figures: NetworkFigures | None) -> dict[int, Figures]:
    """The figures of every module, by EUI."""
    if figures is None:
        return {}
    f = figures
    return {
        int(f.eui[row]): Figures(
            int(f.depth[row]), int(f.below[row]), float(f.share[row]), int(f.stranded[row]), float(f.relayed[row]),
            float(f.budget[row]), int(f.changes[row]), float(f.years[row]), float(f.years_low[row]),
            float(f.years_high[row]), Basis(int(f.basis[row])), Trouble(int(f.trouble[row])),
        )
        for row in range(len(f.eui))
    }


def amount(figure: str, node: MeshNode, reckoned: Figures) -> float:
    """The figure that colours a module, in the unit of `BANDS`; NaN where it is not known."""
    match figure:
        case "delivery":
            return node.delivery * 100
        case "signal":
            return min(node.rssi_down_dbm, node.rssi_up_dbm)
        case "relayed":
            return reckoned.relayed / reckoned.budget * 100 if reckoned.budget else NAN
        case "battery":
            return reckoned.years
        case "below":
            return float(reckoned.below)
        case _:
            return float(node.level) if node.level else NAN


def band(figure: str, value: float) -> int | None:
    """0, the best, to 4; None where the figure is not known."""
    if math.isnan(value):
        return None
    edges = BANDS[figure]
    if edges[0] < edges[-1]:
        return sum(value > edge for edge in edges)
    return sum(value < edge for edge in edges)


def order(rows: Sequence[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Rows with the worst first; what is not known stands last."""
    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        node, reckoned = row["node"], row["figures"]
        if by == "name":
            return (row["name"],)
        if by == "trouble":
            return (-len(reckoned.troubles), node.level, node.index)
        value = amount(by, node, reckoned)
        if by == "level":
            return (node.level, node.index)
        return (math.isnan(value), value if by in RISING else -value, node.index)

    return sorted(rows, key=key)


def hot(rows: Sequence[dict[str, Any]], most: int = 8) -> list[dict[str, Any]]:
    """The modules on which most hang, with at least one below them."""
    carrying = [row for row in rows if row["figures"].below]
    return sorted(carrying, key=lambda row: (-row["figures"].below, row["node"].index))[:most]


def as_it_was(view: MeshView, places: Sequence[Place], at: int) -> MeshView:
    """The tree of an instant as a view: places, and no figures, for those are of the present."""
    nodes = tuple(
        MeshNode(one.eui, one.index, one.level, one.parent, NAN, NAN, NAN, 0, 0, NAN, 0) for one in places
    )
    return attrs.evolve(view, nodes=nodes, as_of=at, overheard=())


def since(places: Sequence[Place]) -> Mapping[int, int]:
    return {one.eui: one.since for one in places}
