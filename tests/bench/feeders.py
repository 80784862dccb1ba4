"""Balance groups with a known culprit: households, their meters, the feeder's meter, and what is lost between them.

Technical loss is that of one-phase homes on three phases: in each ten minutes, over each phase, the square of its homes'
loads, each weighted by how far away it is (0.5-1.5), scaled so that the whole span loses `loss` of what is taken. The
products never see the weights or the phases.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

from tests.bench import meters
from tests.bench.households import Households, make
from tests.bench.thefts import Theft, registered

LOSS_MIN = 10               # loads are squared over as many minutes


@attrs.frozen(eq=False)
class Feeder:
    """A group as it is delivered, and the truth about it. Energies in kWh."""

    feed: NDArray[np.float64]               # (h,) the feeder's meter
    members: NDArray[np.float64]            # (n, h) the members' meters
    kind: NDArray[np.int64]                 # (n,) `Theft`
    stolen: NDArray[np.float64]             # (n, h) taken and not counted, gain apart
    loss: NDArray[np.float64]               # (h,) technical
    tap: NDArray[np.float64]                # (h,) taken before the meters
    first_weekday: int = 0                  # of its first day; 0 = Monday

    @property
    def imbalance(self) -> NDArray[np.float64]:
        """Feed - members, (h,)."""
        return self.feed - self.members.sum(axis=0)


def feeder(
    seed: int | np.random.Generator,
    count: int = 50,
    days: int = 20,
    thieves: tuple[Theft, ...] = (),
    *,
    since_day: int = 0,
    taps: int = 0,
    loss: float = 0.04,
    resolution: float = meters.RESOLUTION,
    skew: float = meters.SKEW_MIN,
    day_of_year: int | None = None,
) -> Feeder:
    """
    Return one group.

    Parameters
    ----------
    seed : int or Generator
        The same seed makes the same group.
    count : int
        Members, n.
    days : int
        Span. [d]
    thieves : tuple of Theft
        One for each thief; who they are is drawn. Homes that stand empty steal too, and nobody can see it.
    since_day : int
        Day of the first theft. [d]
    taps : int
        Homes that are fed and no members, from `since_day` on.
    loss : float
        Technical loss over what is taken. [1]
    resolution, skew : float
        As in `meters`. [kWh], [min]
    day_of_year : int, optional
        Of the first day; drawn if not given. [d]
    """
    rng = np.random.default_rng(seed)
    start = int(rng.integers(0, 365)) if day_of_year is None else day_of_year
    weekday = int(rng.integers(0, 7))
    homes = make(count + taps, days, rng, first_weekday=weekday, day_of_year=start)
    true = homes.energy()
    since = since_day * 24
    kind = np.zeros(count, dtype=np.int64)
    kind[rng.permutation(count)[: len(thieves)]] = thieves
    clock = np.append(meters.skews(rng, count, skew), np.zeros(taps))
    seen = homes.energy(skew=clock)[:count] * meters.gains(rng, count)[:, None]
    honest = seen.copy()
    seen = registered(rng, kind, seen, since)
    tap = true[count:].sum(axis=0)
    tap[:since] = 0.0
    technical = _loss(rng, homes, count, loss)
    feed = (true[:count].sum(axis=0) + tap + technical) * meters.gains(rng, 1, meters.FEEDER_SD)
    fed, counted = (meters.counted(rng, energy, resolution) for energy in (feed[None], seen))
    return Feeder(fed[0], counted, kind, honest - seen, technical, tap, weekday)


def _loss(rng: np.random.Generator, homes: Households, count: int, share: float) -> NDArray[np.float64]:
    fine = homes.energy(LOSS_MIN)[:count]
    far, phase = rng.uniform(0.5, 1.5, (count, 1)), rng.permutation(count) % 3
    squares = np.sum([(far * fine)[phase == which].sum(axis=0) ** 2 for which in range(3)], axis=0)
    hourly = np.asarray(squares.reshape(-1, 60 // LOSS_MIN).sum(axis=1), dtype=np.float64)
    return hourly * (share * fine.sum() / hourly.sum())
