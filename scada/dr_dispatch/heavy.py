"""Work of the size of a command: at once where it is small, in a thread where it would hold the loop."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

LARGE: Final = 1000                     # members
T = TypeVar("T")


class Heavy:
    def __init__(self, reactor: Any, pool: ThreadPool) -> None:
        self._reactor, self._pool = reactor, pool

    async def run(self, members: int, job: Callable[[], T]) -> T:
        """What a job that looks at so many members returns; it may touch nothing that changes."""
        if members <= LARGE:
            return job()
        found: T = await deferToThreadPool(self._reactor, self._pool, job)
        return found
