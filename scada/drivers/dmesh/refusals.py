"""How often strangers were refused of late: bounded, whatever knocks."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from scada.drivers.dmesh.outputs import Closed

WINDOW_S: Final = 60.0                  # real time
ALLOWED: Final = 5                      # refusals per link id and window that are answered and logged
REMEMBERED: Final = 4096                # link ids in the book


class RefusalBook:
    """
    How often each link id was refused of late.

    Beyond the limit a refusal is only counted: no CLOSE, no log line. Attempts themselves are not limited, because
    then anybody could lock a concentrator out by using its id.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._recent: OrderedDict[int | None, tuple[float, int]] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def allowed(self, link_id: int | None) -> bool:
        """Whether the next refusal of this id may still be answered and logged."""
        since, count = self._recent.get(link_id, (self._seconds(), 0))
        return count < ALLOWED or self._seconds() - since >= WINDOW_S

    def enter(self, closed: Closed) -> bool:
        """Count one refusal; returns whether to log it."""
        self.counts[closed.reason.name.lower()] += 1
        allowed, now = self.allowed(closed.link_id), self._seconds()
        since, count = self._recent.get(closed.link_id, (now, 0))
        self._recent[closed.link_id] = (now, 1) if now - since >= WINDOW_S else (since, count + 1)
        self._recent.move_to_end(closed.link_id)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return allowed
