"""Whose readings does an imbalance follow? The meter that counts too much or too little points at itself. Pure.

If one member's meter shows m where f·m is true, the imbalance of its group contains (f - 1)·m, hour by hour, whatever the
others do. So the imbalance, freed of what goes with the feed (losses), is regressed on each member alone; then, with the
best one taken out, on the others, until nobody is left that is beyond doubt. Nothing can be said of a meter that counts
nothing, nor of two whose hours look alike. The bounds are set for no false alarm rather than for the last thief.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_H: Final = 28                     # complete hours for a judgement
MOST: Final = 4                         # meters of a group that are named at once
BEYOND_DOUBT: Final = 8.0               # slope against its standard error, over `SURE_H` hours; more over fewer
SURE_H: Final = 64
LEAST_SLOPE: Final = 0.08               # of the reading; below it is what a class and a loss may be
ALIKE: Final = 0.35                     # how far the slopes of even and odd hours may differ, of the larger


@attrs.frozen
class Follower:
    """A meter that an imbalance follows."""

    row: int
    slope: float                        # imbalance per reading: -0.5 = half of what it shows was not fed
    strength: float                     # slope against its standard error

    @property
    def factor(self) -> float:
        """What the meter shows of what is true; 2: twice as much. [1]"""
        return 1.0 / max(1.0 + self.slope, 0.05)


def followers(imbalance: Floats, feed: Floats, members: Floats, noise: float) -> tuple[Follower, ...]:
    """
    Return the members whose readings an imbalance follows, the clearest first.

    Parameters
    ----------
    imbalance : ndarray of float64, shape (h,)
        Feed less members; NaN where the balance is not complete. [kWh or m³]
    feed : ndarray of float64, shape (h,)
        The same hours. [kWh or m³]
    members : ndarray of float64, shape (n, h)
        What each member took. [kWh or m³]
    noise : float
        What even a balance without fault is off, hour by hour, by resolution and reading times. [kWh or m³]

    Returns
    -------
    found : tuple of Follower
        At most `MOST`; none where there are fewer than `LEAST_H` complete hours.
    """
    whole = np.isfinite(imbalance) & np.isfinite(feed) & np.isfinite(members).all(axis=0)
    hours = int(whole.sum())
    if hours < LEAST_H or not len(members):
        return ()
    taken, scale = members[:, whole], max(float(np.abs(feed[whole]).max()), 1e-9)
    load = feed[whole] / scale
    common = np.linalg.qr(np.stack([np.ones(hours), load, load**2], axis=1))[0]
    y = _freed(imbalance[whole][None], common)[0]
    m = _freed(taken, common)
    found: list[Follower] = []
    for _ in range(MOST):
        best = _best(y, m, noise, hours - common.shape[1] - 1 - len(found))
        if best is None or best.row in {one.row for one in found}:
            break
        found.append(best)
        direction = m[best.row] / np.linalg.norm(m[best.row])
        y, m = y - (y @ direction) * direction, m - np.outer(m @ direction, direction)
    return tuple(found)


def _best(y: Floats, m: Floats, noise: float, freedom: int) -> Follower | None:
    """The row that explains most of `y`, if it is beyond doubt, and by more than one hour."""
    if freedom < 10:
        return None
    power = np.maximum((m**2).sum(axis=1), 1e-12)
    slope = (m @ y) / power
    left = np.maximum((y @ y) - slope**2 * power, 0.0) / freedom
    error = np.sqrt(np.maximum(left, noise**2) / power)
    row = int(np.argmax(slope**2 * power))
    strength = float(abs(slope[row]) / error[row])
    if strength < BEYOND_DOUBT * max(1.0, SURE_H / len(y)) ** 0.5 or abs(slope[row]) - 3.0 * error[row] < LEAST_SLOPE:
        return None
    halves = [float(m[row, part::2] @ y[part::2] / max(float((m[row, part::2] ** 2).sum()), 1e-12)) for part in (0, 1)]
    if halves[0] * halves[1] <= 0 or abs(halves[0] - halves[1]) > ALIKE * max(map(abs, halves)):
        return None
    return Follower(row, float(slope[row]), strength)


def _freed(rows: Floats, common: Floats) -> Floats:
    """Rows without what goes with the common columns."""
    return np.asarray(rows - (rows @ common) @ common.T, dtype=np.float64)
