"""How hot a transformer is and how fast it ages: oil and winding as lags. Pure.

The exponential equations of IEC 60076-7 with its figures for distribution transformers with oil, naturally cooled. What the
nameplate's maker has measured is better, and every figure can be given.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 256                      # steps that are solved at once
TRUSTED: Final = 0.95                   # of what a temperature remembers must be known


@attrs.frozen
class Constants:
    """
    Of one transformer; the defaults are those of a distribution transformer, ONAN.

    References
    ----------
    .. [1] IEC 60076-7, table of characteristics, as coded in "distribution_transformer.m" of I. Daminov, Demand response
       coupled with DTR of transformers (read 2026-11): all ten figures. The standard itself was not read.
    """

    oil_rise: float = 55.0              # top oil over ambient at rated load [K]
    winding_rise: float = 23.0          # hot spot over top oil at rated load [K]
    oil_min: float = 180.0              # time constant of the oil [min]
    winding_min: float = 4.0            # time constant of the winding [min]
    loss_ratio: float = 5.0             # load loss at rated load over no-load loss [1]
    oil_exponent: float = 0.8
    winding_exponent: float = 1.6
    k11: float = 1.0
    k21: float = 1.0
    k22: float = 2.0


@attrs.frozen(eq=False)
class Temperatures:
    """Of transformers in every step. NaN where the load is not known, and until the past is known well enough."""

    top_oil: NDArray[np.float64]            # (..., t) [°C]
    hot_spot: NDArray[np.float64]           # (..., t) [°C]


def temperatures(
    load: NDArray[np.float64], ambient: NDArray[np.float64] | float, step_min: float, of: Constants | None = None
) -> Temperatures:
    """
    Return the temperatures that a load leads to.

    Parameters
    ----------
    load : ndarray of float64, shape (..., t)
        Load over rated load in each step; the current of the most loaded phase over the rated current where phases are
        known, for a winding does not know that its neighbour is cool. [1]
    ambient : ndarray broadcastable to (..., t), or float
        [°C]
    step_min : float
        Length of a step; at most half of the winding's time constant if peaks of minutes matter. [min]
    of : Constants, optional

    Returns
    -------
    temperatures : Temperatures
        At the end of each step. It begins in the steady state of the first known load.

    Notes
    -----
    Oil approaches what the total loss would heat it to, the hot spot rises over it by two lags that overshoot where k21 > 1
    [1]_. Within a gap the last load is taken to go on, and nothing is shown until `TRUSTED` of what the oil remembers is
    known again. Valid for mineral oil and natural cooling, up to 2.5 MVA and twice the rated load. Harmonics heat more.

    References
    ----------
    .. [1] Formulas (12), (15) and (16) of IEC 60076-7:2018 as given in the documentation of transformer-thermal-model,
       github.com/alliander-opensource/transformer-thermal-model, model_description.md (read 2026-11)
    """
    of = of or Constants()
    load = np.asarray(load, dtype=np.float64)
    known = ~np.isnan(load)
    carried = _carried(load, known)
    around = np.broadcast_to(np.asarray(ambient, dtype=np.float64), load.shape)
    oil_step = np.exp(-step_min / (of.k11 * of.oil_min))
    oil = _relax(around + oil_rise(carried, of), oil_step)
    gradient = of.winding_rise * carried**of.winding_exponent
    first = _relax(of.k21 * gradient, np.exp(-step_min / (of.k22 * of.winding_min)))
    second = _relax((of.k21 - 1.0) * gradient, np.exp(-step_min * of.k22 / of.oil_min))
    remembered = _relax(known.astype(np.float64), oil_step)
    shown = known & (remembered >= TRUSTED)
    return Temperatures(np.where(shown, oil, np.nan), np.where(shown, oil + first - second, np.nan))


def relative_ageing(hot_spot: NDArray[np.float64], upgraded: bool = False) -> NDArray[np.float64]:
    """
    Return how fast the paper ages, over its normal rate.

    Parameters
    ----------
    hot_spot : ndarray of float64
        [°C]
    upgraded : bool
        Thermally upgraded paper: normal at 110 °C; else at 98 °C, and twice as fast with every 6 K.

    Returns
    -------
    rate : ndarray of float64
        Its mean over a period is the life used over that period. [1]

    References
    ----------
    .. [1] 2^((θ - 98) / 6), and exp(15000/383 - 15000/(θ + 273)) for upgraded paper: as coded by Daminov (`Constants`)
    """
    hot_spot = np.asarray(hot_spot, dtype=np.float64)
    if upgraded:
        return np.asarray(np.exp(15000.0 / 383.0 - 15000.0 / (hot_spot + 273.0)))
    return np.asarray(2.0 ** ((hot_spot - 98.0) / 6.0))


def oil_rise(load: NDArray[np.float64], of: Constants) -> NDArray[np.float64]:
    """Return the top oil over ambient that a load would lead to in the end. [K]"""
    lost = (1.0 + of.loss_ratio * load**2) / (1.0 + of.loss_ratio)
    return np.asarray(of.oil_rise * lost**of.oil_exponent)


def _carried(load: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The last known load in a gap, the first known one before it; 0 where nothing ever was."""
    steps = np.arange(load.shape[-1])
    last = np.maximum.accumulate(np.where(known, steps, -1), axis=-1)
    first = known.argmax(axis=-1)
    return np.nan_to_num(np.take_along_axis(load, np.where(last < 0, first[..., None], last), axis=-1))


def _relax(target: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """What follows `target` and keeps a part of itself in each step, from the first target on. Blocks of steps at once."""
    out = np.empty_like(target, dtype=np.float64)
    steps = np.arange(BLOCK)
    lag = steps[:, None] - steps
    weight = np.where(lag >= 0, (1.0 - keep) * keep ** np.maximum(lag, 0), 0.0)            # (block, block)
    state = target[..., 0]
    for begin in range(0, target.shape[-1], BLOCK):
        part = target[..., begin:begin + BLOCK]
        size = part.shape[-1]
        gone = state[..., None] * keep ** (steps[:size] + 1.0)
        out[..., begin:begin + size] = part @ weight[:size, :size].T + gone
        state = out[..., begin + size - 1]
    return out
