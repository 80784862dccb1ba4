"""Estimates how long a module's battery lasts, and says how far that may be believed. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.network import Basis

HOURS_A_YEAR: Final = 8766.0
MC_PER_MAH: Final = 3600.0              # 1 mAh = 3.6 C


@attrs.frozen
class Cell:
    """A cell and the module it feeds; where there are three numbers, they are low, most likely, high."""

    capacity_mah: float = 4000.0        # ER18505, nominal
    usable: tuple[float, float, float] = (0.75, 0.9, 1.0)       # share that can be taken before the module stops
    quiet_ua: tuple[float, float, float] = (31.0, 41.0, 51.0)   # mean current of a module that relays nothing
    relay_mc: tuple[float, float, float] = (1.9, 2.7, 3.5)      # charge of one relayed packet
    knee_mv: float = 3400.0             # idle: below it the cell has left its plateau
    weak_mv: float = 3300.0             # under load
    stop_mv: float = 3000.0             # idle: below it the module cannot be counted on
    after_knee: float = 0.1             # share of the capacity that is left at the knee, at most


ER18505: Final = Cell()


@attrs.frozen(eq=False)
class Forecast:
    """Years that remain, (n,) each; `basis` is `network.Basis`."""

    years: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    basis: NDArray[np.uint8]


def forecast(
    relayed: NDArray[np.float64],
    age_years: NDArray[np.float64],
    idle_mv: NDArray[np.float64],
    load_mv: NDArray[np.float64],
    cell: Cell = ER18505,
) -> Forecast:
    """
    Return how many years the batteries of modules last at the load they have now.

    Parameters
    ----------
    relayed : ndarray of float64, shape (n,)
        Packets relayed a day, mean over what is known; NaN where nothing is. Valid from 0 to 5,000. [1/d]
    age_years : ndarray of float64, shape (n,)
        Time the cell has been in use; NaN where it is not known. Valid from 0 to 25. [a]
    idle_mv, load_mv : ndarray of float64, shape (n,)
        Voltage at rest and during a transmission; NaN or 0 where not reported. Valid from 1,500 to 4,000. [mV]
    cell : Cell
        The cell and what the module takes.

    Returns
    -------
    forecast : Forecast
        Most likely, lowest and highest, and what they rest on. NaN with `Basis.UNKNOWN` where the traffic is unknown
        or out of the range and the voltage says nothing either.

    Notes
    -----
    A Li-SOCl2 cell holds its voltage for nearly all of its life, so **the voltage cannot tell how full it is**; charge
    is counted instead: capacity, less what was taken since the installation, over what is taken now. The voltage is
    only asked two things. Once the idle voltage has left the plateau, little is left, whatever the count says. And a
    low voltage under load with a healthy idle voltage may be the end, the cold, or the passive layer of a cell
    that rested [1]_: the three cannot be told apart, so only the lower bound falls.

    The quiet current and the usable share are fitted to the stated life of 6-10 years with up to 500-700 relayed packets a
    day; the charge of a packet is that of the radio model (docs/dmlp.md). They are assumptions about a type, not
    measurements of a cell: the bounds span them at once, and temperature beyond 0-40 °C is outside the model.

    References
    ----------
    .. [1] Axotron, "Voltage delay in lithium thionyl chloride batteries", axotron.se/blog (measured on a 1/2 AA cell).
    """
    packets = np.where((relayed >= 0) & (relayed <= 5000), relayed, np.nan)
    age = np.where((age_years >= 0) & (age_years <= 25), age_years, np.nan)
    idle = np.where((idle_mv >= 1500) & (idle_mv <= 4000), idle_mv, np.nan)
    load = np.where((load_mv >= 1500) & (load_mv <= 4000), load_mv, np.nan)

    def per_year(which: int) -> NDArray[np.float64]:
        """Charge taken a year. [mAh/a]"""
        relaying = packets * 365.25 * cell.relay_mc[which] / MC_PER_MAH
        return np.asarray(cell.quiet_ua[which] / 1000 * HOURS_A_YEAR + relaying, dtype=np.float64)

    def left(which: int) -> NDArray[np.float64]:
        taken = per_year(2 - which)                         # the least that is left goes with the most that is taken
        return np.asarray(np.maximum(cell.usable[which] * cell.capacity_mah / taken - np.nan_to_num(age), 0.0))

    low, years, high = left(0), left(1), left(2)
    unaged = np.isnan(age)
    low = np.where(unaged & ~np.isnan(low), 0.0, low)
    basis = np.where(unaged, Basis.FRESH, Basis.COUNTED)
    basis = np.where(np.isnan(packets), Basis.UNKNOWN, basis)

    quiet = cell.quiet_ua[1] / 1000 * HOURS_A_YEAR
    taken = np.where(np.isnan(packets), quiet, per_year(1))
    tail = cell.after_knee * cell.capacity_mah / taken
    tired = (load < cell.weak_mv) & ~(idle < cell.knee_mv)
    low = np.where(tired & (basis != Basis.UNKNOWN), 0.0, low)
    basis = np.where(tired & (basis != Basis.UNKNOWN), Basis.AMBIGUOUS, basis)
    knee = idle < cell.knee_mv
    years = np.where(knee, np.fmin(years, tail / 2), years)
    high = np.where(knee, np.fmin(high, tail), high)
    low = np.where(knee, 0.0, low)
    basis = np.where(knee, Basis.VOLTAGE, basis)
    empty = idle < cell.stop_mv
    years, high = np.where(empty, 0.0, years), np.where(empty, np.fmin(high, tail / 10), high)
    basis = np.where(empty, Basis.EMPTY, basis)
    return Forecast(years, low, high, basis.astype(np.uint8))
