"""Data of others that lie outside the repository, in the folder that SCADA_BENCH_DATA names; else something made up."""

import os
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network, read_network
from scada.bench.balance.feeders import made
from scada.bench.balance.minutes import minutes

VARIABLE: Final = "SCADA_BENCH_DATA"        # a folder with ieee_european_lv/ in it
POINTS, SPARE, SECTIONS = 55, 45, 905


@attrs.frozen(eq=False)
class Feeder:
    """A network and a day of its consumers, and others whom nothing was calibrated on."""

    name: str
    network: Network
    used: NDArray[np.float64]               # (1440, p) [W]
    spare: NDArray[np.float64]              # (1440, others) [W]


def european() -> Feeder | None:
    """The IEEE European Low Voltage Test Feeder, if it is at hand."""
    folder = Path(os.environ[VARIABLE]) / "ieee_european_lv" if os.environ.get(VARIABLE) else None
    if folder is None:
        return None
    network = read_network(folder)
    watts = 1000 * np.loadtxt(folder / "profiles_1min_kw.csv", delimiter=",", skiprows=1)[:, 1:]
    column = np.array([int(name) - 1 for name in network.profile])
    return Feeder("IEEE European LV feeder", network, watts[:, column], np.delete(watts, column, axis=1))


def generated() -> Feeder:
    """One of that size that is made up: the same number of sections and one-phase consumers."""
    network = made("tree", SECTIONS, POINTS, 1).on_phases(np.eye(3, dtype=bool)[np.arange(POINTS) % 3])
    return Feeder("generated feeder", network, minutes(POINTS, 1, 1), minutes(SPARE, 1, 2))
