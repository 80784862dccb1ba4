"""The way from a page's thread into the reactor and back, with a time-out and an end.

Twisted's `blockingCallFromThread` waits for ever: a reactor that stops while a page waits dead-locks the process.
Here a wait ends after `timeout` seconds, and `close` ends all of them.
"""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from scada.errors import ScadaError

TIMEOUT_S: Final = 15.0


class Unavailable(ScadaError):
    """The core did not answer a page in time, or is going down: the outcome is unknown, so look before repeating."""


class ReactorBridge:
    """`bridge(function, *args)` from any thread but the reactor's: calls there, waits here."""

    def __init__(self, reactor: Any, timeout: float = TIMEOUT_S) -> None:
        self._reactor, self._timeout = reactor, timeout
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._closed = False

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise Unavailable("the server is going down")
            self._waiting.add(future)
        try:
            self._reactor.callFromThread(self._run, future, function, args, kwargs)
            return future.result(self._timeout)
        except FutureTimeout:
            raise Unavailable(f"no answer within {self._timeout:g} s; the outcome is not known") from None
        except CancelledError:
            raise Unavailable("the server is going down; the outcome is not known") from None
        finally:
            with self._lock:
                self._waiting.discard(future)

    def close(self) -> None:
        """End every wait now and refuse new ones. Thread-safe."""
        with self._lock:
            self._closed = True
            waiting = tuple(self._waiting)
        for future in waiting:
            future.cancel()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @staticmethod
    def _run(future: "Future[Any]", function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if future.cancelled():
            return

        def done(result: Any) -> None:
            if future.cancelled():
                return
            if isinstance(result, Failure):
                future.set_exception(result.value)
            else:
                future.set_result(result)

        maybeDeferred(function, *args, **kwargs).addBoth(done)
