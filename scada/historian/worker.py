"""One thread for what blocks and is not urgent: live log, results, opening and closing of files, in order."""

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Worker:
    """Runs functions one after the other in its own thread; the answer comes in the reactor's."""

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=1, maxthreads=1, name=name)
        self.running = False

    def start(self) -> None:
        self._pool.start()
        self.running = True

    def call(self, function: Callable[..., T], *arguments: Any) -> "Deferred[T]":
        answer: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return answer

    def stop(self) -> None:
        """Give the thread back; call it when the last answer has come, or it waits for it."""
        if self.running:
            self.running = False
            self._pool.stop()
