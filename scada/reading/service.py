"""Reading on demand as a service: the port `Reading`. Persisted before it is sent, asked again only under its number.

What may have been sent is never sent as something new: after a restart, a broken link or a lost answer the concentrator
gets the same READ_NOW under the same read id, and one that has heard it starts nothing and repeats what it has.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import attrs
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import NS, SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected, LinkError, StartError, StorageError
from scada.ports import Audit, FieldReader, Health, Registry, TagSink, Unsubscribe
from scada.reading import course, queue, show, wish
from scada.reading.book import MOST_OPEN, Book
from scada.reading.machine import UNDER_WAY, Action, Happening
from scada.reads import OVER, ReadAnswer, ReadOrder, ReadReport, ReadRequest, ReadShare, ReadState, ReadTask
from scada.timers import cancel

TICK_S: Final = 1.0                     # real time
ESTIMATE_TICKS: Final = 5               # ticks between two looks at all expected times
ASK_AGAIN_S: Final = 60.0               # real time after which an order without an answer is asked again
CHANGED_NS: Final = 5 * NS              # an expected time that moved less is not worth telling
LONGEST_ASKED: Final = 300              # characters of what was asked for that are kept
TAKEN: Final = frozenset({"OK", "ACCEPTED", "DUPLICATE"})
Change = Callable[[ReadShare, int], tuple[ReadShare, tuple[Action, ...]]]


class ReadingService:
    """Implements `ports.Reading` and `ports.HealthSource`."""

    log = Logger()

    def __init__(
        self, registry: Registry, reader: FieldReader, audit: Audit, sink: TagSink, clock: SiteClock, reactor: Any,
        data_dir: Path, pool: ThreadPool,
    ) -> None:
        self._registry, self._reader, self._audit, self._sink = registry, reader, audit, sink
        self._clock, self._reactor = clock, reactor
        self._book = Book(data_dir / "reads.sqlite", reactor, pool, self._ask, self._announce)
        self._asked_at: dict[bytes, float] = {}             # read id -> real time of the order; inf once it was taken
        self._busy: dict[int, float] = {}                   # link id -> real time until which it is busy
        self._devices: dict[str, Any] = {}
        self._door = DeferredLock()                         # one request at a time: keys are looked up
        self._listeners: list[Callable[[ReadTask], None]] = []
        self._changed: dict[str, None] = {}
        self._announcing: Any = None
        self._unsubscribe: list[Unsubscribe] = []
        self._ticks = 0
        self._running = False
        self._orders = self._registers = self._strangers = self._refused = 0
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor

    # ------------------------------------------------------------------- service
    def start(self) -> "Deferred[None]":
        """Read the journal; what was under way is asked about as soon as its concentrator is there."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            known = await self._book.open()
        except StorageError as error:
            raise StartError("reading", str(error), "check the disk, or move the file away") from None
        self._running = True
        for task in known:
            shares = (attrs.evolve(one, reason=course.RESTARTED) if one.state in UNDER_WAY else one for one in task.shares)
            self._book.remember(attrs.evolve(task, shares=tuple(shares)))
        self._unsubscribe = [self._reader.on_readings(self._reported), self._reader.on_link(self._link_changed)]
        self._loop.start(TICK_S, now=True).addErrback(lambda failure: self.log.failure("the reads' own loop", failure))

    def stop(self) -> "Deferred[None]":
        self._running = False
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        if self._loop.running:
            self._loop.stop()
        cancel(self._announcing)
        return self._book.close()

    def health(self) -> Iterable[Health]:
        open_ = self._book.open_tasks()
        text = "; ".join(part for part in (f"{open_} reads on demand open", self._book.fault) if part)
        figures = {
            "open": open_, "orders": self._orders, "registers": self._registers, "refused": self._refused,
            "unknown_reads": self._strangers,
        }
        ok = self._running and not self._book.fault
        yield Health("reading", ok, text, {name: float(value) for name, value in figures.items()})

    # ------------------------------------------------------------------- Reading
    def request(self, actor: Actor, request: ReadRequest) -> "Deferred[ReadTask]":
        return self._door.run(lambda: Deferred.fromCoroutine(self._request(actor, request)))

    async def _request(self, actor: Actor, request: ReadRequest) -> ReadTask:
        asked = _asked(request)
        directory = self._registry.directory
        found, reasons = wish.resolve(directory, actor, request, self._clock.hour())
        if request.key and not wish.not_allowed(actor):
            known = await self._book.of_key(actor.name, request.key)
            if known is not None and known.asked == asked:
                return known
            if known is not None:
                reasons.append(f"the key {request.key} was used for another read: {known.asked}")
        if not self._running:
            reasons.append("reading on demand is not running")
        if self._book.open_tasks() >= MOST_OPEN:
            reasons.append(f"{MOST_OPEN} reads are open: no more are taken until one of them is over")
        if not reasons and not found:
            reasons.append("no module belongs to what was named")
        if reasons:
            self._refused += 1
            raise CommandRejected(reasons)
        now = self._clock.now()
        new = ReadTask(
            uuid4().hex, request.key, actor.name, actor.origin, asked, request.priority, now, now + request.within_s * NS,
            tuple(
                ReadShare(uuid4().bytes, name, directory.concentrator[name].link_id, ReadState.NEW, members)
                for name, members in found.items()
            ),
        )
        await self._audit.append(
            actor, "read.request", asked[:64], task=new.id, modules=new.total, within_s=request.within_s
        )
        queued = tuple(course.happened(share, Happening.STORED, now)[0] for share in new.shares)
        await self._book.add(attrs.evolve(new, shares=queued))
        for share in queued:
            self._pump(share.link_id)
        return self._book.tasks[new.id]

    def cancel(self, actor: Actor, task_id: str) -> "Deferred[ReadTask]":
        return Deferred.fromCoroutine(self._cancel(actor, task_id))

    async def _cancel(self, actor: Actor, task_id: str) -> ReadTask:
        task = self._book.tasks.get(task_id)
        reasons = wish.not_allowed(actor)
        if task is None:
            reasons.append("no such read")
        elif task.state in OVER:
            reasons.append("the read is over already")
        else:
            reasons += wish.not_covered(self._registry.directory, actor, {share.concentrator for share in task.shares})
        if task is None or reasons:
            raise CommandRejected(reasons)
        await self._audit.append(actor, "read.cancel", task_id, asked=task.asked[:64])
        why = f"cancelled by {actor.name}"
        for share in task.shares:
            self._change(task_id, share.read_id, lambda one, now: course.happened(one, Happening.CANCEL, now, why))
        for share in task.shares:
            self._pump(share.link_id)
        return self._book.tasks[task_id]

    def task(self, task_id: str) -> ReadTask | None:
        return self._book.tasks.get(task_id)

    def tasks(self, limit: int = 50) -> tuple[ReadTask, ...]:
        return tuple(reversed(tuple(self._book.tasks.values())[-limit:]))

    def subscribe(self, listener: Callable[[ReadTask], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # --------------------------------------------------------------------- field
    def _link_changed(self, link_id: int, up: bool) -> None:
        """A new session of the concentrator: what was under way is asked again, under its number."""
        for task, share in self._book.open_at(link_id):
            self._asked_at.pop(share.read_id, None)
            if up:
                self._again(task.id, share.read_id)
        self._busy.pop(link_id, None)
        self._pump(link_id)

    def _reported(self, report: ReadReport) -> "Deferred[None]":
        """Fires when what came is on disk; only then may the field forget it."""
        task_id = self._book.owner(report.read_id)
        before = self._book.share(task_id, report.read_id) if task_id is not None else None
        if task_id is None or before is None or before.link_id != report.link_id:
            self._strangers += 1                            # of another life of this server, or not for this one to say
            return succeed(None)
        mine = {member.eui for member in before.members}
        known = attrs.evolve(report, readings=tuple(one for one in report.readings if one[0] in mine))
        self._change(task_id, report.read_id, lambda one, now: course.reported(one, known, now))
        if report.part not in before.parts and not before.over:
            self._publish(known)
        self._pump(report.link_id)
        return self._book.durable(report.read_id)

    def _publish(self, report: ReadReport) -> None:
        for eui, reading in report.readings:
            found = show.shown(self._registry.directory, eui, reading, self._clock.now())
            if found is not None:
                self._registers += 1
                if self._devices.get(found.device.name) != found.device:
                    self._devices[found.device.name] = found.device
                    self._sink.add_device(found.device)
                self._sink.publish(found.batch)

    def _pump(self, link_id: int) -> None:
        """Send what may be sent now to one concentrator, and say of the rest when it is likely to be over."""
        if not self._running:
            return
        if self._reader.link_up(link_id) and self._busy.get(link_id, 0.0) <= self._clock.monotonic():
            for task, share in queue.next_shares(self._book.open_at(link_id)):
                self._change(task.id, share.read_id, _its_turn)
        self._estimate(link_id)

    def _again(self, task_id: str, read_id: bytes) -> None:
        self._change(task_id, read_id, lambda one, now: course.happened(one, Happening.BACK, now, one.reason))

    def _ask(self, task_id: str, read_id: bytes) -> None:
        """It is on disk: hand the order over."""
        share = self._book.share(task_id, read_id)
        if share.state not in UNDER_WAY or not self._running:
            return
        self._orders += 1
        self._asked_at[read_id] = self._clock.monotonic()
        members = tuple((one.index, one.eui) for one in share.members if one.index)
        order = ReadOrder(read_id, share.link_id, members, -(-self._book.tasks[task_id].deadline // NS))
        asked = maybeDeferred(self._reader.read_now, order)
        asked.addCallbacks(partial(self._answered, task_id, share), partial(self._unanswered, task_id, share))
        asked.addErrback(lambda failure: self.log.failure("an order could not be followed up", failure))

    def _answered(self, task_id: str, share: ReadShare, answer: ReadAnswer) -> None:
        happening, reason = Happening.REFUSED, f"{share.concentrator} refused the read: {answer.code}"
        if answer.code == "NOT_SUPPORTED":
            reason = f"{share.concentrator} cannot read on demand"
        elif answer.code in TAKEN:
            happening, reason = Happening.TAKEN, course.ON_ITS_WAY
            self._asked_at[share.read_id] = float("inf")
        elif answer.code == "BUSY":
            happening, reason = Happening.BUSY, f"{share.concentrator} is busy with other reads"
            self._busy[share.link_id] = self._clock.monotonic() + max(1, answer.retry_after_s)
        self._change(task_id, share.read_id, lambda one, now: course.happened(one, happening, now, reason))
        self._pump(share.link_id)

    def _unanswered(self, task_id: str, share: ReadShare, failure: Failure) -> None:
        failure.trap(LinkError)
        said = failure.getErrorMessage()
        self._change(task_id, share.read_id, lambda one, now: course.happened(one, Happening.SILENT, now, said))
        self._pump(share.link_id)

    def _change(self, task_id: str, read_id: bytes, change: Change) -> None:
        """Let something happen to a share, and have it written; what is to be done then waits for the disk."""
        before = self._book.share(task_id, read_id)
        after, actions = change(before, self._clock.now())
        if after is not before or actions:
            if after.over:
                self._asked_at.pop(read_id, None)
            self._book.put(task_id, after, actions)

    # ---------------------------------------------------------------------- time
    def _tick(self) -> None:
        real = self._clock.monotonic()
        for link_id in self._book.links():
            for task, share in self._book.open_at(link_id):
                end = task.deadline
                self._change(task.id, share.read_id, lambda one, now, end=end: course.timed_out(one, end, now))  # type: ignore[misc]
                if self._reader.link_up(link_id) and self._asked_at.get(share.read_id, 0.0) + ASK_AGAIN_S <= real:
                    self._again(task.id, share.read_id)
            waited = link_id in self._busy and self._busy[link_id] <= real
            if waited:
                del self._busy[link_id]
            if waited or self._ticks % ESTIMATE_TICKS == 0:
                self._pump(link_id)
        self._ticks += 1
        self._book.write()                                  # a disk that was full is tried again

    def _estimate(self, link_id: int) -> None:
        """When the open shares of a concentrator are likely to be over, and why they stand where they stand."""
        if not (open_ := self._book.open_at(link_id)):
            return
        now, left = self._clock.now(), self._busy.get(link_id, 0.0) - self._clock.monotonic()
        expected = queue.expectations(
            open_, open_[0][1].concentrator, self._reader.travel(link_id), up=self._reader.link_up(link_id),
            busy_until=now + round(left * self._clock.rate * NS) if left > 0 else 0, now=now,
        )
        for task, share in open_:
            when, why = expected[share.read_id]
            moved = abs(when - share.expected) > CHANGED_NS or (not when and share.expected)
            if moved or why != share.reason:
                self._book.put(task.id, attrs.evolve(share, expected=when, reason=why), durable=False)

    # ---------------------------------------------------------------------- news
    def _announce(self, task_id: str) -> None:
        self._changed[task_id] = None
        if self._announcing is None and self._running:
            self._announcing = self._reactor.callLater(0, self._tell)

    def _tell(self) -> None:
        self._announcing = None
        changed, self._changed = self._changed, {}
        for task_id in changed:
            if (task := self._book.tasks.get(task_id)) is None:
                continue
            for listener in tuple(self._listeners):
                try:
                    listener(task)
                except Exception:           # a bus: one listener's bug must not silence the others
                    self.log.failure("a listener of the reads failed")


def _its_turn(share: ReadShare, now: int) -> tuple[ReadShare, tuple[Action, ...]]:
    return course.happened(share, Happening.TURN, now, course.ON_ITS_WAY)


def _asked(request: ReadRequest) -> str:
    names = (*request.points, *request.modules, *request.groups)
    text = ", ".join(names)
    return text if len(text) <= LONGEST_ASKED else f"{text[:LONGEST_ASKED]}… ({len(names)})"
