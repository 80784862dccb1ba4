"""The heat of all transformers from instant to instant: `thermal`'s equations, one exact step at a time. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.overload import HORIZON_MIN, minutes_left
from scada.balancing.thermal import TRUSTED, Constants, oil_rise, relative_ageing
from scada.tags import BAD, Limits, Quality, TagDef

STEADY_MIN: Final = 5.0                 # time constant of the load that is taken to go on: a motor's start is not carried
NS_PER_MIN: Final = 60.0 * 10**9

HOT_SPOT_LIMITS: Final = Limits(high=120.0, high_high=140.0, hysteresis=3.0)       # normal and emergency, see `overload`
LEFT_LIMITS: Final = Limits(low=30.0, low_low=10.0, hysteresis=10.0)               # time to do something; ours
OUTPUTS: Final = (
    TagDef("hot_spot", "°C", "Hot spot of the winding", limits=HOT_SPOT_LIMITS),
    TagDef("top_oil", "°C", "Top oil"),
    TagDef("ageing_rate", "", "Ageing over normal ageing", digits=2),
    TagDef("minutes_left", "min", "Time the present load can be carried, two days at most", limits=LEFT_LIMITS, digits=0),
    TagDef("loading_phase", "%", "Loading of the most loaded phase"),
    TagDef("ambient", "°C", "Temperature around the transformer, as reckoned with"),
)


@attrs.frozen(eq=False)
class Heat:
    """State of t transformers; NaN temperatures where nothing was known yet."""

    oil: NDArray[np.float64]                # (t,) top oil [°C]
    first: NDArray[np.float64]              # (t,) the two lags of the hot spot over the oil [K]
    second: NDArray[np.float64]
    load: NDArray[np.float64]               # (t,) last known, over rated [1]
    steady: NDArray[np.float64]             # (t,) its mean over some minutes [1]
    remembered: NDArray[np.float64]         # (t,) how much of what the oil remembers is known [1]
    at: NDArray[np.int64]                   # (t,) [ns]

    @property
    def hot_spot(self) -> NDArray[np.float64]:
        return self.oil + self.first - self.second


FIELDS: Final = tuple(one.name for one in attrs.fields(Heat))


def unknown(size: int) -> Heat:
    """Nothing is known of `size` transformers."""
    nan = np.full(size, np.nan)
    return Heat(nan, nan, nan, nan, nan, np.zeros(size), np.zeros(size, dtype=np.int64))


def stepped(
    heat: Heat, load: NDArray[np.float64], ambient: float, now: int, of: Constants | None = None
) -> Heat:
    """
    Return the state at `now`.

    Parameters
    ----------
    heat : Heat
        Of t transformers, at its own instants.
    load : ndarray of float64, shape (t,)
        Over rated, since then; NaN where it is not known. [1]
    ambient : float
        [°C]
    now : int
        [ns]
    of : Constants, optional

    Returns
    -------
    heat : Heat
        Exact for a load that did not change meanwhile, however long. Where the load is not known the last one is taken to
        go on, and `remembered` falls. A transformer nothing is known of begins in the steady state of its first known
        load, and with nothing remembered. A clock that went back takes no time.
    """
    of = of or Constants()
    known = ~np.isnan(load)
    carried = np.where(known, load, heat.load)
    begins = np.isnan(heat.oil)
    minutes = np.where(begins, 0.0, np.maximum(now - heat.at, 0) / NS_PER_MIN)
    oil_keep = np.exp(-minutes / (of.k11 * of.oil_min))
    gradient = of.winding_rise * carried**of.winding_exponent

    def lag(state: NDArray[np.float64], target: NDArray[np.float64], keep: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(begins, target, target + (state - target) * keep)

    return Heat(
        oil=lag(heat.oil, ambient + oil_rise(carried, of), oil_keep),
        first=lag(heat.first, of.k21 * gradient, np.exp(-minutes / (of.k22 * of.winding_min))),
        second=lag(heat.second, (of.k21 - 1.0) * gradient, np.exp(-minutes * of.k22 / of.oil_min)),
        load=carried,
        steady=lag(heat.steady, carried, np.exp(-minutes / STEADY_MIN)),
        remembered=known + (heat.remembered - known) * oil_keep,
        at=np.full(len(load), now, dtype=np.int64),
    )


def shown(
    heat: Heat, ambient: float, quality: NDArray[np.uint8], of: Constants | None = None
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """
    Return values and qualities in the order of `OUTPUTS`, both (t, len(OUTPUTS)).

    As good as the load, `quality` (t,), and uncertain as long as less than `TRUSTED` of the past is known. More than
    `HORIZON_MIN` minutes are shown as so many.
    """
    left = minutes_left(heat.steady, ambient, heat.oil, heat.hot_spot, of)
    values = np.column_stack([
        heat.hot_spot, heat.oil, relative_ageing(heat.hot_spot), np.minimum(left, HORIZON_MIN), 100.0 * heat.load,
        np.full(len(left), ambient),
    ])
    past = np.where(heat.remembered < TRUSTED, Quality.UNCERTAIN_ESTIMATED, Quality.GOOD)
    qualities = np.repeat(np.maximum(quality, past)[:, None], len(OUTPUTS), axis=1).astype(np.uint8)
    qualities[:, -2] = quality
    qualities[:, -1] = Quality.GOOD
    qualities[np.isnan(values) & (qualities < BAD)] = Quality.BAD_WAITING
    return values, qualities
