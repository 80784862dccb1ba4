"""The parts of a running process: started in the order of their needs, stopped in the reverse, whatever happens."""

from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.errors import StartError
from scada.ports import Health, HealthSource

log = Logger()


class Part(HealthSource, Protocol):
    """What every service is to the process."""

    def start(self) -> "Deferred[None]":
        """Fails with `StartError`."""

    def stop(self) -> "Deferred[None]":
        """Works for a part that could not start, too."""


P = TypeVar("P", bound=Part)


class Parts:
    def __init__(self) -> None:
        self._parts: list[Part] = []            # in the order they were started
        self._pools: list[ThreadPool] = []
        self.stopping = ""                      # the part that is being stopped now; "" while the process runs

    def pool(self, name: str, most: int) -> ThreadPool:
        """A pool of worker threads, stopped after the last part."""
        pool = ThreadPool(1, most, name)
        pool.start()
        self._pools.append(pool)
        return pool

    async def run(self, part: P) -> P:
        """Start one part; whatever happens, `stop` will stop it."""
        if self.stopping:                       # Ctrl-C while starting: what is not there yet need not come
            raise StartError(type(part).__name__, "told to stop while starting")
        self._parts.append(part)
        await part.start()
        return part

    def health(self) -> list[Health]:
        return [one for part in self._parts for one in part.health()]

    async def stop(self) -> None:
        """Never fails."""
        self.stopping = "server"
        for part in reversed(self._parts):
            self.stopping = type(part).__name__
            try:
                await part.stop()
            except Exception:                   # the next part must be stopped all the same
                log.failure("stopping {part} failed", part=type(part).__name__)
        self.stopping = "worker threads"
        for pool in self._pools:
            pool.stop()
