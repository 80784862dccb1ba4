"""The radio tree of one subnet, thin: fixed parents and levels, delivery by margin, and how long things take.

From the design of the protocol (docs/dmlp.md, "Radio"): each node meets its parent once every W seconds, so a hop
takes uniform(0, W) + 80 ms; three tries a hop; delivery is logistic in the link margin. Everything in site time.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

W_S: Final = 20.0                           # meeting period; levels x W = 120 s at the deepest level
HOP_S: Final = 0.08
TRIES: Final = 3
SENSITIVITY_DBM: Final = -107.0
OUT_OF_REACH: Final = 0.012                 # share of commands that a module never hears, whatever is repeated
MAX_LEVEL: Final = 6
SHARE_OF_LEVEL: Final = (0.14, 0.22, 0.22, 0.18, 0.14, 0.10)
FULL_MV: Final = 3640


@attrs.frozen(eq=False)
class Mesh:
    """Arrays over the modules of a subnet, in order of subnet index."""

    index: NDArray[np.int64]
    parent: NDArray[np.int64]               # subnet index, 0 = the concentrator
    level: NDArray[np.int64]                # 1-6
    rssi: NDArray[np.float64]               # dBm, mean at the module
    delivery: NDArray[np.float64]           # of one try to the parent
    below: NDArray[np.int64]                # modules that relay through this one
    battery_mv: NDArray[np.float64]

    @property
    def travel_s(self) -> NDArray[np.float64]:
        """Mean time to the concentrator. [s]"""
        return np.asarray(self.level * (W_S / 2 + HOP_S), dtype=np.float64)

    def draw_latency(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """One trip between the concentrator and every module; NaN where it does not arrive. [s]"""
        hops = np.arange(MAX_LEVEL) < self.level[:, None]
        tries = rng.random((3, *hops.shape))
        once = self.delivery[:, None]
        # how many meetings a hop takes: geometric in the delivery ratio, given up after three
        meetings = np.ceil(np.log1p(-tries[0]) / np.log1p(-once))
        seconds = (np.maximum(meetings - 1, 0) + tries[1]) * W_S + HOP_S
        total = (seconds * hops).sum(axis=1)
        total[((meetings > TRIES) & hops).any(axis=1)] = np.nan
        return np.asarray(total, dtype=np.float64)


def grow(indices: NDArray[np.int64], rng: np.random.Generator, weak: int | None = None) -> Mesh:
    """A tree over the given modules; `weak` is the subnet index of one with an old battery."""
    n = len(indices)
    counts = np.maximum(1, np.round(np.array(SHARE_OF_LEVEL) * n)).astype(int)
    level = np.repeat(np.arange(1, MAX_LEVEL + 1), counts)[:n]
    level = np.concatenate([level, np.full(n - len(level), MAX_LEVEL - 1)])
    rng.shuffle(level)
    if n:
        level = np.searchsorted(np.unique(level), level) + 1        # no level without one above it
    parent = np.zeros(n, dtype=np.int64)
    for deep in range(2, int(level.max(initial=1)) + 1):
        above = indices[level == deep - 1]
        parent[level == deep] = rng.choice(above, int((level == deep).sum()))
    place = {int(index): number for number, index in enumerate(indices)}
    below = np.zeros(n, dtype=np.int64)
    for number in np.argsort(-level, kind="stable"):
        if parent[number]:
            below[place[int(parent[number])]] += below[number] + 1
    rssi = rng.uniform(-101.0, -66.0, n)
    delivery = np.clip(1.0 / (1.0 + np.exp(-(rssi - SENSITIVITY_DBM - 1.0) / 3.0)), 0.5, 0.995)
    battery = FULL_MV - rng.uniform(0, 60, n) - 2.0 * below
    if weak is not None and weak in place:
        battery[place[weak]] = 3060.0
    return Mesh(indices, parent, level, rssi, delivery, below, battery)
