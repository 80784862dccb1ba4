"""Where heavy arithmetic runs: `ports.Compute` in a pool of processes, or in the process that asks."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Final, TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")
MOST_PROCESSES: Final = 4


class InThisProcess:
    """One job after the other, where it was asked for."""

    def each(self, function: Callable[[Job], Answer], jobs: Iterable[Job]) -> Iterator[Answer]:
        return map(function, jobs)


class ProcessPool:
    """Processes that are begun with the first job and end with the last; one job more than they are is held ready."""

    def __init__(self, processes: int = 0, nice: int = 0) -> None:
        """As many as there are processors, by default; `nice` of them lets whoever answers people go first."""
        self._processes = processes or max(1, min(len(os.sched_getaffinity(0)), MOST_PROCESSES))
        self._nice = nice

    def each(self, function: Callable[[Job], Answer], jobs: Iterable[Job]) -> Iterator[Answer]:
        context = multiprocessing.get_context("spawn")      # no lock, no file and no thread of this process is inherited
        with ProcessPoolExecutor(self._processes, mp_context=context, initializer=os.nice, initargs=(self._nice,)) as pool:
            running: set[Future[Answer]] = set()
            try:
                for job in jobs:
                    running.add(pool.submit(function, job))
                    if len(running) > self._processes:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        yield from (one.result() for one in done)
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in done)
            finally:                                        # whoever asked has gone: what runs is waited for
                for one in running:
                    one.cancel()
