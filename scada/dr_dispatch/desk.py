"""The one door for commands: the port `Desk`, and the service around those who do the work.

The order in which things happen is the safety of it. `procedure` takes a person's decision through guards, audit and
journal; each frame is checked once more against `not_after`, the clock's trust, local and monitor-only mode in the one
function that holds the gateway (`sender`). Nothing is ever sent twice: not after a restart, not when a link comes up.
What may have been sent is asked about, never repeated (`pursuit`).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.threadpool import ThreadPool

from scada.clock import NS, SiteClock
from scada.commands import Actor, CommandStatus, Selection, ShedRequest
from scada.dr_dispatch import guards, lifecycle
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.confirming import Confirming
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.heavy import Heavy
from scada.dr_dispatch.images import Images
from scada.dr_dispatch.news import News
from scada.dr_dispatch.procedure import Procedure
from scada.dr_dispatch.pursuit import Counters, Pursuit
from scada.dr_dispatch.retrier import Retrier
from scada.dr_dispatch.sender import Sender
from scada.dr_dispatch.status import status_of
from scada.dr_dispatch.trail import Trail
from scada.dr_dispatch.viewing import Viewing
from scada.errors import StartError, StorageError
from scada.ports import Audit, FieldGateway, Health, LiveReader, LocalSay, Registry, TagSink, TagSource, Unsubscribe
from scada.settings import DispatchSettings
from scada.site import Directory
from scada.timers import cancel

REMEMBERED_S: Final = 24 * 3600         # site time for which finished commands are kept in memory, beyond the limits
PRUNE_S: Final = 3600.0                 # real time between two looks for commands too old for the journal
TICK_S: Final = 5.0                     # real time: tags are refreshed and open questions asked again


class CommandDesk:
    """Implements `ports.Desk` and `ports.HealthSource`."""

    def __init__(
        self,
        settings: DispatchSettings,
        registry: Registry,
        bus: TagSource,
        gateway: FieldGateway,
        local: LocalSay,
        audit: Audit,
        clock: SiteClock,
        reactor: Reactor,
        data_dir: Path,
        pool: ThreadPool,
        sink: TagSink,
        live: LiveReader | None = None,
    ) -> None:
        self._settings, self._registry, self._gateway = settings, registry, gateway
        self._clock, self._reactor = clock, reactor
        self._running = False
        self._pruned = -PRUNE_S                             # real, monotonic [s]
        self._door = DeferredLock()                         # one command goes through at a time
        self._unsubscribe: list[Unsubscribe] = []
        self._ticker: Any = None
        self.counters = counters = Counters()
        self._book = book = Book(data_dir / "commands.sqlite", reactor, pool)
        heavy = Heavy(reactor, pool)
        self._images = images = Images(settings, registry, bus, gateway, book, clock, heavy, local)
        self._viewing = Viewing(
            sink, images, book, gateway, clock, heavy, reactor, self._is_running, settings.monitor_only
        )
        self._news = News(book, reactor, self._is_running, self._viewing.look)
        trail = Trail(audit, counters, self._is_running)
        self._course = course = Course(book, clock, reactor, self._is_running, self._news.changed, trail.ended)
        self._pursuit = pursuit = Pursuit(book, gateway, course.change, counters, reactor)
        sender = Sender(settings, gateway, clock, book, course, pursuit, counters, self._is_running, reactor, images)
        self._retrier = Retrier(
            settings, clock, book, images, course, pursuit, sender, self._is_running, heavy, reactor
        )
        self._confirming = Confirming(live, bus, clock, book, images, course, reactor, pool, self._is_running)
        self._procedure = Procedure(settings, clock, book, images, trail, course, sender, counters)

    # ------------------------------------------------------------------- service
    def start(self) -> "Deferred[None]":
        """Read the journal, settle what time has ended meanwhile, and ask the field about the rest."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        now = self._clock.now()
        try:
            known = await self._book.open(now - self._kept())
        except StorageError as error:
            raise StartError("dispatch", str(error), "check the disk, or move the file away") from None
        self._running = True
        for command in known:
            if command.live:
                self._pursuit.doubt(command)
                self._course.put(lifecycle.restarted(command, now))
        self._unsubscribe = [
            self._gateway.on_report(self._pursuit.reported),
            self._gateway.on_link(self._link_changed),
            self._registry.subscribe(self._registry_changed),
        ]
        self._registry_changed(self._registry.directory)
        self._tick()

    def stop(self) -> "Deferred[None]":
        self._pursuit.take_all()
        self._running = False
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        cancel(self._ticker)
        self._course.stop()
        self._news.stop()
        self._viewing.stop()
        return self._book.close()

    def health(self) -> Iterable[Health]:
        live = len(self._book.live())
        text = "monitor-only: nothing is sent" if self.monitor_only else "ready"
        figures = {name: float(value) for name, value in attrs.asdict(self.counters).items()}
        figures |= {"live": float(live), "journal_failures": float(self._book.failures)}
        figures["unwritten"] = float(self._book.unwritten)
        yield Health(
            "dispatch",
            ok=self._running and not self._book.trouble,
            text="; ".join(part for part in (text, f"{live} commands not closed", self._book.trouble) if part),
            figures=figures,
        )

    # ---------------------------------------------------------------------- Desk
    @property
    def monitor_only(self) -> bool:
        return self._settings.monitor_only

    def select(self, actor: Actor, request: ShedRequest) -> "Deferred[Selection]":
        return Deferred.fromCoroutine(self._procedure.select(actor, request))

    def execute(self, actor: Actor, selection_id: str) -> "Deferred[CommandStatus]":
        """Fires when every frame has been handed over, not when the field has answered: follow it with `subscribe`."""
        return self._door.run(lambda: Deferred.fromCoroutine(self._procedure.execute(actor, selection_id)))

    def restore(self, actor: Actor, command_id: str) -> "Deferred[CommandStatus]":
        """Send a RESTORE to every concentrator of a shed; answers the shed, which is then RESTORING.

        The restore is a command of its own in the list, with results of its own.
        """
        return self._door.run(lambda: Deferred.fromCoroutine(self._procedure.restore(actor, command_id)))

    def command(self, command_id: str) -> CommandStatus | None:
        found = self._book.named(command_id)
        return status_of(found) if found else None

    def commands(self, limit: int = 50) -> tuple[CommandStatus, ...]:
        return tuple(status_of(command) for command in reversed(self._book.all()[-limit:]))

    def subscribe(self, listener: Callable[[CommandStatus], None]) -> Unsubscribe:
        return self._news.subscribe(listener)

    # ------------------------------------------------------------------- private
    def _is_running(self) -> bool:
        return self._running

    def _tick(self) -> None:
        """What has to happen now and then, whatever happens."""
        self._procedure.forget_expired()
        self._book.forget(self._clock.now() - self._kept())
        self._book.write()
        self._retrier.look()                # before asking: the answers to questions come first
        self._pursuit.ask()
        self._course.wake()
        self._confirming.look()
        self._prune()
        self._news.announce()
        self._ticker = self._reactor.callLater(TICK_S, self._tick)

    def _prune(self) -> None:
        """Delete what is too old from disk, a little at a time; what is left over goes at the next tick."""
        now = self._clock.monotonic()
        if now - self._pruned < PRUNE_S:
            return
        self._pruned = now
        pruning = Deferred.fromCoroutine(self._book.prune(self._clock.now() - self._settings.journal_days * 86400 * NS))
        pruning.addCallbacks(self._pruned_some, lambda _: None)     # a disk that fails says so when something is written

    def _pruned_some(self, gone: int) -> None:
        self.counters.pruned += gone
        if gone:
            self._pruned = -PRUNE_S                         # there may be more

    def _link_changed(self, link_id: int, up: bool) -> None:
        self._pursuit.link_changed(link_id, up)
        self._news.announce()

    def _registry_changed(self, directory: Directory) -> None:
        self._viewing.registry_changed(directory)
        self._news.announce()

    def _kept(self) -> int:
        """How long finished commands stay in memory: limits are counted on them. [ns]"""
        return (self._settings.max_off_green_s + guards.REST_S + REMEMBERED_S) * NS
