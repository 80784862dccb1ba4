"""One browser's live stream: what it wants to hear, what it has not heard yet, and a bound on both.

Of each tag only the latest value counts, so a slow browser holds a set of device names, not a queue.
Alarms are told as a summary of now and commands as their latest state: nothing piles up, nothing final is lost.
"""

import json
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from hmi.sessions import Session

MAX_TAGS: Final = 1000                  # per stream; all tabs of one browser share it
MAX_COMMANDS: Final = 16
MAX_READS: Final = 64
MAX_SUPPLIES: Final = 64


@implementer(IPushProducer)
@attrs.define(eq=False)
class Stream:
    """A `/live` response in progress (reactor thread only)."""

    id: str
    request: Any
    session: Session
    hears_site: bool                    # alarms and commands are for staff
    only: frozenset[str] | None = None  # the quantities it may hear of; None = every tag
    wants: dict[str, tuple[str, ...]] = attrs.field(factory=dict)      # device -> tags
    dirty: set[str] = attrs.field(factory=set)                         # devices with news
    commands: dict[str, Any] = attrs.field(factory=dict)               # command id -> latest status
    reads: dict[str, Any] = attrs.field(factory=dict)                  # id of a read -> its latest state
    supplies: dict[str, Any] = attrs.field(factory=dict)               # point -> its supply as it is now
    alarms_changed: bool = False
    paused_since: float | None = None
    sequence: int = 0
    merged: int = 0                     # news that replaced news not yet told
    closed: bool = False

    def want(self, tags: "list[str] | tuple[str, ...]") -> None:
        """Hear of these tags from now on, beginning with their present value."""
        self.wants = {}
        for tag in dict.fromkeys(tags[:MAX_TAGS]):
            device, _, point = tag.partition("/")
            if self.only is None or point in self.only:
                self.wants[device] = (*self.wants.get(device, ()), tag)
        self.dirty = set(self.wants)

    def news(self, device: str) -> None:
        if device in self.wants:
            self.merged += device in self.dirty
            self.dirty.add(device)

    def command(self, status: Any) -> None:
        self.merged += self.commands.pop(status.id, None) is not None
        self.commands[status.id] = status
        while len(self.commands) > MAX_COMMANDS:
            self.commands.pop(next(iter(self.commands)))

    def read(self, task: Any) -> None:
        self.merged += self.reads.pop(task.id, None) is not None
        self.reads[task.id] = task
        while len(self.reads) > MAX_READS:
            self.reads.pop(next(iter(self.reads)))

    @property
    def has_news(self) -> bool:
        return bool(self.dirty or self.commands or self.reads or self.supplies or self.alarms_changed)

    def supply(self, status: Any) -> None:
        self.merged += self.supplies.pop(status.point, None) is not None
        self.supplies[status.point] = status
        while len(self.supplies) > MAX_SUPPLIES:
            self.supplies.pop(next(iter(self.supplies)))

    def tell(self, event: str, data: Any) -> None:
        """Write one event now; callers look at `paused_since` first."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        self.request.write(f"event: {event}\ndata: {text}\n\n".encode())

    # ---------------------------------------------------------- IPushProducer
    def pauseProducing(self) -> None:
        if self.paused_since is None:
            self.paused_since = -1.0                            # the hub puts the time in at its next beat

    def resumeProducing(self) -> None:
        self.paused_since = None

    def stopProducing(self) -> None:
        self.closed = True
