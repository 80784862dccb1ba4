"""Voltages at all nodes, also where nobody is connected, and a flow of fewer hours to ask them for."""

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.flow import Flow
from scada.balancing.network.model import PHASES
from scada.balancing.network.solver import Feeder


def node_voltages(feeder: Feeder, flow: Flow) -> NDArray[np.complex128]:
    """
    Return the voltage of every phase to the neutral at every node, also at those without a service point.

    Returns
    -------
    voltage : ndarray of complex128, shape (h, n, 3)
        48·h·n bytes: hand in the hours that are wanted, see `hours_of`. [V]
    """
    phase_ohm, neutral_ohm = feeder.to_nodes
    supply = feeder.network.supply
    common = flow.current @ (neutral_ohm + supply.all_neutral)
    dropped = [
        common + flow.current[:, feeder.phase == phase] @ (phase_ohm[feeder.phase == phase] + supply.all_phase)
        for phase in range(PHASES)
    ]
    return np.asarray(feeder.source - np.stack(dropped, axis=2))


def hours_of(flow: Flow, rows: slice) -> Flow:
    """The same flow, of some hours."""
    return attrs.evolve(
        flow, current=flow.current[rows], voltage=flow.voltage[rows], residual=flow.residual[rows],
        converged=flow.converged[rows],
    )
