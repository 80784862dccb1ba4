"""Networks that are no tree: handed to power-grid-model, an engine of others, which is needed only here."""

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.engine import REMEDY, first_load, of_network
from scada.balancing.network.flow import NoConvergence
from scada.balancing.network.model import PHASES, Network, connections
from scada.balancing.network.technical import Losses
from scada.errors import StartError

TOLERANCE: Final = 1e-10                    # of the rated voltage
STEPS: Final = 100
CHUNK: Final = 50_000                       # sections and hours at once: some ten MB of results, and short turns for others


@attrs.frozen(eq=False)
class Meshed:
    """What is known of h hours; NaN in an hour without an answer."""

    losses: Losses
    voltage: NDArray[np.complex128]         # (h, k) phase to neutral at the connections [V]
    converged: NDArray[np.bool_]            # (h,)
    highest: NDArray[np.float64]            # (s,) current of a phase, of all hours [A]
    lowest: NDArray[np.float64]             # (n,) voltage of a phase, of all hours; inf where there was no hour [V]


def solve_meshed(
    network: Network, power: NDArray[np.complex128], *, table: bool = False, strict: bool = True,
    method: str = "iterative_current",
) -> Meshed:
    """
    Return voltages and losses of any network, with loops or without, by power-grid-model.

    Parameters
    ----------
    network : Network
        From `network_of(tables, meshed=True)`.
    power : ndarray of complex128, shape (h, k)
        As for `flow.solve`. [VA]
    table : bool
        Losses of every section and hour, too.
    strict : bool
        Raise where nothing was found; else those hours are NaN.
    method : str
        One of power-grid-model's.

    Raises
    ------
    NoConvergence
        Naming the hours.
    StartError
        If power-grid-model is not installed.

    Notes
    -----
    Lines are given as z1 = Zp, z0 = Zp + 3·Zn. That is exact in a tree, and in loops whose cables have the same ratio of
    Zn to Zp; in others the neutral's current goes another way round than the phases', which this cannot say. There is no
    form factor here: it depends on the consumers behind a section, and in a loop nobody is behind. Slower than
    `flow.solve` by orders. """
    try:
        from power_grid_model import PowerGridModel
    except ImportError:
        raise StartError(
            "power flow", "this network has loops, and power-grid-model is not installed", REMEDY
        ) from None
    model = PowerGridModel(of_network(network), system_frequency=50.0)
    nodes, sections, hours = len(network.nodes), len(network.sections), len(power)
    point, phase = connections(network)
    known = np.flatnonzero(np.isfinite(power).all(axis=1))
    voltage, converged = np.full(power.shape, np.nan, dtype=np.complex128), np.zeros(hours, dtype=bool)
    section = np.full((hours, sections), np.nan) if table else None
    lines, transformer = np.full((hours, PHASES + 1), np.nan), np.full(hours, np.nan)
    sums = np.zeros((sections, PHASES + 1))
    highest, lowest = np.zeros(sections), np.full(nodes, np.inf)
    ohm, of_supply = _resistances(network)
    size = max(1, CHUNK // (sections + 1))
    for first in range(0, len(known), size):
        rows = known[first:first + size]
        found: Any = model.calculate_power_flow(
            symmetric=False, error_tolerance=TOLERANCE, max_iterations=STEPS, calculation_method=method,
            update_data={"asym_load": update(network, power[rows])}, output_component_types=["node", "line"],
            continue_on_batch_error=True,
        )
        good = np.ones(len(rows), dtype=bool)
        if model.batch_error is not None:
            good[model.batch_error.failed_scenarios] = False
        rows = rows[good]
        u = (found["node"]["u"] * np.exp(1j * found["node"]["u_angle"]))[good]
        sent = (found["line"]["p_from"] + 1j * found["line"]["q_from"])[good]
        current = np.conj(sent / u[:, np.append(network.ends[:, 0], nodes)])            # (rows, s + 1, 3), last the supply
        highest = np.maximum(highest, np.abs(current[:, :-1]).max(axis=(0, 2), initial=0.0))
        lowest = np.minimum(lowest, np.abs(u[:, :nodes]).min(axis=(0, 2), initial=np.inf))
        square = np.concatenate([np.abs(current)**2, np.abs(current.sum(axis=2, keepdims=True))**2], axis=2)
        each = square[:, :-1] * ohm
        lines[rows], transformer[rows] = each.sum(axis=1), square[:, -1] @ of_supply + network.supply.no_load_loss
        sums += each.sum(axis=0)
        if section is not None:
            section[rows] = each.sum(axis=2)
        voltage[rows], converged[rows] = u[:, network.point_node[point], phase], True
    lost = np.setdiff1d(known, np.flatnonzero(converged))
    if len(lost) and strict:
        raise NoConvergence(lost, STEPS)
    mean = sums / max(1, int(converged.sum()))
    lost_where = Losses(section=section, conductor=mean, lines=lines, transformer=transformer)
    return Meshed(lost_where, voltage, converged, highest, lowest)


def _resistances(network: Network) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the four conductors of sections, (s, 4), and of the transformer, (4,). [ohm]"""
    supply = network.supply
    return (
        np.column_stack([network.phase_ohm.real] * PHASES + [network.neutral_ohm.real]),
        np.array([supply.impedance.real] * PHASES + [supply.neutral.real]),
    )


def update(network: Network, power: NDArray[np.complex128]) -> Any:
    """Return the loads of a batch, (h, p), from power of the connections."""
    from power_grid_model import initialize_array

    load: Any = initialize_array("update", "asym_load", (len(power), len(network.points)))
    load["id"] = first_load(network) + np.arange(len(network.points))
    point, phase = connections(network)
    taken = np.zeros((*load.shape, PHASES), dtype=np.complex128)
    taken[:, point, phase] = power
    load["p_specified"], load["q_specified"] = taken.real, taken.imag
    return load
