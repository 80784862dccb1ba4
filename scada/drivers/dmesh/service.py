"""The D-Mesh driver: listens for concentrators and stands for them towards the rest of the server.

Implements the ports FieldGateway, MeshMonitor, EventSource and HealthSource. It wires; what a message means is decided
in `station` and the modules it uses.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, fail, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import SiteClock
from scada.commands import GroupOrder, MemberReport, RetryOrder
from scada.drivers.dmesh.archive import Figures
from scada.drivers.dmesh.door import Door
from scada.drivers.dmesh.groups import CommandLog, RunBlocking
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.listener import DmlpFactory
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.messages import Hello
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.outputs import Closed, Delivered
from scada.drivers.dmesh.refusals import RefusalBook
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.session import Terms
from scada.drivers.dmesh.show import Display
from scada.drivers.dmesh.station import Station, Surroundings
from scada.drivers.dmesh.transport import Connection
from scada.errors import LinkError, StartError
from scada.events import DeviceEvent, EventCode
from scada.ports import Health, IntervalStore, Registry, TagSink, Unsubscribe
from scada.settings import DmeshSettings
from scada.site import MeshView

log = Logger()

PUBLISH_S: Final = 5.0                  # real time between the figures of the concentrators
FAREWELL_S: Final = 2.0                 # real time for connections to close at stop
BACKLOG: Final = 511
L = TypeVar("L")


class DmeshService:
    """Listens for concentrators; implements FieldGateway, MeshMonitor, EventSource and HealthSource."""

    def __init__(
        self,
        settings: DmeshSettings,
        clock: SiteClock,
        reactor: Any,
        sink: TagSink,
        store: IntervalStore,
        registry: Registry,
        keys: KeyStore,
        run_blocking: RunBlocking | None = None,
    ) -> None:
        self._settings, self._clock, self._reactor = settings, clock, reactor
        self._registry = registry
        self._refusals = RefusalBook(reactor.seconds)
        self._door = Door(keys, store, clock, settings.credit)
        self.factory = DmlpFactory(
            reactor, self, self._door, Terms(settings.handshake_seconds), settings.max_connections, settings.max_unproven
        )
        self._figures = Figures()
        self._meshes: dict[int, Mesh] = {}                  # by link id; they outlive sessions
        self._display = Display(sink, registry, clock, self._meshes, self.link_up)
        self._around = Surroundings(
            clock=clock, reactor=reactor, store=store, registry=registry, keys=keys, door=self._door,
            run_blocking=run_blocking or self._in_thread, credit=settings.credit, figures=self._figures,
            tell_events=self._tell_events, tell_reports=self._tell_reports, tell_stats=self._display.stats,
            tell_samples=self._display.samples,
        )
        self._stations: dict[int, Station] = {}             # by link id, those that are up
        self._commands: dict[int, CommandLog] = {}
        self._rejected: dict[Reject, int] = dict.fromkeys(Reject, 0)
        self._replaced = self._events = 0
        self._event_listeners: list[Callable[[Sequence[DeviceEvent]], Deferred[None]]] = []
        self._report_listeners: list[Callable[[Sequence[MemberReport]], None]] = []
        self._link_listeners: list[Callable[[int, bool], None]] = []
        self._unsubscribe: Unsubscribe = lambda: None
        self._loop = LoopingCall(self._display.concentrators)
        self._loop.clock = reactor
        self._listening: Any = None

    # ------------------------------------------------------------------ life
    def start(self) -> "Deferred[None]":
        """Listen; fails with `StartError`."""
        self._display.registry_changed(self._registry.directory)
        self._unsubscribe = self._registry.subscribe(self._display.registry_changed)
        host, port = self._settings.host, self._settings.port
        try:
            self._listening = self._reactor.listenTCP(port, self.factory, BACKLOG, host)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
            return fail(StartError("dmesh", f"cannot listen on {host} port {port}: {reason}", "change dmesh.port"))
        self._loop.start(PUBLISH_S, now=True).addErrback(lambda failure: log.failure("the driver's own loop", failure))
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        """Close every link, say goodbye, stop listening."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._unsubscribe()
        if self._loop.running:
            self._loop.stop()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
            self._listening = None
        await self.factory.close_all(Reason.SHUTDOWN, FAREWELL_S)

    # ---------------------------------------------------------- FieldGateway
    def send(self, order: GroupOrder) -> "Deferred[None]":
        station = self._stations.get(order.link_id)
        return station.groups.send(order) if station else fail(self._down(order.link_id))

    def retry(self, order: RetryOrder) -> "Deferred[bool]":
        station = self._stations.get(order.link_id)
        return station.groups.retry(order) if station else fail(self._down(order.link_id))

    def inquire(self, command_id: bytes, link_id: int) -> "Deferred[bool]":
        station = self._stations.get(link_id)
        return Deferred.fromCoroutine(station.groups.inquire(command_id)) if station else fail(self._down(link_id))

    def link_up(self, link_id: int) -> bool:
        return link_id in self._stations

    def boot(self, link_id: int) -> int:
        station = self._stations.get(link_id)
        return station.link.hello.boot_id if station else 0

    def on_report(self, listener: Callable[[Sequence[MemberReport]], None]) -> Unsubscribe:
        return _enter(self._report_listeners, listener)

    def on_link(self, listener: Callable[[int, bool], None]) -> Unsubscribe:
        return _enter(self._link_listeners, listener)

    # ------------------------------------------- MeshMonitor, EventSource, HealthSource
    def views(self) -> tuple[MeshView, ...]:
        return tuple(
            self._meshes.get(one.link_id, Mesh()).view(one.name, link_up=self.link_up(one.link_id))
            for one in self._registry.directory.site.concentrators
        )

    def on_events(self, listener: "Callable[[Sequence[DeviceEvent]], Deferred[None]]") -> Unsubscribe:
        return _enter(self._event_listeners, listener)

    def health(self) -> Iterable[Health]:
        known = [one.link_id for one in self._registry.directory.site.concentrators]
        up = sum(self.link_up(link_id) for link_id in known)
        text = f"{up} of {len(known)} concentrators are connected"
        listening, storing = self._listening is not None, self._figures.storing
        if not listening:
            text = "not listening"
        elif not storing:
            text += "; nothing is acknowledged, because nothing can be stored"
        if problem := self._around.keys.problem:
            text += f"; {problem}"
        if strangers := self._refusals.sentence():
            text += f"; {strangers}"
        yield Health("dmesh", listening and storing and not problem, text, self._all_figures(up))

    def _all_figures(self, up: int) -> dict[str, float]:
        figures: dict[str, float] = {
            "links_up": up,
            "connections": len(self.factory.open),
            "unproven": self.factory.unproven,
            "blocks": self._figures.blocks,
            "readings": self._figures.readings,
            "quarantined": self._figures.quarantined,
            "duplicates": self._figures.duplicates,
            "lost_records": self._figures.lost_records,
            "storage_failures": self._figures.storage_failures,
            "events": self._events,
            "links_replaced": self._replaced,
            "refused_full": self.factory.counts["full"] + self.factory.counts["displaced"],
        }
        for reason in (Reason.VERSION, Reason.UNKNOWN_LINK, Reason.BAD_KEY, Reason.TIMEOUT, Reason.PROTOCOL):
            figures[f"refused_{reason.name.lower()}"] = self._refusals.counts[reason.name.lower()]
        return figures | {f"dropped_{reason}": count for reason, count in self._rejected.items()}

    # ------------------------------------------------------------------ transport.Hearer
    def connected(self, connection: Connection, hello: Hello) -> None:
        link_id, name = hello.link_id, self._name(hello.link_id)
        link = Link(connection, hello, self._name, self._reactor, self._clock.seconds)
        before = self._stations.get(link_id)
        station = Station(
            link, self._around, self._meshes.setdefault(link_id, Mesh()), self._commands.setdefault(link_id, CommandLog())
        )
        self._stations[link_id] = station
        if before is not None:
            self._replaced += 1
            log.warn("{name}: a second connection from {peer} proved the key and replaces the first from {old}",
                     name=name, peer=connection.peer, old=before.link.connection.peer)
            before.went_down("replaced by a newer connection")
            before.link.close(Reason.REPLACED, "a newer connection of this concentrator proved itself")
            now, good = self._clock.now(), self._clock.trusted()
            replaced = DeviceEvent(name, EventCode.LINK_REPLACED, True, now, good, sequence=now, received=now)
            self._tell_events([replaced]).addErrback(self._event_lost, name)
        else:
            log.info("{name}: link up from {peer}", name=name, peer=connection.peer)
        station.start()
        self._display.concentrator(link_id)
        self._tell_link(link_id, up=True)

    def heard(self, connection: Connection, delivered: Delivered) -> None:
        station = self._of(connection)
        if station is not None:
            station.heard(delivered)

    def rejected(self, connection: Connection, what: Rejected) -> None:
        self._rejected[what.reason] += what.count
        station = self._of(connection)
        if station is not None:
            station.rejected(what)

    def closed(self, connection: Connection, how: Closed) -> None:
        if not how.was_up:
            # A concentrator with another key than ours ends it itself: it counts like a proof that did not hold.
            if (how.ours or how.reason is Reason.BAD_KEY) and self._refusals.enter(how):
                who = "a stranger" if how.link_id is None else f"link id {how.link_id:08x}"
                log.warn("refused {who} from {peer}: {reason}: {text}", who=who, peer=connection.peer,
                         reason=how.reason.name, text=how.text if how.ours else f"it says: {how.text}")
            return
        assert how.link_id is not None
        station = self._stations.get(how.link_id)
        if station is None or station.link.connection is not connection:
            return                                          # it was replaced: the link as such is up
        del self._stations[how.link_id]
        log.info("{name}: link down: {reason} {text}", name=station.link.name, reason=how.reason.name, text=how.text)
        self._went_down(how.link_id, station, how.text)

    def may_speak(self, link_id: int | None) -> bool:
        return self._refusals.allowed(link_id)

    # ------------------------------------------------------------------ news from stations
    def _tell_events(self, events: Sequence[DeviceEvent]) -> "Deferred[Any]":
        self._events += len(events)
        return gatherResults([listener(events) for listener in tuple(self._event_listeners)], consumeErrors=True)

    def _event_lost(self, failure: Failure, name: str) -> None:
        """An event of our own that could not be stored is in the log at least; the field has nothing to repeat."""
        log.warn("{name}: its replaced link could not be told: {why}", name=name, why=failure.getErrorMessage())

    def _tell_reports(self, reports: Sequence[MemberReport]) -> None:
        for listener in tuple(self._report_listeners):
            listener(reports)

    def _tell_link(self, link_id: int, *, up: bool) -> None:
        for listener in tuple(self._link_listeners):
            listener(link_id, up)

    # ------------------------------------------------------------------ private
    def _went_down(self, link_id: int, station: Station, why: str) -> None:
        station.went_down(why)
        self._display.concentrator(link_id)
        self._tell_link(link_id, up=False)

    def _of(self, connection: Connection) -> Station | None:
        hello = connection.session.hello
        station = self._stations.get(hello.link_id) if hello else None
        return station if station is not None and station.link.connection is connection else None

    def _name(self, link_id: int) -> str:
        """The concentrator's device on the bus; one that the registry does not know yet is called by its link id."""
        found = self._registry.directory.concentrator_of_link.get(link_id)
        return found.name if found else f"link-{link_id:08x}"

    def _down(self, link_id: int) -> LinkError:
        return LinkError(self._name(link_id), "the link is down: nothing was sent")

    def _in_thread(self, function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *args)


def _enter(listeners: list[L], listener: L) -> Unsubscribe:
    listeners.append(listener)
    return lambda: listeners.remove(listener) if listener in listeners else None
