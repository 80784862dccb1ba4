"""A network in the words of power-grid-model."""

from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from scada.balancing.network.model import Network

LEAST_OHM: Final = 1e-7                     # a section of no length would make the equations singular
STIFF: Final = 1e20                         # VA: the source behind the supply's own impedance


REMEDY: Final = "in the checkout: .venv/bin/pip install -c constraints.txt -e '.[network]'"


def installed() -> bool:
    """Whether it is there; it is not loaded by asking."""
    return find_spec("power_grid_model") is not None


def first_load(network: Network) -> int:
    """The id of the first service point's load; the others follow."""
    return len(network.nodes) + len(network.sections) + 3


def of_network(network: Network) -> dict[str, Any]:
    """
    Return the input of `PowerGridModel`.

    The supply is a line like the others, behind a source without impedance: so its zero sequence may be any. Ids count on:
    nodes and the one behind the supply, sections and the supply, the source, loads.
    """
    from power_grid_model import initialize_array

    make: Any = initialize_array
    nodes, sections, supply = len(network.nodes), len(network.sections), network.supply
    node = make("input", "node", nodes + 1)
    node["id"], node["u_rated"] = np.arange(nodes + 1), supply.voltage * 3**0.5
    line = make("input", "line", sections + 1)
    line["id"] = nodes + 1 + np.arange(sections + 1)
    line["from_node"], line["to_node"] = np.append(network.ends[:, 0], nodes), np.append(network.ends[:, 1], network.root)
    line["from_status"] = line["to_status"] = 1
    one = np.append(network.phase_ohm, supply.all_phase)
    zero = one + 3 * np.append(network.neutral_ohm, supply.all_neutral)
    one, zero = (np.where(np.abs(ohm) < LEAST_OHM, LEAST_OHM, ohm) for ohm in (one, zero))
    line["r1"], line["x1"], line["r0"], line["x0"] = one.real, one.imag, zero.real, zero.imag
    for name in ("c1", "tan1", "c0", "tan0"):
        line[name] = 0.0
    source = make("input", "source", 1)
    source["id"], source["node"], source["status"] = nodes + sections + 2, nodes, 1
    source["u_ref"], source["sk"] = 1.0, STIFF
    load = make("input", "asym_load", len(network.points))
    load["id"], load["node"], load["status"], load["type"] = (
        first_load(network) + np.arange(len(load)), network.point_node, 1, 0
    )
    load["p_specified"] = load["q_specified"] = 0.0
    return {"node": node, "line": line, "source": source, "asym_load": load}
