"""How much a counter grew within the last hour, so that what happened once is no alarm for ever. Pure."""

from collections import deque
from typing import Final

SPAN_S: Final = 3600.0


class Recent:
    """Of one counter that begins with 0."""

    def __init__(self, span_s: float = SPAN_S) -> None:
        self._span_s = span_s
        self._grown: deque[tuple[float, int]] = deque()
        self._total = 0

    def of(self, now: float, total: int) -> int:
        """Told of a counter's value at a monotonic time [s]; how much of it is recent."""
        if total != self._total:
            self._grown.append((now, total - self._total))
            self._total = total
        while self._grown and now - self._grown[0][0] > self._span_s:
            self._grown.popleft()
        return sum(grown for _, grown in self._grown)
