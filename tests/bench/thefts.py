"""Ways to steal, as what a meter then registers of what was taken.

The six false data injections (FDI1-FDI6) that are tried since Zheng, Chen, Wang, Kang and Xia, "A novel combined
data-driven approach for electricity theft detection", DOI 10.1109/TII.2018.2873814. The forms are as they are usually
retold (the paper's own table was not at hand); sizes that are open are ours and stated here. A tap before the meters is
no kind: it is a household that is not a member (`feeders`).
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

DAY_H = 24


class Theft(IntEnum):
    """What is done to the hours of a meter."""

    NONE = 0
    CONSTANT = 1            # FDI1: a shunt; x * a, a in 0.2-0.8, the same always
    CAP = 2                 # FDI2: min(x, g), g between the 30th and the 80th percentile of the home's own hours
    OFFSET = 3              # FDI3: max(x - g, 0), g 0.2-0.8 of the home's mean hour
    WINDOW = 4              # FDI4: nothing in the same 4-14 hours of each day, beginning at any hour
    RANDOM = 5              # FDI5: x * a(t), a in 0.2-0.8 anew each hour
    MEAN = 6                # FDI6: the home's mean hour * a(t), a in 0.2-0.8 anew each hour


def registered(
    rng: np.random.Generator, kind: NDArray[np.int64], energy: NDArray[np.float64], since: int = 0
) -> NDArray[np.float64]:
    """
    Return what tampered meters count.

    Parameters
    ----------
    kind : ndarray of integer, shape (n,)
        `Theft` of each meter.
    energy : ndarray of float64, shape (n, h)
        What was taken in each hour, from a midnight on. [kWh]
    since : int
        Hour of the first theft. [h]

    Returns
    -------
    counted : ndarray of float64, shape (n, h)
        Never negative. Only MEAN can count more than was taken, in single hours. [kWh]
    """
    count, hours = energy.shape
    mean = energy.mean(axis=1, keepdims=True)
    share = rng.uniform(0.2, 0.8, (count, 1))
    each = rng.uniform(0.2, 0.8, (count, hours))
    order = np.sort(energy, axis=1)
    cap = np.take_along_axis(order, (rng.uniform(0.3, 0.8, (count, 1)) * (hours - 1)).astype(np.intp), axis=1)
    begin, length = rng.integers(0, DAY_H, (count, 1)), rng.integers(4, 15, (count, 1))
    in_window = (np.arange(hours) - begin) % DAY_H < length
    counted = np.select(
        [(kind == theft)[:, None] for theft in list(Theft)[1:]],
        [energy * share, np.minimum(energy, cap), np.maximum(energy - share * mean, 0.0),
         np.where(in_window, 0.0, energy), energy * each, mean * each],
        energy,
    )
    counted[:, :since] = energy[:, :since]
    return counted
