"""Feeders of one-phase homes whose phases are known: what the feeder's three-phase meter and the homes' meters say.

Loss as in `feeders`: over each phase, in each ten minutes, the square of its homes' loads, each weighted by how far away it
is. Homes without a meter are fed like the others. Phases are drawn in shares of 45, 33 and 22 %, as nobody planned them.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

from tests.bench import meters
from tests.bench.feeders import LOSS_MIN
from tests.bench.households import make

SHARES = (0.45, 0.33, 0.22)


@attrs.frozen(eq=False)
class Phased:
    """What was metered, and the truth about it. Energies in kWh."""

    feed: NDArray[np.float64]               # (h, 3) the feeder's meter
    members: NDArray[np.float64]            # (n, h) the meters there are
    phase: NDArray[np.int64]                # (n,) where they really hang


def phased(
    seed: int | np.random.Generator, count: int = 50, days: int = 14, *, metered: float = 1.0, loss: float = 0.04,
    resolution: float = meters.RESOLUTION, skew: float = meters.SKEW_MIN,
) -> Phased:
    """
    Return one feeder.

    Parameters
    ----------
    seed : int or Generator
        The same seed makes the same feeder.
    count : int
        Homes.
    days : int
        Span. [d]
    metered : float
        Share of the homes that have a meter. [1]
    loss : float
        Technical loss over what is taken. [1]
    resolution, skew : float
        As in `meters`. [kWh], [min]
    """
    rng = np.random.default_rng(seed)
    homes = make(count, days, rng, first_weekday=int(rng.integers(7)), day_of_year=int(rng.integers(365)))
    phase = rng.choice(3, size=count, p=SHARES)
    there = np.sort(rng.permutation(count)[: round(metered * count)])
    fine, far = homes.energy(LOSS_MIN), rng.uniform(0.5, 1.5, (count, 1))
    taken = np.stack([fine[phase == one].sum(axis=0) for one in range(3)])
    lost = np.stack([(far * fine)[phase == one].sum(axis=0) ** 2 for one in range(3)])
    fed = (taken + lost * (loss * taken.sum() / lost.sum())).reshape(3, -1, 60 // LOSS_MIN).sum(axis=-1)
    seen = homes.energy(skew=meters.skews(rng, count, skew))[there] * meters.gains(rng, len(there))[:, None]
    feed = meters.counted(rng, fed * meters.gains(rng, 3, meters.FEEDER_SD)[:, None], resolution)
    return Phased(feed.T, meters.counted(rng, seen, resolution), phase[there])
