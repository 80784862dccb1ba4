"""How flats draw power: stochastic appliances with a daily shape, stepped together as arrays.

Two kinds of appliance carry the whole household:

* a *burst* starts by chance, more often at some hours, and runs for a while (light, kettle, cooker, washing);
* a *store* fills a deficit that grows with use and is worked off at rated power (fridge, boiler, air conditioner,
  EV). A store that is shed goes on losing heat or charge, so its load comes back larger afterwards: the recovery.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.simulate.district import Consumer, LoadKind, Use

Floats = NDArray[np.float64]

HOUR: Final = 3600.0


class Households(Protocol):
    """What a world asks of whoever models its consumers; arrays have one entry per consumer."""

    def step(self, local_s: int, seconds: float, supplied: Floats) -> None:
        """Move on by `seconds`; `local_s` is local time [s since 1970], `supplied` the share of its load each may run."""

    def power(self, supplied: Floats) -> Floats:
        """What is drawn now. [W]"""

    def memory(self) -> dict[str, Any]:
        """What has changed since the start, as JSON."""

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what `memory` gave."""


def _shape(*hours: float) -> Floats:
    """A day's shape, 24 relative rates scaled to a mean of one."""
    shape = np.array(hours)
    if shape.shape != (24,):
        raise ValueError(f"a daily shape has 24 hours, this one {len(hours)}")
    return np.asarray(shape / shape.mean(), dtype=np.float64)


FLAT_SHAPE = np.ones(24)
EVENING = _shape(3, 1, .5, .5, .5, 1, 4, 6, 4, 2, 2, 2, 2, 2, 2, 3, 5, 9, 13, 14, 13, 11, 8, 5)
MEALS = _shape(0, 0, 0, 0, 0, 1, 5, 8, 5, 2, 2, 4, 8, 7, 3, 2, 3, 7, 12, 11, 6, 3, 1, 0)
DAYTIME = _shape(0, 0, 0, 0, 0, 0, 1, 3, 6, 8, 8, 7, 6, 6, 6, 6, 7, 8, 8, 6, 4, 2, 1, 0)
BATHROOM = _shape(1, .3, .2, .2, .3, 2, 8, 9, 6, 3, 2, 2, 2, 2, 2, 2, 3, 5, 7, 8, 8, 7, 5, 2)
HEAT = _shape(2, 1, 1, 1, 1, 2, 3, 4, 4, 4, 5, 6, 8, 9, 10, 10, 10, 10, 9, 9, 8, 6, 4, 3)
ARRIVAL = _shape(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 6, 12, 14, 10, 6, 4, 3, 2)
SHOP_HOURS = _shape(1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 8, 4, 2, 1, 1)


@attrs.frozen
class Burst:
    """One kind of appliance that is switched on by people."""

    name: str
    watts: float                            # mean rated power
    per_day: float                          # mean starts a day
    minutes: float                          # mean time on
    shape: Floats = attrs.field(default=FLAT_SHAPE, eq=False)


FLAT_BURSTS: Final = (
    Burst("light", 90.0, 14.0, 40.0, EVENING),
    Burst("screen", 130.0, 5.0, 75.0, EVENING),
    Burst("cooker", 1500.0, 2.2, 25.0, MEALS),
    Burst("kettle", 2000.0, 4.0, 3.0, MEALS),
    Burst("washing", 500.0, 0.5, 90.0, DAYTIME),
    Burst("vacuum", 900.0, 0.3, 20.0, DAYTIME),
)
COMMON_BURSTS: Final = (
    Burst("lift", 5500.0, 160.0, 0.6, EVENING),
    Burst("stairs", 300.0, 60.0, 8.0, EVENING),
)
SHOP_BURSTS: Final = (
    Burst("machines", 2500.0, 20.0, 20.0, SHOP_HOURS),
    Burst("light", 900.0, 10.0, 60.0, SHOP_HOURS),
)
BURSTS_OF: Final = {Use.FLAT: FLAT_BURSTS, Use.COMMON: COMMON_BURSTS, Use.SHOP: SHOP_BURSTS}
STANDBY_W: Final = {Use.FLAT: 45.0, Use.COMMON: 150.0, Use.SHOP: 250.0}


class StochasticHouseholds:
    """Appliances of every consumer, drawn from one generator: the same seed lives the same days."""

    def __init__(
        self, consumers: tuple[Consumer, ...], loads: Mapping[str, tuple[LoadKind, float]], rng: np.random.Generator
    ) -> None:
        self._rng = rng
        n = len(consumers)
        powered = np.array([bool(one.phases) for one in consumers], dtype=bool)
        size = rng.lognormal(0.0, 0.3, n)                          # some are many, some are few
        bursts = {burst for kinds in BURSTS_OF.values() for burst in kinds}
        self._bursts = tuple(sorted(bursts, key=lambda burst: (burst.name, burst.watts)))
        belongs = np.array([[burst in BURSTS_OF[one.use] for one in consumers] for burst in self._bursts]) & powered
        shapes = np.array([burst.shape for burst in self._bursts])
        per_second = np.array([burst.per_day for burst in self._bursts])[:, None] * shapes / 86400.0
        self._rates = per_second.T[:, :, None] * size * belongs    # (24, kinds, n) starts per second
        self._minutes = np.array([burst.minutes for burst in self._bursts])[:, None]
        self._burst_w = np.array([burst.watts for burst in self._bursts])[:, None] * rng.lognormal(0.0, 0.2, belongs.shape)
        self._left = np.zeros(belongs.shape)                       # s still on
        self._standby = np.array([STANDBY_W[one.use] for one in consumers]) * size * powered

        fridge = np.array([one.use is Use.FLAT for one in consumers]) & powered
        kind = [loads.get(one.name, (None, 0.0))[0] for one in consumers]
        rated = np.array([loads.get(one.name, (None, 0.0))[1] for one in consumers])
        boiler, ev, ac = (
            np.array([one is wanted for one in kind]) for wanted in (LoadKind.BOILER, LoadKind.EV, LoadKind.AC)
        )
        self._stores = (
            Stores(np.where(fridge, 110.0, 0.0), np.full(n, 25.0) * fridge, 6.0, FLAT_SHAPE, rng),
            Stores(rated * boiler, 190.0 * size * boiler, 350.0, BATHROOM, rng),
            Stores(rated * ac, 260.0 * size * ac, 150.0, HEAT, rng),
        )
        self._ev = Charger(rated * ev, rng)

    def step(self, local_s: int, seconds: float, supplied: Floats) -> None:
        hour = local_s // 3600 % 24
        self._left = np.maximum(self._left - seconds, 0.0)
        chance = self._rng.random((2, *self._left.shape))
        starts = (self._left <= 0.0) & (chance[0] < self._rates[hour] * seconds)
        # exponential run times, at least half a minute; always drawn, so that the sequence depends on the seed alone
        runs = np.maximum(-np.log1p(-chance[1]) * self._minutes * 60.0, 30.0)
        self._left = np.where(starts, runs, self._left)
        fridge, *secondary = self._stores
        fridge.step(hour, seconds, np.ones_like(supplied))
        for stores in secondary:
            stores.step(hour, seconds, supplied)
        self._ev.step(hour, seconds, supplied)

    def power(self, supplied: Floats) -> Floats:
        fridge, *secondary = self._stores
        total = self._standby + ((self._left > 0.0) * self._burst_w).sum(axis=0) + fridge.power
        for stores in secondary:
            total = total + stores.power * supplied
        total = total + self._ev.power * supplied
        return np.asarray(total, dtype=np.float64)

    def memory(self) -> dict[str, Any]:
        return {
            "left": self._left.tolist(), "ev": self._ev.deficit.tolist(),
            "stores": [stores.memory() for stores in self._stores],
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._left = np.array(memory["left"])
        for stores, kept in zip(self._stores, memory["stores"], strict=True):
            stores.recall(kept)
        self._ev.deficit = np.array(memory["ev"])


class Stores:
    """A thermostat's load: the deficit grows with use and is worked off at rated power, with hysteresis."""

    def __init__(self, rated: Floats, mean_w: Floats, swing_wh: float, shape: Floats, rng: np.random.Generator) -> None:
        self._rated, self._mean, self._swing, self._shape = rated, mean_w, swing_wh, shape
        self._deficit = rng.random(len(rated)) * swing_wh
        self._on = np.zeros(len(rated), dtype=bool)

    def step(self, hour: int, seconds: float, supplied: Floats) -> None:
        grown = self._deficit + (self._mean * self._shape[hour] - self.power * supplied) * seconds / HOUR
        self._deficit = np.clip(grown, 0.0, 6.0 * self._swing)     # it gets no colder than its surroundings
        self._on = np.where(self._on, self._deficit > 0.0, self._deficit >= self._swing)

    @property
    def power(self) -> Floats:
        """Drawn if it is supplied. [W]"""
        return self._rated * self._on

    def memory(self) -> dict[str, Any]:
        return {"deficit": self._deficit.tolist(), "on": self._on.tolist()}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._deficit, self._on = np.array(memory["deficit"]), np.array(memory["on"], dtype=bool)


class Charger:
    """An EV comes home some evenings with an empty battery and charges until it is full."""

    def __init__(self, rated: Floats, rng: np.random.Generator) -> None:
        self._rated, self._rng = rated, rng
        self.deficit = np.where(rated > 0, rng.random(len(rated)) * 4000.0, 0.0)

    def step(self, hour: int, seconds: float, supplied: Floats) -> None:
        chance = self._rng.random((2, len(self._rated)))
        arrives = (self._rated > 0) & (self.deficit <= 0) & (chance[0] < 0.8 * ARRIVAL[hour] * seconds / 86400.0)
        charged = self.deficit - self.power * supplied * seconds / HOUR
        self.deficit = np.where(arrives, 4000.0 + 12000.0 * chance[1], np.maximum(charged, 0.0))

    @property
    def power(self) -> Floats:
        return self._rated * (self.deficit > 0.0)
