"""Who makes the losses: what every service point adds along its path, negative where it relieves the others."""

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.flow import Flow
from scada.balancing.network.form import FormFactor, none
from scada.balancing.network.model import PHASES
from scada.balancing.network.solver import Feeder
from scada.balancing.network.technical import consumers_behind


def contributions(
    feeder: Feeder, flow: Flow, form: FormFactor | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return what every service point adds to the losses of lines and transformer.

    Returns
    -------
    lines, transformer : ndarray of float64, shape (h, p)
        Along the path of the point, Re(conj(I)·(Z·I_section)) in its phases; negative where it relieves the others. The
        sums over all points are those of `losses`, without the transformer's no-load loss, which nobody's current makes.
        [W]

    Notes
    -----
    Losses are a quadratic form of the currents, and this is the share in which every product of two currents is halved
    between the two. What one more ampere would cost is twice as much.
    """
    behind = feeder.behind.astype(np.float64)
    network = feeder.network
    phase_ohm, neutral_ohm = np.zeros(len(behind)), np.zeros(len(behind))
    np.add.at(phase_ohm, feeder.branch, network.phase_ohm.real)
    np.add.at(neutral_ohm, feeder.branch, network.neutral_ohm.real)
    excess = (form or none()).excess(consumers_behind(feeder))
    shared = (behind.T * neutral_ohm) @ behind
    for phase in range(PHASES):
        mine = np.flatnonzero(feeder.phase == phase)
        part = phase_ohm * (1 + excess[:, phase]) + neutral_ohm * excess[:, phase]
        shared[np.ix_(mine, mine)] += (behind[:, mine].T * part) @ behind[:, mine]
    return _shares(feeder, flow, shared), _shares(feeder, flow, _of_transformer(feeder, form))


def _of_transformer(feeder: Feeder, form: FormFactor | None) -> NDArray[np.float64]:
    """Resistance that connection i shares with j in the windings, (k, k). [ohm]"""
    supply = feeder.network.supply
    count = np.bincount(feeder.phase, minlength=PHASES)
    excess = (form or none()).excess(count[None])[0][feeder.phase]
    same, phase, neutral = feeder.same_phase, supply.impedance.real, supply.neutral.real
    return np.asarray(neutral + same * (phase * (1 + excess) + neutral * excess))


def _shares(feeder: Feeder, flow: Flow, resistance: NDArray[np.float64]) -> NDArray[np.float64]:
    real, imaginary = flow.current.real, flow.current.imag
    each = real * (real @ resistance) + imaginary * (imaginary @ resistance)
    share = np.zeros((len(each), len(feeder.network.points)))
    np.add.at(share.T, feeder.point, each.T)
    return share
