"""What a transformer's network lost over a period, by section and consumer, as people are shown it. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network, Period, feeder, node_voltages, of_hours, powers, solve
from scada.balancing.network.flow import Flow
from scada.balancing.network.model import PHASES
from scada.balancing.network.solver import Feeder
from scada.balancing.network.topology import Tree, spanning_tree
from scada.ports import ConsumerLoss, LossReport, SectionLoss
from scada.site import Directory

BLOCK: Final = 200                      # hours whose voltages at all nodes are held at once


def report(
    network: Network, directory: Directory, transformer: str, found: Period, watts: NDArray[np.float64]
) -> LossReport:
    """
    Return the report of a period.

    Parameters
    ----------
    network : Network
        s sections, p service points.
    directory : Directory
        It was made from.
    transformer : str
        Whose it is.
    found : Period
        Of `network.over`.
    watts : ndarray of float64, shape (h, p)
        What it was worked out from. [W]
    """
    tree = spanning_tree(len(network.nodes), network.root, network.ends)
    if found.currents is not None and found.nodes is not None:
        current, lowest = found.currents, found.nodes
    else:
        current, lowest = _extremes(feeder(network), watts[found.known])
    lines = found.sections / 1000
    sums = lines.sum(axis=0)
    of_transformer = float(np.nansum(found.transformer)) * found.minutes / 60 / 1000
    return LossReport(
        root=network.nodes[network.root], hours=len(found.known), known=int(found.known.sum()),
        collapsed=len(found.collapsed), taken=found.taken / 1000, phases=float(sums[:PHASES].sum()),
        neutral=float(sums[PHASES]), transformer=of_transformer,
        uncertainty=np.nan if network.looped else found.doubt / 1000,
        sections=_sections(network, tree, directory, lines, current, lowest),
        consumers=_consumers(network, directory, found, watts),
        fitted=network.form is not None and network.form is of_hours(network.form),
        form_source=directory.transformer[transformer].form_source, looped=network.looped,
    )


def _extremes(model: Feeder, watts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Highest current of each section's phases, (s,) [A], and lowest voltage of each node's, (n,) [V]."""
    network = model.network
    current, lowest = np.zeros(len(model.behind)), np.full(len(network.nodes), np.inf)
    for first in range(0, len(watts), BLOCK):
        flow = solve(model, powers(network, watts[first:first + BLOCK]), strict=False)
        current = np.maximum(current, _currents(model, flow))
        lowest = np.minimum(lowest, np.abs(node_voltages(model, flow)).min(axis=(0, 2)))
    return current[model.branch], np.where(np.isfinite(lowest), lowest, np.nan)


def _currents(model: Feeder, flow: Flow) -> NDArray[np.float64]:
    """The highest in any phase and hour, by branch. [A]"""
    behind = model.behind.T.astype(np.float64)
    found = np.zeros(len(model.behind))
    for phase in range(PHASES):
        mine = model.phase == phase
        real, imaginary = flow.current[:, mine].real @ behind[mine], flow.current[:, mine].imag @ behind[mine]
        found = np.maximum(found, np.hypot(real, imaginary).max(axis=0, initial=0.0))
    return found


def _sections(
    network: Network, tree: Tree, directory: Directory, lines: NDArray[np.float64], current: NDArray[np.float64],
    lowest: NDArray[np.float64],
) -> tuple[SectionLoss, ...]:
    """Those of the tree first, nearer ones before others; then those that close loops."""
    far = np.full(len(network.sections), -1, dtype=np.intp)
    fed = np.flatnonzero(tree.feeding >= 0)
    far[tree.feeding[fed]] = fed
    near = tree.above[far]
    near[tree.closing], far[tree.closing] = network.ends[tree.closing].T
    feeder_of = {one.name: one.feeder for one in directory.site.sections}
    whole = lines.sum(axis=1)
    neutral = np.where(whole > 0, lines[:, PHASES] / np.where(whole > 0, whole, 1.0), np.nan)
    return tuple(
        SectionLoss(
            name=network.sections[row], feeder=feeder_of.get(network.sections[row], ""),
            ends=(network.nodes[near[row]], network.nodes[far[row]]), length_m=float(network.length[row]),
            lost=float(whole[row]), neutral=float(neutral[row]), current=float(current[row]),
            lowest=float(lowest[far[row]]),
        )
        for row in (*tree.order.tolist(), *tree.closing.tolist())
    )


def _consumers(
    network: Network, directory: Directory, found: Period, watts: NDArray[np.float64]
) -> tuple[ConsumerLoss, ...]:
    shares = np.full(len(network.points), np.nan) if found.points is None else found.points.sum(axis=1) / 1000
    energy = np.where(found.known.any(), watts[found.known].sum(axis=0) / 1000, np.nan)
    made = []
    for row, name in enumerate(network.points):
        who = directory.consumer.get(directory.point[name].consumer)
        made.append(ConsumerLoss(
            point=name, consumer=(who.title or who.name) if who is not None else "",
            node=network.nodes[network.point_node[row]], phases=who.phases if who is not None else "",
            lost=float(shares[row]), taken=float(energy[row]), lowest=float(found.lowest[row]),
        ))
    return tuple(made)
