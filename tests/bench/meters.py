"""What meters make of energy: gain, clock, register.

Class 1 allows 1 % at reference load; most meters are much better, so the gain of one is drawn with a standard
deviation of 0.5 % and stays for its life. Feeder meters of class 0.5 with their transformers: 0.25 %.
"""

import numpy as np
from numpy.typing import NDArray

MEMBER_SD = 0.005
FEEDER_SD = 0.0025
SKEW_MIN = 1.2              # a clock is wrong by at most this [min]
RESOLUTION = 0.01           # one count of the register [kWh]


def gains(rng: np.random.Generator, count: int, sd: float = MEMBER_SD) -> NDArray[np.float64]:
    """Return what each meter shows over what it should, shape (count,). [1]"""
    return 1.0 + rng.normal(0.0, sd, count)


def skews(rng: np.random.Generator, count: int, most: float = SKEW_MIN) -> NDArray[np.float64]:
    """Return how much each clock is ahead, shape (count,). [min]"""
    return rng.uniform(-most, most, count)


def counted(rng: np.random.Generator, energy: NDArray[np.float64], resolution: float = RESOLUTION) -> NDArray[np.float64]:
    """
    Return the differences of a register that counts whole steps.

    Parameters
    ----------
    energy : ndarray of float64, shape (n, h)
        [kWh or m3]
    resolution : float
        One step; 0 counts without steps. [kWh or m3]

    Returns
    -------
    counted : ndarray of float64, shape (n, h)
        Whole steps; over the whole span within one step of the truth. [kWh or m3]
    """
    if not resolution:
        return energy.copy()
    part = rng.random((len(energy), 1)) * resolution                           # where the register stands at the start
    register = np.floor((np.cumsum(energy, axis=1) + part) / resolution + 1e-9)
    return np.diff(register, axis=1, prepend=0.0) * resolution
