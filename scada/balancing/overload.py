"""How long a transformer can carry what it carries now. Pure; the equations are those of `thermal`."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.thermal import Constants, oil_rise

HORIZON_MIN: Final = 48 * 60            # how far ahead is looked
HALVINGS: Final = 16                    # of it: to some seconds
NORMAL_HOT_SPOT: Final = 120.0          # °C, normal cyclic loading
NORMAL_TOP_OIL: Final = 105.0
EMERGENCY_HOT_SPOT: Final = 140.0       # °C, emergency loading for days
EMERGENCY_TOP_OIL: Final = 115.0


def minutes_left(
    load: NDArray[np.float64], ambient: NDArray[np.float64] | float, top_oil: NDArray[np.float64],
    hot_spot: NDArray[np.float64], of: Constants | None = None,
    most_hot_spot: float = NORMAL_HOT_SPOT, most_top_oil: float = NORMAL_TOP_OIL,
) -> NDArray[np.float64]:
    """
    Return how long the present load can be carried until a limit is reached.

    Parameters
    ----------
    load : ndarray of float64, shape (...)
        Over rated load, from now on. [1]
    ambient : ndarray broadcastable to (...), or float
        [°C]
    top_oil, hot_spot : ndarray of float64, shape (...)
        Now. [°C]
    of : Constants, optional
    most_hot_spot, most_top_oil : float
        Limits; those of normal cyclic loading [1]_. [°C]

    Returns
    -------
    minutes : ndarray of float64, shape (...)
        0 if a limit is passed already, infinity if none is within `HORIZON_MIN`; NaN where an input is NaN. The hot spot's
        present rise is taken as one lag. [min]

    References
    ----------
    .. [1] 120 and 105 °C; 140 and 115 °C for emergencies of days: IEC 60076-7, table 2, as given in the documentation of
       transformer-thermal-model, temperature_limits.md (read 2026-11). That table is also said to limit the current to 1.5
       (1.8) of the rated one; this function does not.
    """
    of = of or Constants()
    given = (np.asarray(one, dtype=np.float64) for one in (load, top_oil, hot_spot))
    load, top_oil, hot_spot = np.broadcast_arrays(*given)
    ends = np.asarray(ambient, dtype=np.float64) + oil_rise(load, of)
    rise_ends = of.winding_rise * load**of.winding_exponent
    oil_tau, fast_tau = of.k11 * of.oil_min, of.k22 * of.winding_min
    oil_far, rise_far = top_oil - ends, hot_spot - top_oil - rise_ends

    def over(minute: NDArray[np.float64]) -> NDArray[np.bool_]:
        oil = ends + oil_far * np.exp(-minute / oil_tau)
        return np.asarray((oil > most_top_oil) | (oil + rise_ends + rise_far * np.exp(-minute / fast_tau) > most_hot_spot))

    # The hot spot is a sum of two exponentials, so it turns once at most, and is monotone on either side.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        turn = np.log(-(oil_far / oil_tau) / (rise_far / fast_tau)) / (1.0 / oil_tau - 1.0 / fast_tau)
    turn = np.clip(np.nan_to_num(turn, nan=0.0, posinf=0.0, neginf=0.0), 0.0, HORIZON_MIN)
    now, horizon = np.zeros(load.shape), np.full(load.shape, float(HORIZON_MIN))
    early = over(turn)
    low, high = np.where(early, now, turn), np.where(early, turn, horizon)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        there = over(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    left = np.where(over(now), 0.0, np.where(early | over(horizon), high, np.inf))
    return np.asarray(np.where(np.isnan(ends + oil_far + rise_ends + rise_far), np.nan, left))
