"""Groups that the tests of suspects share: made once, with a few thieves of each kind."""

from functools import cache

import numpy as np

from scada.balancing.suspects.columns import Groups, stacked
from tests.bench.feeders import Feeder, feeder
from tests.bench.thefts import Theft


@cache
def steady(count: int = 8) -> tuple[Feeder, ...]:
    """Three thieves in proportion, all the time."""
    return tuple(feeder(100 + seed, 50, 20, (Theft.CONSTANT,) * 3, day_of_year=60) for seed in range(count))


@cache
def mixed(count: int = 12) -> tuple[Feeder, ...]:
    """Three thieves of any kind since the eleventh day."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(200 + seed)
        kinds = tuple(Theft(int(kind)) for kind in rng.integers(1, 7, 3))
        found.append(feeder(rng, 50, 20, kinds, since_day=10, day_of_year=60))
    return tuple(found)


@cache
def clean(count: int = 8) -> tuple[Feeder, ...]:
    """Nobody steals."""
    return tuple(feeder(300 + seed, 50, 20, day_of_year=60) for seed in range(count))


@cache
def tapped(count: int = 6) -> tuple[Feeder, ...]:
    """A home that is no member, since the eleventh day."""
    return tuple(feeder(400 + seed, 50, 20, taps=1, since_day=10, day_of_year=60) for seed in range(count))


def together(feeders: tuple[Feeder, ...]) -> Groups:
    """As they are delivered."""
    return stacked([one.feed for one in feeders], [one.members for one in feeders])


def thieves(feeders: tuple[Feeder, ...]) -> np.ndarray:
    """(g, n) who they are."""
    return np.array([one.kind > 0 for one in feeders])
