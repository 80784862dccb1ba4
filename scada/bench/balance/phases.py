"""Phase identification: how many consumers of generated feeders are found on their phase, all metered and seven in ten."""

from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.identify import SURE, identify
from scada.bench import Figure
from scada.bench.balance.generated import generator

FEEDERS: Final = tuple(product((30, 50, 100), (7, 14, 20)))          # consumers, days
REPEATS: Final = 72                         # feeders, each kind eight times
SEED: Final = 90_000


def measure(repeats: int = REPEATS, seed: int = SEED) -> list[Figure]:
    """Shares of right phases over feeders of several sizes, with their spread."""
    return [*_shares("phase_id_full", 1.0, repeats, seed), *_shares("phase_id_70", 0.7, repeats, seed)]


def _shares(id_: str, metered: float, repeats: int, seed: int) -> list[Figure]:
    phased = generator("phased").phased
    right: list[float] = []
    sure: list[NDArray[np.bool_]] = []
    told: list[NDArray[np.bool_]] = []
    for number in range(repeats):
        consumers, days = FEEDERS[number % len(FEEDERS)]
        feeder = phased(seed + number, consumers, days, metered=metered)
        found = identify(1e3 * feeder.members, 1e3 * feeder.feed, np.arange(24 * days))
        correct = found.phase == feeder.phase
        right.append(float(correct.mean()))
        sure.append(np.nan_to_num(found.margin) >= SURE)
        told.append(correct)
    clear, correct = np.concatenate(sure), np.concatenate(told)
    of = f"{repeats} feeders of 30 to 100 homes, 7 to 20 days, {metered:.0%} metered: right phases"
    return [
        Figure(id_, f"{of}, mean of the feeders", 100 * float(np.mean(right)), "%"),
        *_spread(id_, of, right),
        Figure(f"{id_}_sure", f"{of}, of those with a margin of {SURE} or more", 100 * float(correct[clear].mean()), "%"),
        Figure(f"{id_}_sure_share", "share of consumers with such a margin", 100 * float(clear.mean()), "%"),
    ]


def _spread(id_: str, of: str, values: Sequence[float]) -> list[Figure]:
    low, middle = np.percentile(values, [5, 50])
    return [
        Figure(f"{id_}_p5", f"{of}, the feeder at the fifth percentile", 100 * float(low), "%"),
        Figure(f"{id_}_p50", f"{of}, the median feeder", 100 * float(middle), "%"),
    ]
