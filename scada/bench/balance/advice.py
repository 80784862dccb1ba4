"""Phase advice as people get it: how long, how near to the best that longer searches find, what it saves at one minute."""

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network
from scada.balancing.phases.absolute import KICKS as KICKS_OF_MEAN
from scada.balancing.phases.absolute import Absolute, by_mean, least_sum
from scada.balancing.phases.checked import by_power_flow
from scada.balancing.phases.gram import by_neutral
from scada.balancing.phases.inputs import Given, Inputs
from scada.balancing.phases.orders import NAMES
from scada.balancing.phases.search import KICKS, search
from scada.balancing.phases.study import Asked, Each, study
from scada.bench import Figure
from scada.bench.balance.generated import generator
from scada.bench.balance.shared import Feeder, european, generated
from scada.compute import ProcessPool
from scada.phase_study import PhaseStudy, Unchecked

CONSUMERS, DAYS, MOVES = 240, 7, 24
SAVING: Final = (3, 10)                     # moves
SHARES: Final = (0.45, 0.33, 0.22)
REPEATS: Final = 60                         # instances, each with profiles and phases of its own
LONG: Final = 3                             # searches of four times the length that the best known is the best of
COMPARED: Final = 10                        # instances that they are run on
IN_PROCESSES: Final = 3                     # instances that are worked out as the server does


def measure(repeats: int = REPEATS, compared: int = COMPARED, long: int = LONG) -> list[Figure]:
    """The figures of the shared feeder only where its folder is named; those of the generated one always."""
    shared = european()
    return [
        *_speed(repeats, compared, long), *_saved("phase_advice_generated", generated()),
        *(_saved("phase_advice", shared) if shared else ()),
    ]


def instance(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Hourly profiles (n, t) of generated households, and phases as nobody planned them. [W]"""
    profiles = 1e3 * generator("households").make(CONSUMERS, DAYS, seed).energy()
    return profiles, np.random.default_rng(seed).choice(3, size=CONSUMERS, p=SHARES)


def asked(
    profiles: NDArray[np.float64], start: NDArray[np.int64], moves: int, network: Network | None = None
) -> Asked:
    """A study of consumers who are all known, without a three-phase feed."""
    n, hours = profiles.shape
    names = network.points if network is not None else tuple(f"P{one}" for one in range(n))
    at, unknown = np.arange(hours), np.full(hours, np.nan)
    of = Inputs(names, ("",) * n, start, at, at, profiles, profiles, np.zeros((hours, 3)), 0.0, {})
    return Asked("feeder", 0, hours, Given(
        of, None, unknown, np.zeros(hours), np.zeros(hours, dtype=bool), network,
        profiles.T if network is not None else np.zeros((hours, 0)), None if network is not None else Unchecked.NO_NETWORK,
    ), moves)


def moved(found: PhaseStudy, start: NDArray[np.int64]) -> NDArray[np.int64]:
    """The phases after the work order."""
    phase, place = start.copy(), {one.point: index for index, one in enumerate(found.consumers)}
    for one in found.order:
        phase[place[one.point]] = NAMES.index(one.to)
    return phase


def _speed(repeats: int, compared: int, long: int) -> list[Figure]:
    walls, busy, left, gaps, waits = [], [], [], [], []
    pool = ProcessPool()
    for number in range(repeats):
        profiles, start = instance(number)
        question = asked(profiles, start, MOVES)
        processor = time.process_time()
        found, wall = _timed(question)
        busy.append(time.process_time() - processor)
        walls.append(wall)
        if number < IN_PROCESSES:
            waits.append(_timed(question, pool.each)[1])
        table, phase = by_mean(profiles), moved(found, start)
        left.append(table.score(phase) / table.score(start))
        if number < compared:
            gaps.append(table.score(phase) / _best_known(table, profiles, start, phase, long) - 1)
    of = f"phase advice, a whole study of {CONSUMERS} consumers × {24 * DAYS} h, up to {MOVES} moves"
    begun = [Figure("phase_advice_wait_s", f"{of}, in processes begun for it, median of {len(waits)}",
                    float(np.median(waits)), "s")] if waits else []
    return [
        *begun,
        Figure("phase_advice_s", f"{of}, by the clock, median of {repeats}", float(np.median(walls)), "s"),
        Figure("phase_advice_p95_s", f"{of}, 95th percentile", float(np.percentile(walls, 95)), "s"),
        Figure("phase_advice_cpu_s", f"{of}, processor time, median", float(np.median(busy)), "s"),
        Figure("phase_advice_gap", f"{of}, above the best of {long} searches four times as long, median of {len(gaps)}",
               100 * float(np.median(gaps)), "%"),
        Figure("phase_advice_gap_worst", f"{of}, the same, worst of {len(gaps)}", 100 * max(gaps), "%"),
        Figure("phase_advice_left", f"{of}, mean neutral current left, median", 100 * float(np.median(left)), "%"),
    ]


def _timed(question: Asked, each: Each = map) -> tuple[PhaseStudy, float]:
    begin = time.perf_counter()
    found = study(question, each)
    return found, time.perf_counter() - begin


def _best_known(
    table: Absolute, profiles: NDArray[np.float64], start: NDArray[np.int64], phase: NDArray[np.int64], long: int
) -> float:
    """Of searches that begin at today's phases and at random ones within the cap."""
    best, squares = table.score(phase), by_neutral(profiles)
    for seed in range(long):
        rng, begin = np.random.default_rng(seed), start.copy()
        if seed % 2:
            some = rng.choice(len(start), MOVES, replace=False)
            begin[some] = rng.integers(3, size=MOVES)
        near = search(squares, start, MOVES, begin=begin, kicks=4 * KICKS, seed=100 + seed)
        best = min(best, table.score(least_sum(table, start, MOVES, begin=near, kicks=4 * KICKS_OF_MEAN, seed=100 + seed)))
    return best


def _saved(id_: str, of: Feeder) -> list[Figure]:
    """Advised from hourly means, checked with the minutes they are made of."""
    network = of.network
    start = network.point_phases.argmax(axis=1)
    if id_ != "phase_advice":               # the generated feeder is even; nobody would ask
        start = np.random.default_rng(5).choice(3, size=len(start), p=SHARES)
        network = network.on_phases(np.eye(3, dtype=bool)[start])
    hourly = of.used.reshape(-1, 60, of.used.shape[1]).mean(axis=1).T
    check = by_power_flow(network, of.used, np.arange(len(start)), 1 / 60)
    today = check(start)
    figures = []
    for moves in SAVING:
        found = check(moved(study(asked(hourly, start, moves, network)), start))
        loss, neutral = (100 * (1 - after / before) for after, before in
                         ((found.loss, today.loss), (found.neutral, today.neutral)))
        name = "" if moves == SAVING[-1] else f"_{moves}"
        what = f"{of.name}, the work order of a study with {moves} moves, power flow at one minute"
        figures += [
            Figure(f"{id_}_loss_cut{name}", f"{what}: line loss lower by", loss, "%"),
            Figure(f"{id_}_neutral_cut{name}", f"{what}: mean neutral current lower by", neutral, "%"),
        ]
    return figures
