"""Where events of history come from: devices, whose events wait for this disk too, and the journal of alarms.

A device's events are durable here before the driver moves its cursor. Changes of alarms are durable in their own journal;
from there they are copied, in their order, behind a position that is written with them: what is copied twice is kept once.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.debounce import Debounced
from scada.events import DeviceEvent, KeptEvent, Stream, kind_of, source_of
from scada.historian.events import EventWriter
from scada.ports import Alarm, AlarmBook, EventSource, Unsubscribe

SOON_S: Final = 1.0                     # real time from a change of an alarm to its copy
AT_ONCE: Final = 1_000                  # changes in one transaction
Severity = Callable[[str], str]         # of a kind
_log = Logger()


class EventFeed:
    """Follows both from `follow` to `stop` (reactor thread)."""

    def __init__(self, events: EventWriter, reactor: Any) -> None:
        self._events = events
        self._alarms: AlarmBook | None = None
        self._severity: Severity = str
        self._heard = 0                             # the last change of an alarm that was told [ns]
        self._copying = Debounced(reactor, SOON_S, lambda: Deferred.fromCoroutine(self._copy()), self._said)
        self._unsubscribe: list[Unsubscribe] = []

    def follow(self, source: EventSource, alarms: AlarmBook, severity: Severity) -> None:
        self._alarms, self._severity = alarms, severity
        self._unsubscribe = [source.on_events(self._delivered), alarms.subscribe(self._changed)]
        self._copying.poke()                        # what changed while nobody copied

    async def stop(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()
        await self._copying.stop()

    # ------------------------------------------------------------------ private
    def _delivered(self, events: Sequence[DeviceEvent]) -> "Deferred[None]":
        return self._events.put([of_device(event, self._severity) for event in events])

    def _changed(self, alarm: Alarm) -> None:
        self._heard = max(self._heard, alarm.changed)
        self._copying.poke()

    async def _copy(self) -> None:
        assert self._alarms is not None
        while changes := await self._events.call(self._alarms.changes_after, self._events.position, AT_ONCE):
            await self._events.put([of_alarm(change) for change in changes], changes[-1].changed)
        if self._unsubscribe and self._events.position < self._heard:
            self._copying.poke()                    # told, and not in the journal yet: its disk is slow, or full

    def _said(self, failure: Any) -> None:
        _log.warn("changes of alarms are not copied into the history: {why}", why=failure.getErrorMessage())


def of_device(event: DeviceEvent, severity: Severity) -> KeptEvent:
    """What a device said, as it is kept."""
    kind = kind_of(event.code)
    return KeptEvent(
        Stream.DEVICE, source_of(event), kind, "raised" if event.raised else "cleared", event.sequence, event.at,
        event.time_good, event.received, severity(kind), text=event.detail,
    )


def of_alarm(change: Alarm) -> KeptEvent:
    """What became of an alarm, as it is kept."""
    under = f"suppressed by {change.suppressed_by}" if change.suppressed_by else ""
    return KeptEvent(
        Stream.ALARM, change.source, change.kind, str(change.state), change.changed, change.changed, True, change.changed,
        str(change.priority), _number(change.value), _number(change.limit), change.unit,
        "; ".join(filter(None, (change.detail, change.comment, under))), change.acknowledged_by,
    )


def _number(value: float) -> float | None:
    return value if value - value == 0.0 else None
