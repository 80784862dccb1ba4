"""Slows down the guessing of passwords: so many failures per key and window, then a wait."""

import threading
from collections import OrderedDict
from typing import Final

from scada.clock import SiteClock

MAX_KEYS: Final = 4096


class FailureLimiter:
    """Counts failures per key (a user name, an address); thread-safe, bounded, forgets after the window."""

    def __init__(self, clock: SiteClock, failures: int, window_s: float) -> None:
        self._clock, self._failures, self._window = clock, failures, window_s
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, list[float]] = OrderedDict()
        self.refused = 0

    def wait_s(self, key: str) -> float:
        """Seconds until `key` may try again; 0 = now."""
        now = self._clock.monotonic()
        with self._lock:
            recent = [at for at in self._seen.get(key, ()) if now - at < self._window]
            if len(recent) < self._failures:
                return 0.0
            self.refused += 1
            return self._window - (now - recent[-self._failures])

    def failed(self, key: str) -> None:
        now = self._clock.monotonic()
        with self._lock:
            recent = [at for at in self._seen.pop(key, ()) if now - at < self._window]
            self._seen[key] = [*recent, now][-self._failures :]
            while len(self._seen) > MAX_KEYS:
                self._seen.popitem(last=False)

    def succeeded(self, key: str) -> None:
        with self._lock:
            self._seen.pop(key, None)
