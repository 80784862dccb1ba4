"""Phase advice: how long, how near to the best that a long search finds, and what it saves by power flow at one minute."""

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import feeder
from scada.balancing.phases.checked import by_power_flow, path_resistance
from scada.balancing.phases.gram import Table, by_loss, by_neutral, mixed
from scada.balancing.phases.pareto import CAPS, pareto
from scada.balancing.phases.search import KICKS, search
from scada.bench import Figure
from scada.bench.balance.generated import generator
from scada.bench.balance.shared import Feeder, european, generated

CONSUMERS, DAYS, MOVES = 240, 7, 24
SHARES: Final = (0.45, 0.33, 0.22)
REPEATS: Final = 60
LONG: Final = 8                             # searches of four times the length that the best known is the best of
COMPARED: Final = 6                         # instances that they are run on
OF_LOSS: Final = 0.15                       # weight of the loss beside the neutral current


def measure(repeats: int = REPEATS, compared: int = COMPARED, long: int = LONG) -> list[Figure]:
    """The figures of the shared feeder only where its folder is named; those of the generated one always."""
    shared = european()
    return [
        *_speed(repeats, compared, long), *_saved("phase_advice_generated", generated()),
        *(_saved("phase_advice", shared) if shared else ()),
    ]


def instance(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Hourly profiles (n, t) of generated households, and phases as nobody planned them."""
    profiles = 1e3 * generator("households").make(CONSUMERS, DAYS, seed).energy()
    return profiles, np.random.default_rng(seed).choice(3, size=CONSUMERS, p=SHARES)


def _speed(repeats: int, compared: int, long: int) -> list[Figure]:
    walls, busy, left, gaps = [], [], [], []
    profiles, _ = instance(1)
    for number in range(repeats):
        rng = np.random.default_rng(1000 + number)
        start = rng.choice(3, size=CONSUMERS, p=SHARES)
        if number < compared:
            profiles, start = instance(number)
        wall, processor = time.perf_counter(), time.process_time()
        table = by_neutral(profiles)
        phase = search(table, start, MOVES, kicks=KICKS)
        walls.append(time.perf_counter() - wall)
        busy.append(time.process_time() - processor)
        left.append(table.score(phase) / table.score(start))
        if number < compared:
            gaps.append(table.score(phase) / _best_known(table, start, phase, long) - 1)
    of = f"phase advice, {CONSUMERS} consumers × {24 * DAYS} h, {MOVES} moves"
    return [
        Figure("phase_advice_s", f"{of}, by the clock, median of {repeats}", float(np.median(walls)), "s"),
        Figure("phase_advice_p95_s", f"{of}, 95th percentile", float(np.percentile(walls, 95)), "s"),
        Figure("phase_advice_cpu_s", f"{of}, processor time, median", float(np.median(busy)), "s"),
        Figure("phase_advice_gap", f"{of}, above the best of {long} searches four times as long, worst of {compared}",
               100 * max(gaps), "%"),
        Figure("phase_advice_left", f"{of}, squared neutral current left, median", 100 * float(np.median(left)), "%"),
    ]


def _best_known(table: Table, start: NDArray[np.int64], phase: NDArray[np.int64], long: int) -> float:
    """Of searches that begin at today's phases and at random ones within the cap."""
    best = table.score(phase)
    for seed in range(long):
        rng, begin = np.random.default_rng(seed), start.copy()
        if seed % 2:
            some = rng.choice(len(start), MOVES, replace=False)
            begin[some] = rng.integers(3, size=MOVES)
        best = min(best, table.score(search(table, start, MOVES, begin=begin, kicks=4 * KICKS, seed=100 + seed)))
    return best


def _saved(id_: str, of: Feeder) -> list[Figure]:
    """Advised from hourly means, checked with the minutes they are made of."""
    network, consumers = of.network, np.arange(len(of.network.points))
    start = network.point_phases.argmax(axis=1)
    if id_ != "phase_advice":               # the generated feeder is even; nobody would ask
        start = np.random.default_rng(5).choice(3, size=len(start), p=SHARES)
        network = network.on_phases(np.eye(3, dtype=bool)[start])
    hourly = of.used.reshape(-1, 60, of.used.shape[1]).mean(axis=1)
    apparent = hourly / np.abs(network.power_factor)
    table = mixed(
        [by_neutral(hourly.T), by_loss(apparent.T, *path_resistance(feeder(network), consumers))],
        [1 - OF_LOSS, OF_LOSS], start,
    )
    hourly_check, check = by_power_flow(network, hourly, consumers, 1.0), by_power_flow(network, of.used, consumers, 1 / 60)
    points = pareto(hourly.T, table, start, CAPS, checker=hourly_check, kicks=KICKS)
    today = check(start)
    figures = []
    for point in points[1:]:
        found = check(point.phase)
        loss, neutral = (100 * (1 - after / before) for after, before in
                         ((found.loss, today.loss), (found.neutral, today.neutral)))
        name = "" if point.moves == CAPS[-1] else f"_{point.moves}"
        what = f"{of.name}, {point.moves} moves, power flow at one minute"
        figures += [
            Figure(f"{id_}_loss_cut{name}", f"{what}: line loss lower by", loss, "%"),
            Figure(f"{id_}_neutral_cut{name}", f"{what}: mean neutral current lower by", neutral, "%"),
        ]
    return figures
