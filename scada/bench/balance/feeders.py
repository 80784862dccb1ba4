"""Generated low-voltage feeders of several kinds, seeded; for measurements and tests: no network of anybody is copied."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Linecodes, Network, Sections, ServicePoints, Tables, network_of, supply

# Round figures of the size that cables have: a strong and a weaker main, a service with a full and one with a thin neutral.
CODES: Final = {
    "main150": (0.21, 0.07, 0.21, 0.07),
    "main70": (0.45, 0.07, 0.66, 0.08),
    "service16": (1.15, 0.09, 1.15, 0.09),
    "service10": (1.83, 0.09, 3.0, 0.10),
}
ONE_PHASE: Final = ("L1", "L2", "L3")
SEVERAL: Final = ("L1L2", "L2L3", "L1L3", "L1L2L3", "A", "B", "C", "ABC")

Above = Callable[[int, np.random.Generator], int]
KINDS: Final[dict[str, Above]] = {
    "chain": lambda node, _: node - 1,
    "star": lambda node, _: max(0, node - 4) if node > 4 else 0,
    "tree": lambda node, rng: int(rng.integers(node)),
    "comb": lambda node, _: node - 1 if node % 2 else max(0, node - 2),
}


def tables(kind: str, nodes: int, points: int, seed: int) -> Tables:
    """
    Return a radial network as written down.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    nodes, points : int
        Nodes beside the root; service points, half of them with several phases when there are more than three.
    seed : int
    """
    rng = np.random.default_rng(seed)
    above = [0] + [KINDS[kind](node, rng) for node in range(1, nodes + 1)]
    turned = rng.random(nodes) < 0.3            # entered the other way round
    ends = [(f"n{above[node]}", f"n{node}") for node in range(1, nodes + 1)]
    code = rng.integers(0, 2, nodes)
    at = rng.integers(1, nodes + 1, points)
    code[at - 1] = rng.integers(2, 4, points)
    return Tables(
        linecodes=Linecodes(tuple(CODES), np.array(list(CODES.values()))),
        sections=Sections(
            tuple(f"s{node}" for node in range(1, nodes + 1)),
            tuple(pair[::-1] if turn else pair for pair, turn in zip(ends, turned, strict=True)),
            tuple(list(CODES)[index] for index in code), rng.uniform(1, 60, nodes), np.full((nodes, 4), np.nan),
        ),
        points=ServicePoints(
            tuple(f"c{index}" for index in range(points)), tuple(f"n{node}" for node in at),
            tuple(rng.choice(SEVERAL if index % 2 and points > 3 else ONE_PHASE) for index in range(points)),
            rng.choice([0.9, 0.95, 1.0, -0.98], points), ("",) * points,
        ),
        supply=supply(10_000, 400, 250_000, 1.2, 3.8, short_circuit_ampere=4000, x_to_r=3, no_load_loss=400), root="n0",
    )


def made(kind: str, nodes: int, points: int, seed: int) -> Network:
    return network_of(tables(kind, nodes, points, seed))


def loads(network: Network, hours: int, seed: int) -> NDArray[np.float64]:
    """Active power per phase that leans to one phase, some of it generation, (h, p, 3). [W]"""
    rng = np.random.default_rng(seed)
    watts = rng.gamma(0.7, 1500, (hours, len(network.points), 3)) * np.array([1.6, 1.0, 0.6])
    watts[rng.random(watts.shape) < 0.05] *= -1
    return np.asarray(watts * network.point_phases)
