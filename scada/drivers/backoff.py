"""How long to wait before trying a silent peer again: longer each time, and never all peers at the same moment."""

import random
from collections.abc import Callable


class Backoff:
    """Exponential back-off with jitter: each delay is drawn from the upper half of a span that doubles up to `most`."""

    def __init__(self, first: float, most: float, draw: Callable[[], float] = random.random) -> None:
        """`first` and `most` in real seconds; `draw` gives numbers in [0, 1)."""
        self._first, self._most, self._draw = first, max(first, most), draw
        self._span = first

    def next(self) -> float:
        """The delay before the next attempt. [s]"""
        span, self._span = self._span, min(self._most, self._span * 2)
        return span * (0.5 + 0.5 * self._draw())

    def reset(self) -> None:
        """The peer answered: start from `first` again."""
        self._span = self._first
