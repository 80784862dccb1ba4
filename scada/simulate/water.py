"""How water and gas run: draws that start by chance, and a tap that never closes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.simulate.district import Consumer
from scada.simulate.households import BATHROOM, MEALS, Floats

DRAWS_PER_DAY: Final = 22.0
WATER_L_PER_H: Final = 420.0                # a tap or a shower
WATER_MINUTES: Final = 1.2
GAS_L_PER_H: Final = 600.0                  # two rings of a cooker
GAS_MINUTES: Final = 28.0


class Flows:
    """Water and gas of every consumer, one entry per consumer. [l/h]"""

    def __init__(self, consumers: tuple[Consumer, ...], rng: np.random.Generator) -> None:
        n = len(consumers)
        self._rng = rng
        self._leak = np.array([one.leak_l_per_h for one in consumers])
        self._gas_user = np.array([one.gas for one in consumers])
        size = rng.lognormal(0.0, 0.3, n)
        self._rates = np.stack([np.outer(BATHROOM, size) * DRAWS_PER_DAY, np.outer(MEALS, size) * 2.5], axis=1) / 86400.0
        self._means = np.array([[WATER_MINUTES * 60.0], [GAS_MINUTES * 60.0]])
        self._flow = np.array([[WATER_L_PER_H], [GAS_L_PER_H]]) * rng.lognormal(0.0, 0.25, (2, n))
        self._left = np.zeros((2, n))

    def step(self, local_s: int, seconds: float) -> None:
        hour = local_s // 3600 % 24
        self._left = np.maximum(self._left - seconds, 0.0)
        chance = self._rng.random((2, *self._left.shape))
        starts = (self._left <= 0.0) & (chance[0] < self._rates[hour] * seconds)
        self._left = np.where(starts, np.maximum(-np.log1p(-chance[1]) * self._means, 10.0), self._left)

    def memory(self) -> list[list[float]]:
        """What runs and for how long, as JSON."""
        left: list[list[float]] = self._left.tolist()
        return left

    def recall(self, memory: list[list[float]]) -> None:
        self._left = np.array(memory)

    @property
    def water(self) -> Floats:
        return np.asarray((self._left[0] > 0) * self._flow[0] + self._leak, dtype=np.float64)

    @property
    def gas(self) -> NDArray[np.float64]:
        return np.asarray((self._left[1] > 0) * self._flow[1] * self._gas_user, dtype=np.float64)
