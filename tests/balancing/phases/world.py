"""Households with on and off, days and evenings, drawn anew for each test; a feeder that meters their phases."""

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.pareto import Point, candidates, judged


def households(n: int, days: int, seed: int = 1) -> NDArray[np.float64]:
    """(n, 24 x days) W: a base, appliances that run for an hour or two, more of them in the evening."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days) % 24
    likely = 0.08 + 0.10 * np.exp(-((hours - 7.5) / 1.5) ** 2) + 0.32 * np.exp(-((hours - 19.5) / 2.5) ** 2)
    habit = rng.lognormal(0.0, 0.45, (n, 1))
    on = rng.random((n, len(hours))) < np.clip(likely * habit, 0, 0.95)
    size = rng.gamma(2.0, 900.0, (n, len(hours)))
    return rng.uniform(60, 250, (n, 1)) * rng.uniform(0.8, 1.2, (n, len(hours))) + on * size


def pareto(profiles, table, start, caps, checker=None, kicks=5) -> list[Point]:
    """The curve that people choose from, with what a power flow says of each point."""
    found = candidates(profiles, table, start, caps, kicks=kicks)
    checks = [[checker(one) for one in alike] for alike in found] if checker else None
    return judged(profiles, table, start, found, None, checks)


def feeder(
    profiles: NDArray[np.float64], phase: NDArray[np.int64], noise: float = 0.0, seed: int = 2
) -> NDArray[np.float64]:
    """(t, 3) W at the transformer, loss of some per cent included."""
    power = np.stack([profiles[phase == one].sum(axis=0) for one in range(3)], axis=-1)
    lost = 0.03 * power**2 / max(power.mean(), 1.0)
    return (power + lost) * (1 + noise * np.random.default_rng(seed).standard_normal(power.shape))
