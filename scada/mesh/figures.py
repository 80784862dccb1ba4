"""Puts the figures of one subnet together from its reports, its history and what its neighbours overhear. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.mesh import battery, tree
from scada.mesh.history import Traffic
from scada.network import Basis, NetworkFigures, Overlap, Trouble
from scada.site import MeshNode, MeshView

RELAY_BUDGET: Final = 500.0             # packets a day, where a module does not say: the lower end of 500-700
SILENT_AFTER: Final = 26 * HOUR_S * NS  # statistics come at least once a day


@attrs.frozen
class Bounds:
    """From where on a figure is trouble."""

    delivery: float = 0.8
    share: float = 0.4
    years: float = 2.0
    changes: int = 6                    # a day


@attrs.frozen
class Known:
    """What is known of the modules beyond their last report."""

    installed: Mapping[int, int]        # h since 1970, by EUI
    traffic: Mapping[int, Traffic]      # by EUI
    changes: Mapping[int, int]          # of the parent in the last 24 h, by EUI


def figures(view: MeshView, known: Known, overlaps: Sequence[Overlap], now: int, bounds: Bounds) -> NetworkFigures:
    """
    Return the figures of one subnet.

    Parameters
    ----------
    view : MeshView
        The last reports.
    known : Known
        From the registry and the history.
    overlaps : sequence of Overlap
        Modules of this subnet that others hear, and the other way round.
    now : int
        Site time. [ns]
    bounds : Bounds
        From where on a figure is trouble.

    Returns
    -------
    figures : NetworkFigures
        In the order of the subnet indices; NaN where a module never reported.
    """
    nodes = sorted(view.nodes, key=lambda node: node.index)
    n = len(nodes)
    index = np.array([node.index for node in nodes], dtype=np.int64)
    placed = np.array([node.level > 0 for node in nodes], dtype=bool)
    parent = tree.positions(index, np.array([node.parent for node in nodes], dtype=np.int64))
    parent = np.where(placed, parent, tree.NOWHERE)
    depth = tree.depths(parent)
    under = tree.below(parent, depth)
    stranded = tree.stranded(parent, _alternatives(nodes, index))
    heard = np.array([node.heard for node in nodes], dtype=np.int64)
    ever = heard > 0
    delivery = np.array([node.delivery for node in nodes], dtype=np.float64)
    relayed = np.array([_relayed(node, known.traffic.get(node.eui)) for node in nodes], dtype=np.float64)
    budget = np.array([node.relay_budget or RELAY_BUDGET for node in nodes], dtype=np.float64)
    changed = np.array([max(node.parent_changes, known.changes.get(node.eui, 0)) for node in nodes], dtype=np.int64)
    cell = battery.forecast(
        relayed, np.array([_age_years(known.installed.get(node.eui), now) for node in nodes], dtype=np.float64),
        np.array([node.battery_idle_mv for node in nodes], dtype=np.float64),
        np.array([node.battery_mv for node in nodes], dtype=np.float64),
    )
    share = under / max(n - 1, 1)
    elsewhere = {one.eui for one in overlaps if one.heard_by != view.concentrator}
    today = np.array([node.relayed_today for node in nodes], dtype=np.float64)
    trouble = _flags(n, {
        Trouble.CUT_OFF: (depth < 0) & ever,
        Trouble.POOR_LINK: delivery < bounds.delivery,
        Trouble.OVER_BUDGET: np.maximum(today, np.nan_to_num(relayed)) > budget,
        Trouble.BATTERY_LOW: (cell.basis == Basis.VOLTAGE) | (cell.basis == Basis.EMPTY),
        Trouble.BATTERY_SHORT: cell.years < bounds.years,
        Trouble.HOT: share >= bounds.share,
        Trouble.NO_WAY_ROUND: stranded > 0,
        Trouble.FLAPPING: changed > bounds.changes,
        Trouble.OVERLAP: np.array([node.eui in elsewhere for node in nodes], dtype=bool),
        Trouble.SILENT: ever & (now - heard > SILENT_AFTER),
    })
    return NetworkFigures(
        view.concentrator, view.link_up, view.as_of, np.array([node.eui for node in nodes], dtype=np.uint64), index, depth,
        under, share, stranded, delivery, relayed, budget, changed, cell.years, cell.low, cell.high, cell.basis, trouble,
        tuple(overlaps),
    )


def overlaps(view: MeshView, others: Mapping[str, MeshView], home: Mapping[int, str]) -> tuple[Overlap, ...]:
    """Modules of this subnet that other concentrators hear, and those of others that are heard in this one."""
    listed = {name: {node.eui for node in one.nodes} for name, one in others.items()}
    mine = {node.eui for node in view.nodes}
    found = [
        Overlap(one.eui, home.get(one.eui, ""), view.concentrator, one.rssi_dbm, one.packets, one.heard, one.eui in mine)
        for one in view.overheard if home.get(one.eui, "") != view.concentrator
    ]
    for name, other in others.items():
        if name == view.concentrator:
            continue
        found += [
            Overlap(one.eui, view.concentrator, name, one.rssi_dbm, one.packets, one.heard, one.eui in listed[name])
            for one in other.overheard if one.eui in mine
        ]
    return tuple(sorted(found, key=lambda one: -one.rssi_dbm))


def _flags(n: int, holding: Mapping[Trouble, NDArray[np.bool_]]) -> NDArray[np.uint16]:
    flags = np.zeros(n, dtype=np.uint16)
    for trouble, mask in holding.items():
        flags[mask] |= np.uint16(trouble)
    return flags


def _alternatives(nodes: Sequence[MeshNode], index: NDArray[np.int64]) -> NDArray[np.int64]:
    widest = max((len(node.alternatives) for node in nodes), default=0)
    named = np.full((len(nodes), widest), -1, dtype=np.int64)
    for row, node in enumerate(nodes):
        named[row, : len(node.alternatives)] = [one.parent for one in node.alternatives]
    return tree.positions(index, named)


def _relayed(node: MeshNode, traffic: Traffic | None) -> float:
    if traffic is not None and traffic.days:
        return traffic.per_day
    return float(node.relayed_today) if node.heard else float("nan")


def _age_years(installed: int | None, now: int) -> float:
    if installed is None:
        return float("nan")
    return max(0.0, (now / (HOUR_S * NS) - installed) / battery.HOURS_A_YEAR)
