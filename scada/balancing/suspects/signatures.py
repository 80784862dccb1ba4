"""What a member's theft or fault would add to the imbalance, hour by hour, for each way of doing it.

Each pattern is a column built from the member's registered profile and its own forecast only; its coefficient is
found by regression. Some patterns leave traces in the profile itself (hours of nothing where there was always
something; a ceiling that is often touched), which count beside the balance.
"""

from enum import IntEnum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.history import Change, Windows

OFTEN: Final = 0.75                     # of the days in question: an hour of the day that registers nothing
TOUCHED: Final = 0.08                   # of the hours at the ceiling: a profile left alone has a third of that
TRACE: Final = 20.0                     # what a share of hours with a trace adds, up to
MOST_TRACE: Final = 6.0


class Pattern(IntEnum):
    """How a profile and what is missing hang together."""

    STEADY = 0              # in proportion, in all hours there are: a slow meter, a shunt of long standing
    FACTOR = 1              # in proportion since lately
    CEILING = 2             # what is above a ceiling
    OFFSET = 3              # a constant amount, or all that there was
    HOURS = 4               # all, in the same hours of each day
    DETACHED = 5            # forecast less registered: what is registered has nothing to do with what is taken


@attrs.frozen(eq=False)
class Signatures:
    """Columns of each pattern for each member, and what the profile itself says for them."""

    columns: NDArray[np.float64]            # (g, patterns, n, h)
    possible: NDArray[np.bool_]             # (g, patterns, n)
    trace: NDArray[np.float64]              # (g, patterns, n) log-odds
    nothing: NDArray[np.float64]            # (g, n) share of hours in question without a count, over that before [1]

    def take(self, rows: NDArray[np.intp]) -> "Signatures":
        """Those of some of the groups."""
        return Signatures(*(getattr(self, field.name)[rows] for field in attrs.fields(Signatures)))


def signatures(groups: Groups, changes: Change, windows: Windows, resolution: float | NDArray[np.float64]) -> Signatures:
    """
    Return the columns of all patterns.

    Parameters
    ----------
    groups : Groups
    changes : Change
    windows : Windows
    resolution : float or ndarray of float64, shape (g, n)
        One count of each register; less than half of it is nothing. [kWh or m3]
    """
    recent = windows.recent
    count, wide, _ = groups.members.shape
    profile = np.where(groups.known, groups.members, changes.forecast)
    late, forecast = profile[..., recent], changes.forecast[..., recent]
    step = np.broadcast_to(resolution, (count, wide))[..., None]
    none = late < step / 2
    before = (profile[..., ~recent] < step / 2).mean(axis=2)
    nothing = none.mean(axis=2) - before
    top = np.quantile(late, 0.97, axis=2, keepdims=True)
    ceiling = (late >= top - 1.01 * step) & (top > 3 * step)
    daily = none.reshape(count, wide, -1, DAY_H).mean(axis=2) > OFTEN
    in_window = np.tile(daily, (1, 1, late.shape[2] // DAY_H))
    level = forecast.mean(axis=2, keepdims=True)

    columns = np.zeros((count, len(Pattern), *profile.shape[1:]))
    columns[:, Pattern.STEADY] = profile
    columns[:, Pattern.FACTOR][..., recent] = late
    columns[:, Pattern.CEILING][..., recent] = ceiling
    low = np.minimum(forecast, np.median(forecast, axis=2, keepdims=True))
    columns[:, Pattern.OFFSET][..., recent] = np.where(none, low, level)
    columns[:, Pattern.HOURS][..., recent] = forecast * in_window
    columns[:, Pattern.DETACHED][..., recent] = forecast - late
    columns *= groups.usable[:, None, None]

    touched = ceiling.mean(axis=2)
    often = none.mean(axis=2)
    new = nothing > 0.5 * often                            # somebody who is out every day has always had such hours
    possible = np.repeat((groups.real & changes.enough)[:, None], len(Pattern), axis=1)
    possible[:, Pattern.CEILING] &= touched > TOUCHED
    possible[:, Pattern.OFFSET] &= (often > 0.05) & (often < 0.98) & new
    possible[:, Pattern.HOURS] &= daily.any(axis=2) & ~daily.all(axis=2) & new
    trace = np.zeros(possible.shape)
    trace[:, Pattern.CEILING] = np.clip(TRACE * (touched - TOUCHED), 0.0, MOST_TRACE)
    trace[:, Pattern.OFFSET] = trace[:, Pattern.HOURS] = np.clip(TRACE * (nothing - 0.05), 0.0, MOST_TRACE)
    return Signatures(columns, possible, trace, nothing)
