"""How often strangers were refused of late: bounded, whatever knocks."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final

from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.outputs import Closed

WINDOW_S: Final = 60.0                  # real time
ALLOWED: Final = 5                      # refusals per link id and window that are answered and logged
REMEMBERED: Final = 4096                # link ids in the book
SHOWN_S: Final = 3600.0                 # real time for which a refusal is spoken of
SLICE_S: Final = 60.0                   # refusals are counted by the minute: bounded, however many come
WORDS: Final = {
    Reason.VERSION: "another protocol version", Reason.UNKNOWN_LINK: "unknown link", Reason.BAD_KEY: "wrong key",
    Reason.TIMEOUT: "no proof in time", Reason.PROTOCOL: "not DMLP", Reason.FULL: "too many connections",
}


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
        self._slices: deque[tuple[float, int]] = deque(maxlen=int(SHOWN_S / SLICE_S) + 1)     # begin, refusals
        self._last: Closed | None = None

    def allowed(self, link_id: int | None) -> bool:
        """Whether the next refusal of this id may still be answered and logged."""
        since, count = self._recent.get(link_id, (self._seconds(), 0))
        return count < ALLOWED or self._seconds() - since >= WINDOW_S

    def enter(self, closed: Closed) -> bool:
        """Count one refusal; returns whether to log it."""
        self.counts[closed.reason.name.lower()] += 1
        allowed, now = self.allowed(closed.link_id), self._seconds()
        if self._slices and now - self._slices[-1][0] < SLICE_S:
            self._slices[-1] = (self._slices[-1][0], self._slices[-1][1] + 1)
        else:
            self._slices.append((now, 1))
        self._last = closed
        since, count = self._recent.get(closed.link_id, (now, 0))
        self._recent[closed.link_id] = (now, 1) if now - since >= WINDOW_S else (since, count + 1)
        self._recent.move_to_end(closed.link_id)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return allowed

    def sentence(self) -> str:
        """What a person should know of the last hour; "" where nobody was refused."""
        recent = sum(count for begin, count in self._slices if self._seconds() - begin < SHOWN_S)
        last = self._last
        if not recent or last is None:
            return ""
        why = WORDS.get(last.reason, last.reason.name.lower())
        if last.link_id is None:
            return f"{recent} refusals of strangers in the last hour; the last without a link id, {why}"
        return f"{recent} refusals of strangers in the last hour; the last with link id {last.link_id:08x}, {why}"
