"""How long the suspects of a whole city take: 20,000 groups of 50 over 20 days, in two processes."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import batches, stacked
from scada.balancing.suspects.examine import examine
from scada.bench import Figure
from scada.bench.balance.generated import generator

CITY: Final = 20_000
PROCESSES: Final = 2
POOL: Final = 40                        # groups that are made; the city is of them, with members in another order
DAYS: Final = 20
CHUNK: Final = 500                      # groups handed to a process at once
WITH_THIEVES: Final = 0.15              # of the groups: three of any kind, or a tap
SEED: Final = 900_000

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
_pool: list[Pair] = []


def measure(groups: int = 2000) -> list[Figure]:
    """`groups` of them; a chunk costs the same wherever it is, so the city is the sum."""
    sizes = [min(CHUNK, groups - start) for start in range(0, groups, CHUNK)]
    context = multiprocessing.get_context("spawn")         # no lock of this process is inherited
    ready = context.Barrier(PROCESSES)                     # what each prepares is not measured
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_begin, initargs=(ready,)) as pool:
        list(pool.map(_nothing, range(PROCESSES * 4)))
        began = time.perf_counter()
        said = list(pool.map(_chunk, range(len(sizes)), sizes))
        took = time.perf_counter() - began
    cpu, suspects = sum(one[0] for one in said), sum(one[1] for one in said)
    of = f"{groups} of {CITY} groups of 50, {DAYS} days, {PROCESSES} processes"
    return [
        Figure("city_suspects_s", f"suspects of a city, from {of}", took * CITY / groups, "s"),
        Figure("city_suspects_cpu_s", f"processor time of it, from {of}", cpu * CITY / groups, "s"),
        Figure("city_suspects_rss_mb", "resident memory of a process at most", max(one[2] for one in said), "MB"),
        Figure("city_suspects_named", "members named a group", suspects / groups, ""),
    ]


def _begin(ready: threading.Barrier) -> None:
    """Some groups, made once in each process."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    feeder, theft = generator("feeders").feeder, generator("thefts").Theft
    for number in range(POOL):
        rng = np.random.default_rng(SEED + number)
        bad = number < WITH_THIEVES * POOL
        kinds = tuple(theft(int(kind)) for kind in rng.integers(1, 7, 3)) if bad and number % 3 else ()
        made = feeder(rng, 50, DAYS, kinds, since_day=DAYS // 2, taps=1 if bad and number % 3 == 0 else 0)
        _pool.append((made.feed, made.members))
    ready.wait(300)


def _nothing(_: int) -> None:
    time.sleep(0.05)


def _chunk(number: int, size: int) -> tuple[float, int, float]:
    """Processor time, members named, memory."""
    began = time.process_time()
    rng = np.random.default_rng(SEED + 10_000 + number)
    pairs = list(_city(rng, size))
    suspects = 0
    for rows in batches([len(members) for _, members in pairs], DAYS * 24, budget=500_000):
        some = [pairs[row] for row in rows]
        report = examine(stacked([feed for feed, _ in some], [members for _, members in some]))
        suspects += int(report.said.suspect.sum())
    return time.process_time() - began, suspects, _peak_mb()


def _city(rng: np.random.Generator, size: int) -> Iterator[Pair]:
    for one in rng.integers(0, POOL, size):
        feed, members = _pool[one]
        more = rng.uniform(0.8, 1.25)
        yield feed * more, members[rng.permutation(len(members))] * more


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
