"""What every shell does with a delayed call it no longer wants, and one timer of the loop for many time-outs."""

import math
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

GRAIN_S: Final = 0.25                   # a time-out may be so much late
_log = Logger()


def cancel(call: Any) -> None:
    """Cancel a delayed call that may be none, or may have happened."""
    if call is not None and call.active():
        call.cancel()


class Deadline:
    """One time-out; what `Deadlines.later` returns."""

    __slots__ = ("_all", "due", "number", "tell")

    def __init__(self, all_: "Deadlines", due: float, number: int, tell: Callable[[], object]) -> None:
        self._all, self.due, self.number, self.tell = all_, due, number, tell

    def active(self) -> bool:
        return self._all.holds(self)

    def cancel(self) -> None:
        self._all.drop(self)


class Deadlines:
    """
    Time-outs of which nearly all are called off: thousands of requests, one timer of the loop.

    The loop keeps its timers in order, which costs more with each of them; here they lie in boxes of `GRAIN_S`.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._boxes: dict[int, dict[Deadline, None]] = {}
        self._timer: Any = None
        self._armed = 0                                     # the box the timer rings for

    def later(self, wait: float, tell: Callable[[], object]) -> Deadline:
        """`tell` is called in `wait` s, up to `GRAIN_S` late."""
        due = self._reactor.seconds() + wait
        one = Deadline(self, due, math.ceil(due / GRAIN_S), tell)
        self._boxes.setdefault(one.number, {})[one] = None
        if self._timer is None or one.number < self._armed:
            self._arm(one.number)
        return one

    def holds(self, one: Deadline) -> bool:
        return one in self._boxes.get(one.number, ())

    def drop(self, one: Deadline) -> None:
        """It is not told; nothing happens where it was told already."""
        box = self._boxes.get(one.number, {})
        box.pop(one, None)
        if not box and self._boxes.pop(one.number, None) is not None and not self._boxes:
            cancel(self._timer)
            self._timer = None

    def _arm(self, number: int) -> None:
        cancel(self._timer)
        self._armed = number
        self._timer = self._reactor.callLater(max(0.0, number * GRAIN_S - self._reactor.seconds()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        for number in sorted(one for one in self._boxes if one * GRAIN_S <= now):
            box = self._boxes.get(number, {})               # the last in it may have been called off by another box's
            for one in tuple(box):
                if one not in box:                          # called off by one before it
                    continue
                del box[one]
                try:
                    one.tell()
                except Exception:                           # the others are told all the same
                    _log.failure("a time-out could not be told")
            if not box:                                     # else something is due again: in the next turn
                self._boxes.pop(number, None)
        if self._boxes and self._timer is None:
            self._arm(min(self._boxes))
