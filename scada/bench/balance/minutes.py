"""Generated consumers minute by minute: a base, a fridge, and appliances that run for minutes when people are at home."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

DAY: Final = 1440
# W, minutes, starts a day: kettle, hob, oven, washing, shower, television; sizes and uses differ between consumers.
APPLIANCES: Final = ((2500, 4, 4.0), (1500, 20, 1.5), (2000, 35, 0.5), (1800, 30, 0.5), (7000, 6, 0.4), (120, 180, 1.5))


def minutes(consumers: int, days: int, seed: int) -> NDArray[np.float64]:
    """Active power, (1440 days, consumers). [W]"""
    rng = np.random.default_rng(seed)
    hour = np.arange(DAY) / 60
    awake = 0.15 + np.exp(-((hour - 7.5) / 1.5)**2) + 1.6 * np.exp(-((hour - 19) / 3)**2)
    awake /= awake.sum()
    power = np.empty((days * DAY, consumers))
    size = rng.lognormal(0, 0.4, consumers)
    for each in range(consumers):
        power[:, each] = rng.uniform(30, 120) + 90 * ((np.arange(days * DAY) + rng.integers(60)) % 60 < 20)
        for watts, length, starts in APPLIANCES:
            begun = rng.random(days * DAY) < np.tile(awake, days) * starts * size[each]
            running = np.convolve(begun, np.ones(max(1, round(length * rng.uniform(0.6, 1.5)))))[:days * DAY] > 0
            power[:, each] += running * watts * rng.uniform(0.7, 1.2)
    return power
