"""A low-voltage network as arrays: sections, service points, and the transformer they hang on.

Impedances are those of a loop. `phase_ohm` is what a current feels that returns through another phase (the positive
sequence, Z1), and `neutral_ohm` what is added when it returns through the neutral: Zn = (Z0 - Z1) / 3. In a cable whose
neutral is earthed at the transformer only the voltage from a phase to the neutral then drops by Zp·I_phase + Zn·I_neutral,
exactly. Earths along the line take current off the neutral and make the true loss smaller; see docs/losses.md.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.form import FormFactor

PHASES: Final = 3
TURN: Final[NDArray[np.complex128]] = np.exp(-2j * np.pi / 3 * np.arange(PHASES))      # L2 follows L1 by a third of a turn


@attrs.frozen
class Supply:
    """
    The transformer and what is behind it, seen from its low-voltage terminals.

    Parameters
    ----------
    voltage : float
        Phase to neutral at no load. [V]
    rated : float
        Nameplate of the three phases together. [VA]
    grid : complex
        Positive-sequence impedance of the medium-voltage network, referred to low voltage. [ohm]
    impedance, zero_impedance : complex
        Short-circuit impedance of the transformer, and its zero-sequence impedance; the same for Dyn. [ohm]
    no_load_loss : float
        Constant. [W]
    """

    voltage: float
    rated: float
    grid: complex
    impedance: complex
    zero_impedance: complex
    no_load_loss: float = 0.0

    @property
    def neutral(self) -> complex:
        """Zn of the transformer alone; a winding in delta keeps the zero sequence from the network behind it. [ohm]"""
        return (self.zero_impedance - self.impedance) / 3

    @property
    def all_phase(self) -> complex:
        """Zp of transformer and network together. [ohm]"""
        return self.grid + self.impedance

    @property
    def all_neutral(self) -> complex:
        """Zn of transformer and network together. [ohm]"""
        return (self.zero_impedance - self.impedance - self.grid) / 3


@attrs.frozen(eq=False)
class Network:
    """
    What was checked: every number refers to something that is there, and everything is fed from `root`.

    n nodes, s sections, p service points.
    """

    nodes: tuple[str, ...]                  # n names
    root: int                               # the node at the transformer
    sections: tuple[str, ...]               # s names
    ends: NDArray[np.intp]                  # (s, 2) nodes; which of them is nearer to the root does not matter
    length: NDArray[np.float64]             # (s,) [m]
    phase_ohm: NDArray[np.complex128]       # (s,) Zp of the section [ohm]
    neutral_ohm: NDArray[np.complex128]     # (s,) Zn of the section [ohm]
    points: tuple[str, ...]                 # p names
    point_node: NDArray[np.intp]            # (p,)
    point_phases: NDArray[np.bool_]         # (p, 3) phases that are connected
    power_factor: NDArray[np.float64]       # (p,) lagging where positive, leading where negative [1]
    profile: tuple[str, ...]                # p names of profiles, "" where there is none
    supply: Supply
    form: FormFactor | None = None          # fitted to its own consumers; None: see `form.for_means`

    @property
    def looped(self) -> bool:
        """Whether it is no tree: all its nodes hang together, so one section more than a tree has closes a loop."""
        return len(self.sections) >= len(self.nodes)

    def on_phases(self, phases: NDArray[np.bool_]) -> "Network":
        """The same network with its service points on other phases, (p, 3)."""
        if phases.shape != self.point_phases.shape or not phases.any(axis=1).all():
            raise ValueError(f"phases: expected shape {self.point_phases.shape} with a phase in every row")
        return attrs.evolve(self, point_phases=phases.astype(bool))


def connections(network: Network) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """
    Return the one-phase connections of all service points, in their order.

    Returns
    -------
    point, phase : ndarray of intp, shape (k,)
        Where the k connections belong.
    """
    point, phase = np.nonzero(network.point_phases)
    return point, phase


def powers(network: Network, active: NDArray[np.float64]) -> NDArray[np.complex128]:
    """
    Return what every connection takes, from the active power of the service points.

    Parameters
    ----------
    network : Network
    active : ndarray of float64, shape (h, p) or (h, p, 3)
        Mean active power; positive flows to the customer. Without phases it is spread evenly over those of the point. [W]

    Returns
    -------
    power : ndarray of complex128, shape (h, k)
        With the reactive power that the power factor of the point adds. NaN where an input is NaN. [VA]

    Raises
    ------
    ValueError
        If the shape is another, or power stands on a phase that is not connected.
    """
    points = len(network.points)
    if active.shape[1:] not in ((points,), (points, PHASES)):
        raise ValueError(f"active: expected shape (h, {points}) or (h, {points}, {PHASES}), found {active.shape}")
    point, phase = connections(network)
    if active.ndim == 3:
        if np.nan_to_num(active[:, ~network.point_phases]).any():
            raise ValueError("active: power on a phase that its service point is not connected to")
        each = active[:, point, phase]
    else:
        each = (active / network.point_phases.sum(axis=1))[:, point]
    factor = network.power_factor
    reactive = np.sign(factor) * np.sqrt(1 - factor**2) / np.abs(factor)
    return np.asarray(each * (1 + 1j * reactive)[point])
