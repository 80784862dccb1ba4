"""A reactor for tests that really uses threads: time stands still, calls from threads run when the test waits."""

from queue import Queue
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class ThreadedClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self._calls: Queue[tuple[Any, ...]] = Queue()

    def callFromThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        self._calls.put((call, args, kwargs))

    def wait(self, deferred: "Deferred[Any]") -> Any:
        """Run what threads ask for until the Deferred fires; its result, or its failure raised."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        while not results:
            call, args, kwargs = self._calls.get(timeout=30)
            call(*args, **kwargs)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]
