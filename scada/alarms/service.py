"""The alarm book: limits, lost communication and device events become alarms that survive a restart."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.alarms.acknowledging import obstacles
from scada.alarms.book import Book, Condition
from scada.alarms.device_events import taken
from scada.alarms.out_of_service import has_left, over
from scada.alarms.places import area_of
from scada.alarms.show import Display
from scada.alarms.states import HOLDS
from scada.alarms.store import AlarmStore
from scada.alarms.watch import Watch
from scada.alarms.writer import Writer
from scada.clock import SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected, StartError, StorageError
from scada.events import DeviceEvent
from scada.ports import Alarm, Audit, EventSource, Health, Registry, TagSink, TagSource, Unsubscribe
from scada.site import Directory
from scada.tags import Device

EVERY_S: Final = 1.0                    # real time between two looks at all tags
MOST_DELIVERIES: Final = 1_000          # deliveries of events that may wait for the disk
FILE: Final = "alarms.sqlite"


class AlarmService:
    """Implements `ports.AlarmBook` and `ports.HealthSource`."""

    log = Logger()

    def __init__(
        self,
        bus: TagSource,
        events: EventSource,
        registry: Registry,
        audit: Audit,
        sink: TagSink,
        clock: SiteClock,
        reactor: Any,
        data_dir: Path,
        pool: ThreadPool,
    ) -> None:
        self._bus, self._events, self._registry, self._audit = bus, events, registry, audit
        self._clock, self._reactor, self._path, self._pool = clock, reactor, data_dir / FILE, pool
        self._book = Book()
        self._watch = Watch(bus, clock, self._area)
        self._display = Display(sink, clock, reactor)
        self._listeners: list[Callable[[Alarm], None]] = []
        self._unsubscribe: list[Unsubscribe] = []
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor
        self._one_delivery = DeferredLock()
        self._deliveries = 0
        self._store: AlarmStore | None = None
        self._writer: Writer | None = None
        self._blind = False
        self._failures = 0
        self._settled: Directory | None = None              # the registry whose modules out of service hold nothing

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            self._store = await deferToThreadPool(self._reactor, self._pool, AlarmStore, self._path)
            alarms, last = await deferToThreadPool(self._reactor, self._pool, self._store.load)
        except StorageError as error:
            raise StartError("alarms", str(error), f"check {self._path} and the space on its disk") from None
        self._book = Book(alarms, last)
        self._writer = Writer(self._store, self._reactor, self._pool, self._write_failed)
        self._display.start(self._book)
        self._unsubscribe = [
            self._bus.on_devices(self._device_added),
            self._events.on_events(self._delivered),
        ]
        self._ticker.start(EVERY_S, now=False)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._ticker.running:
            self._ticker.stop()
        self._display.stop()
        if self._writer is not None:
            await self._writer.flush()
        if self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._store.close)

    # ------------------------------------------------------------------ AlarmBook, HealthSource
    def active(self) -> tuple[Alarm, ...]:
        return tuple(alarm for alarm in self._book.active() if not alarm.suppressed_by)

    def suppressed(self) -> tuple[Alarm, ...]:
        return tuple(alarm for alarm in self._book.active() if alarm.suppressed_by)

    def history(self, before: int | None = None, size: int = 100) -> tuple[Alarm, ...]:
        if self._store is None:
            return ()
        return self._store.history(before, size)

    def changes_after(self, changed: int, size: int) -> tuple[Alarm, ...]:
        if self._store is None or not self._unsubscribe:    # stopped: whoever copies goes on at the next start
            return ()
        return self._store.after(changed, size)

    def subscribe(self, listener: Callable[[Alarm], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> "Deferred[Alarm]":
        return Deferred.fromCoroutine(self._acknowledge(actor, alarm_id, comment))

    async def _acknowledge(self, actor: Actor, alarm_id: str, comment: str) -> Alarm:
        alarm = self._book.get(alarm_id)
        if reasons := obstacles(actor, alarm_id, alarm):
            raise CommandRejected(reasons)
        await self._audit.append(actor, "alarm.acknowledge", alarm_id, comment=comment)
        now = self._clock.now()
        changed = self._book.acknowledged(alarm_id, actor.name, comment, now)
        if changed is None:                                # somebody was faster, or it went home meanwhile
            raise CommandRejected([f"{alarm_id} has been acknowledged meanwhile"])
        changes = [changed]
        if self._watch.has_no_source(changed) and (gone := self._book.cleared(alarm_id, now)) is not None:
            changes.append(gone)                           # nobody is left who could report its end
        await self._record(changes)
        return changes[-1]

    def health(self) -> Iterable[Health]:
        writer = self._writer
        failing = writer is not None and writer.failing
        active = self._book.active()
        text = f"{len(active)} alarms are not normal"
        if failing:
            text = "alarms cannot be stored; they are kept in memory and tried again"
        elif self._book.full:
            text = f"{len(active)} alarms are not normal; no more are taken ({self._book.refused} raises refused so far)"
        elif self._blind:
            text = "the last look at the tags failed; see the log"
        yield Health("alarms", not (failing or self._book.full or self._blind), text, {
            "not_normal": len(active),
            "refused": self._book.refused,
            "unwritten": 0 if writer is None else writer.waiting,
            "dropped": 0 if writer is None else writer.dropped,
            "failures": self._failures,
        })

    # ------------------------------------------------------------------ AlarmGroups
    def hold(self, source: str, kind: str, area: str, at: int, devices: Iterable[str], detail: str = "") -> None:
        condition, now = Condition(source, kind, area=area, detail=detail), self._clock.now()
        raised = self._book.raised(condition, now, at)
        self._changed([*([raised] if raised else []), *self._book.cover(condition.id, devices, now)])

    def let_go(self, source: str, kind: str) -> None:
        alarm_id, now = f"{source}:{kind}", self._clock.now()
        cleared = self._book.cleared(alarm_id, now)
        self._changed([*([cleared] if cleared else []), *self._book.cover(alarm_id, (), now)])

    def held(self, prefix: str) -> tuple[tuple[str, str], ...]:
        holding = (one for one in self._book.active() if one.state in HOLDS)
        return tuple((one.source, one.kind) for one in holding if one.kind.startswith(prefix))

    def _changed(self, changes: Sequence[Alarm]) -> None:
        if changes:
            self._record(changes).addErrback(lambda failure: None)     # the writer has said so, and tries again

    # ------------------------------------------------------------------ limits and communication, every second
    def _device_added(self, device: Device) -> None:
        self._watch.devices_changed()

    def _tick(self) -> None:
        try:
            self._look()
            self._blind = False
        except Exception:                                  # one bad look must not end all that follow
            self._blind = True
            self._failures += 1
            self.log.failure("a look at all tags for alarms failed")

    def _look(self) -> None:
        self._changed(self._watch.look(self._book))
        directory = self._registry.directory
        if directory is not self._settled:
            now, gone = self._clock.now(), over(self._book.active(), directory)
            self._changed([one for id_ in gone if (one := self._book.cleared(id_, now)) is not None])
            self._settled = directory

    # ------------------------------------------------------------------ device events
    def _delivered(self, events: Sequence[DeviceEvent]) -> "Deferred[None]":
        """Fires when the events are durable; fails when they are not, so that the field keeps them."""
        return Deferred.fromCoroutine(self._take(tuple(events)))

    async def _take(self, events: tuple[DeviceEvent, ...]) -> None:
        if self._deliveries >= MOST_DELIVERIES:
            raise StorageError(f"{self._deliveries} deliveries of events wait for the disk already")
        self._deliveries += 1
        await self._one_delivery.acquire()                 # a delivery must see what the one before it stored
        try:
            assert self._store is not None, "events are only heard between start and stop"
            unseen = await deferToThreadPool(self._reactor, self._pool, self._store.unseen, events)
            now = self._clock.now()
            changes = [
                alarm
                for event, new in zip(events, unseen, strict=True) if new
                for alarm in taken(self._book, event, self._area(event.device), now)
            ]
            if any(event.raised and has_left(self._registry.directory, event.device) for event in events):
                self._settled = None                        # it was late, and is over with the next look
            await self._record(changes, events)
        finally:
            self._deliveries -= 1
            self._one_delivery.release()

    # ------------------------------------------------------------------ what every change goes through
    def _record(self, changes: Sequence[Alarm], events: Sequence[DeviceEvent] = ()) -> "Deferred[None]":
        """Store the changes, and show them at once; fires when they are durable."""
        assert self._writer is not None, "changes happen only between start and stop"
        written = self._writer.write(changes, events)
        for alarm in changes:
            self._display.changed(alarm)
            for listener in tuple(self._listeners):
                try:
                    listener(alarm)
                except Exception:                          # one listener's bug must not keep alarms from the others
                    self.log.failure("a listener of alarms failed")
        return written

    def _area(self, device: str) -> str:
        return area_of(device, self._bus.devices(), self._registry.directory)

    def _write_failed(self, failure: Failure) -> None:
        self.log.error("{reason}", reason=failure.getErrorMessage())
