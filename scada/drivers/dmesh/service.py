"""The D-Mesh driver: listens for concentrators and stands for them towards the rest of the server.

Implements the ports FieldGateway, SupplyGateway, FieldReader, MeshMonitor, TimeMonitor, EventSource and HealthSource. It
wires; what a message means is decided in `station` and the modules it uses.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from scada.addresses import authority
from scada.clock import SiteClock
from scada.columns import Pairs
from scada.commands import Actor, GroupOrder, RetryOrder
from scada.drivers.dmesh.additions import news_for
from scada.drivers.dmesh.archive import Figures
from scada.drivers.dmesh.caller import Caller, endpoint
from scada.drivers.dmesh.collector import Collector
from scada.drivers.dmesh.door import Door
from scada.drivers.dmesh.event_cursors import EventCursors
from scada.drivers.dmesh.group_watch import GroupWatch
from scada.drivers.dmesh.groups import CommandLog
from scada.drivers.dmesh.harvest import Harvest
from scada.drivers.dmesh.key_ledger import FILE as LEDGER
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.list_memory import FILE as LISTS
from scada.drivers.dmesh.list_memory import ListMemory
from scada.drivers.dmesh.listener import DmlpFactory, WrappedFactory
from scada.drivers.dmesh.listeners import Listeners
from scada.drivers.dmesh.lists import concerned
from scada.drivers.dmesh.management import Management
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.messages import Hello
from scada.drivers.dmesh.news import News
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.outputs import Closed, Delivered
from scada.drivers.dmesh.owing import Owing
from scada.drivers.dmesh.prompt import made_prompt
from scada.drivers.dmesh.recaller import Recaller
from scada.drivers.dmesh.refusals import RefusalBook
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.rounds import Rounds
from scada.drivers.dmesh.serial_port import PortKeeper
from scada.drivers.dmesh.session import Terms
from scada.drivers.dmesh.show import Display
from scada.drivers.dmesh.signing import RunBlocking, Signer
from scada.drivers.dmesh.station import Station, Surroundings
from scada.drivers.dmesh.tls import Files, TlsProtocol, context, valid_until
from scada.drivers.dmesh.transport import Connection
from scada.drivers.dmesh.turns import Port, SerialLine
from scada.drivers.dmesh.updates import Updates
from scada.errors import ConfigError, LinkError, StartError, StorageError
from scada.group_keys import GroupKeyState
from scada.intervals import IntervalBlock, Mark
from scada.ports import (
    Audit,
    ClockView,
    CollectionSummary,
    CollectionView,
    Health,
    IntervalReader,
    IntervalStore,
    Recall,
    Registry,
    TagSink,
    Unsubscribe,
)
from scada.reads import ReadAnswer, ReadOrder
from scada.settings import CallSettings, DmeshSettings, SerialSettings
from scada.site import Directory, MeshView, Site
from scada.supplies import SupplyOrder

log = Logger()

FAREWELL_S: Final = 2.0                 # real time for connections to close at stop
BACKLOG: Final = 511
TLS_NOTICE_D: Final = 30                # days before its end from which a certificate is a problem


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
        audit: Audit | None = None,
        *,
        state_file: Path | None = None,
        reader: IntervalReader | None = None,
        zone: ZoneInfo | None = None,
        monitor_only: bool = False,
    ) -> None:
        self._settings, self._clock, self._reactor = settings, clock, reactor
        self._registry, self._audit = registry, audit
        self._refusals = RefusalBook(reactor.seconds)
        run = run_blocking or self._in_thread
        self._door = Door(keys, store, clock, settings.credit, EventCursors(state_file, run))
        self.factory = DmlpFactory(
            reactor, self, self._door, Terms(settings.handshake_seconds), settings.max_connections, settings.max_unproven
        )
        self._figures = Figures()
        self._ledger = KeyLedger(None if state_file is None else state_file.with_name(LEDGER), run)
        self._memory = ListMemory(None if state_file is None else state_file.with_name(LISTS), run)
        self._groups = GroupWatch(self._ledger, run)
        self._meshes: dict[int, Mesh] = {}                  # by link id; they outlive sessions
        self._display = Display(sink, registry, clock, self._meshes, self.link_up, settings.time)
        self._stations: dict[int, Station] = {}             # by link id, those that are up
        self._listeners = Listeners(self._name)
        self.on_events, self.on_report = self._listeners.on_events, self._listeners.on_report
        self.on_readings, self.on_link, self.on_mesh = (
            self._listeners.on_readings, self._listeners.on_link, self._listeners.on_mesh
        )
        self._news = News(
            clock, registry, audit, self._listeners.events, self._lists, self._memory, self._compare_again, self._delivering
        )
        self._owing = Owing(state_file, run)
        # Without a reader (tests of the protocol) there is no picture of what is held.
        self.collector = Collector(
            settings.collection, zone or ZoneInfo("UTC"), settings.credit, clock, reactor, reader, registry, sink,
            self._stations, run, self._owing, self._listeners.events, self._compare_again,
        ) if reader else None
        self.concentrators = Management(registry, audit, self._stations, monitor_only=monitor_only)
        self._recaller = Recaller(settings.collection, clock, registry, audit, self.collector)
        self._around = Surroundings(
            clock=clock, reactor=reactor, store=store, registry=registry, keys=keys, door=self._door,
            run_blocking=run, signer=Signer(keys, clock, self._run_blocking), credit=settings.credit, figures=self._figures,
            tell_events=self._listeners.events, tell_reports=self._listeners.reports, tell_stats=self._display.stats,
            tell_readings=self._listeners.readings, tell_list=self._news.compare,
            tell_samples=self._display.samples, tell_keys=self._news.keys, tell_mesh=self._listeners.mesh,
            tell_time=self._display.time,
            tell_change=self._news.change, ledger=self._ledger, assigned=self._groups.assigned,
            key_grace=round(settings.key_grace_hours * 3600), lists=self._memory,
        )
        if self.collector:
            self._around = attrs.evolve(self._around, durable=self.collector.durable, answered=self.collector.heard)
        collector = self.collector
        self.updates = Updates(
            self._stations, collector.reading if collector else lambda link_id: False, self._name, self.on_link
        )
        self._around = attrs.evolve(self._around, tell_firmware=self.updates.heard)
        self._harvest = Harvest(store, clock, reactor, self._figures, self._around.durable)
        self._around = attrs.evolve(self._around, harvest=self._harvest)
        self._commands: dict[int, CommandLog] = {}
        self._rejected: dict[Reject, int] = dict.fromkeys(Reject, 0)
        self._replaced = self._repeated = 0
        self._unsubscribe: Unsubscribe = lambda: None
        self._directory = Directory(Site())                 # as it was when the registry last spoke
        self._rounds = Rounds(reactor, self._everybody, self._look_after)
        self._listening: list[Any] = []
        self._files: Files | None = None
        self._contexts: dict[bool, Any] = {}                # TLS, by whether we are its server
        self._tls_refused = self._tls_until = 0
        self._ports = [PortKeeper(reactor, Port(one.device, one.baud, one.parity), partial(self._line, one))
                       for one in settings.serial]
        self._callers = [self._caller(one) for one in settings.call]

    # ------------------------------------------------------------------ life
    def start(self) -> "Deferred[None]":
        """Listen; fails with `StartError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            await self._around.run_blocking(self._door.event_cursors.open)
            await self._around.run_blocking(self._owing.open)
            await self._around.run_blocking(self._ledger.open)
            await self._around.run_blocking(self._memory.open)
        except StorageError as error:
            raise StartError("dmesh", str(error), "check the space on its disk, and whose file it is") from None
        self._registry_changed(self._registry.directory)
        self._unsubscribe = self._registry.subscribe(self._registry_changed)
        tls = self._settings.tls
        try:
            if tls is not None:
                self._files = Files(tls.certificate, tls.key, tls.ca)
                self._contexts = {side: context(self._files, server=side) for side in (True, False)}
                self._tls_until = valid_until(self._files)
                wrap = partial(self._secured, server=True)
                self._listen("dmesh.tls.port", tls.port, WrappedFactory(self.factory, wrap))
            if self._settings.plain:
                self._listen("dmesh.port", self._settings.port, self.factory)
        except (StartError, ConfigError):
            for port in self._listening:
                port.stopListening()
            self._listening = []
            raise
        for caller in self._callers:
            caller.start()
        for line in self._ports:
            line.start()
        if self.collector:
            self.collector.start()
        self._rounds.start()

    def stop(self) -> "Deferred[None]":
        """Close every link, say goodbye, stop listening."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._unsubscribe()
        if self.collector:
            self.collector.stop()
        self._rounds.stop()
        for caller in self._callers:
            caller.stop()
        listening, self._listening = self._listening, []
        for port in listening:
            await maybeDeferred(port.stopListening)
        await self.factory.close_all(Reason.SHUTDOWN, FAREWELL_S)
        for port in self._ports:
            if port.line is not None:
                port.line.farewell(Reason.SHUTDOWN)
            port.stop()
        self._harvest.stop()
        await self._around.run_blocking(self._door.event_cursors.close)
        await self._around.run_blocking(self._owing.close)
        await self._around.run_blocking(self._ledger.close)
        await self._around.run_blocking(self._memory.close)

    # ---------------------------------------------------------- FieldGateway
    def send(self, order: GroupOrder) -> "Deferred[None]":
        station = self._stations.get(order.link_id)
        return station.groups.send(order) if station else fail(self._down(order.link_id))

    def sign(self, order: GroupOrder) -> "Deferred[Any]":
        return Deferred.fromCoroutine(self._around.signer.sign(order))

    def prepare(self, link_id: int, group: int, epoch: int, members: Sequence[tuple[int, int]]) -> "Deferred[Any]":
        station = self._stations.get(link_id)
        return station.groups.prepare(group, epoch, Pairs.of(members)) if station else fail(self._down(link_id))

    def retry(self, order: RetryOrder) -> "Deferred[bool]":
        station = self._stations.get(order.link_id)
        return station.groups.retry(order) if station else fail(self._down(order.link_id))

    def inquire(self, command_id: bytes, link_id: int) -> "Deferred[bool]":
        station = self._stations.get(link_id)
        return Deferred.fromCoroutine(station.groups.inquire(command_id)) if station else fail(self._down(link_id))

    # --------------------------------------------------------- SupplyGateway
    def obstacle(self, link_id: int, index: int, eui: int) -> "Deferred[str]":
        station = self._stations.get(link_id)
        if station is None:
            return fail(self._down(link_id))
        return Deferred.fromCoroutine(station.singles.obstacle(index, eui))

    def switch_supply(self, order: SupplyOrder) -> "Deferred[None]":
        station = self._stations.get(order.link_id)
        return station.singles.send(order) if station else fail(self._down(order.link_id))

    def link_up(self, link_id: int) -> bool:
        return link_id in self._stations

    def boot(self, link_id: int) -> int:
        station = self._stations.get(link_id)
        return station.link.hello.boot_id if station else 0

    # ----------------------------------------------------------- FieldReader
    def read_now(self, order: ReadOrder) -> "Deferred[ReadAnswer]":
        station = self._stations.get(order.link_id)
        return Deferred.fromCoroutine(station.reads.send(order)) if station else fail(self._down(order.link_id))

    def travel(self, link_id: int) -> Mapping[int, float]:
        return self._meshes[link_id].travel() if link_id in self._meshes else {}

    # ------------------------------------------- MeshMonitor, EventSource, HealthSource
    def views(self) -> tuple[MeshView, ...]:
        return tuple(
            self._meshes.get(one.link_id, Mesh()).view(one.name, link_up=self.link_up(one.link_id))
            for one in self._registry.directory.site.concentrators
        )

    def collection(self, concentrator: str) -> CollectionView | None:
        known = self._registry.directory.concentrator.get(concentrator)
        return self.collector.view(known.link_id) if known and self.collector else None

    def summaries(self) -> tuple[CollectionSummary, ...]:
        if self.collector is None:
            return ()
        found = (self.collector.summary(one.link_id, one.name) for one in self._registry.directory.site.concentrators)
        return tuple(one for one in found if one is not None)

    def group_summaries(self) -> tuple[CollectionSummary, ...]:
        return self.collector.groups() if self.collector else ()

    def ask_again(
        self, actor: Actor, concentrator: str, modules: Sequence[str], first: int, hours: int
    ) -> "Deferred[Recall]":
        return Deferred.fromCoroutine(self._recaller.ask(actor, concentrator, modules, first, hours))

    def recalls(self) -> tuple[Recall, ...]:
        return self.collector.recalls() if self.collector else ()

    def view(self, concentrator: str) -> MeshView | None:
        one = self._registry.directory.concentrator.get(concentrator)
        if one is None:
            return None
        return self._meshes.get(one.link_id, Mesh()).view(one.name, link_up=self.link_up(one.link_id))

    def clocks(self, concentrator: str) -> ClockView | None:
        one = self._registry.directory.concentrator.get(concentrator)
        return self._display.clocks(one) if one is not None else None

    def durable(self, mark: Mark, block: IntervalBlock) -> None:
        """A block is on the disk that no link delivered: the gap engine need not ask for its hours."""
        if self.collector:
            self.collector.durable(mark.slots, block.first, block.counts, block.interval_s)

    def health(self) -> Iterable[Health]:
        known = [one.link_id for one in self._registry.directory.site.concentrators]
        up = sum(self.link_up(link_id) for link_id in known)
        text = f"{up} of {len(known)} concentrators are connected"
        listening, storing = bool(self._listening), self._figures.storing
        if not listening:
            text = "not listening"
        elif not storing:
            text += "; nothing is acknowledged, because nothing can be stored"
        problems = [self._around.keys.problem, *(port.problem for port in self._ports)]
        if self._contexts and self._tls_days < TLS_NOTICE_D:
            problems.append(f"the TLS certificate ends in {self._tls_days:.0f} days")
        text += "".join(f"; {problem}" for problem in problems if problem)
        if strangers := self._refusals.sentence():
            text += f"; {strangers}"
        yield Health("dmesh", listening and storing and not any(problems), text, self._all_figures(up))

    @property
    def _tls_days(self) -> float:
        return (self._tls_until - self._clock.real()) / 86400

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
            "batches_waiting": self._harvest.waiting,
            "events": self._listeners.told,
            "links_replaced": self._replaced,
            "serial_ports_open": sum(port.line is not None for port in self._ports),
            "serial_unanswered": self._serial_counts("unanswered"),
            "serial_stray": self._serial_counts("stray"),
            "requests_repeated": self._repeated + sum(station.link.repeated for station in self._stations.values()),
            "tls_refused": self._tls_refused,
            "clocks_stepped": sum(mesh.clock.steps for mesh in self._meshes.values()),
            "calls_failed": sum(caller.failures for caller in self._callers),
            "keys_changing": self._around.keys.changing,
            "keys_changed": self._news.of_keys["activated"],
            "key_changes_refused": self._news.of_keys["refused"],
            "refused_full": self.factory.counts["full"] + self.factory.counts["displaced"],
        }
        if self._contexts:
            figures["tls_days_left"] = self._tls_days
        if self.collector:
            figures |= attrs.asdict(self.collector.figures) | {"reads_under_way": self.collector.under_way}
            figures["module_tags_left_out"] = self.collector.completeness.left_out
        for reason in (Reason.VERSION, Reason.UNKNOWN_LINK, Reason.BAD_KEY, Reason.TIMEOUT, Reason.PROTOCOL):
            figures[f"refused_{reason.name.lower()}"] = self._refusals.counts[reason.name.lower()]
        return figures | {f"dropped_{reason}": count for reason, count in self._rejected.items()}

    # ------------------------------------------------------------------ transport.Hearer
    def connected(self, connection: Connection, hello: Hello) -> None:
        link_id, name = hello.link_id, self._name(hello.link_id)
        self._door.proven(link_id)
        link = Link(connection, hello, self._name, self.factory.deadlines, self._clock.seconds)
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
            self._news.replaced(name)
        else:
            log.info("{name}: link up from {peer}", name=name, peer=connection.peer)
        station.start()
        self._display.concentrator(link_id)
        self._listeners.link(link_id, up=True)

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
            if how.reason is Reason.BAD_KEY and how.link_id is not None:
                self._door.failed(how.link_id)
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
    def _lists(self, concentrator: str, eui: int) -> bool | None:
        """Whether a concentrator has a module in its present list that it has heard; None while it is not connected."""
        known = self._registry.directory.concentrator.get(concentrator)
        if known is None:
            return False
        station = self._stations.get(known.link_id)
        if station is None or (modules := station.mesh.modules) is None:
            return None
        return modules.names(eui) and not modules.only_names(eui)

    def _delivering(self, link_id: int) -> Mapping[int, tuple[int, ...]] | None:
        return self.collector.delivering(link_id) if self.collector else {}

    def _compare_again(self, link_id: int) -> None:
        """Another list has changed what this one is held against."""
        station = self._stations.get(link_id)
        if station is not None and (modules := station.mesh.modules) is not None:
            self._news.compare(link_id, station.link.name, modules.entries, True, onwards=False)

    def group_keys(self, name: str) -> GroupKeyState | None:
        return self._groups.state(self._registry.directory, name)

    def _registry_changed(self, directory: Directory) -> None:
        before, self._directory = self._directory, directory
        self._display.registry_changed(directory)
        self._groups.registry_changed(directory)
        self._news.registry_changed(directory)
        for name in concerned(before.site, directory.site):
            if (station := self._station(directory, name)) is not None:
                station.learn_modules()
        for name in news_for(before, directory):
            if (station := self._station(directory, name)) is not None:
                station.filler.wake()

    def _station(self, directory: Directory, name: str) -> Station | None:
        known = directory.concentrator.get(name)
        return None if known is None else self._stations.get(known.link_id)

    # ------------------------------------------------------------------ private
    def _listen(self, key: str, port: int, factory: Any) -> None:
        host = self._settings.host
        try:
            self._listening.append(made_prompt(self._reactor.listenTCP(port, factory, BACKLOG, host)))
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
            raise StartError("dmesh", f"cannot listen on {host} port {port}: {reason}", f"change {key}") from None

    def _secured(self, connection: Connection, *, server: bool) -> TlsProtocol:
        return TlsProtocol(connection, self._contexts[server], server=server, on_refused=self._refused_tls)

    def _refused_tls(self, peer: str, why: str) -> None:
        self._tls_refused += 1
        if self._refusals.allowed(None):                    # as much as other strangers, and no more
            log.warn("TLS with {peer} failed: {why}", peer=peer, why=why)

    def _caller(self, call: CallSettings) -> Caller:
        link_id = int(call.link_id, 16)
        name, up = f"{self._name(link_id)} at {authority(call.host, call.port)}", partial(self.link_up, link_id)
        place = endpoint(self._reactor, call.host, call.port)
        if not call.tls:
            return Caller(self._reactor, place, link_id, name, self.factory, up)
        return Caller(self._reactor, place, link_id, name, self.factory, up, wrap=partial(self._secured, server=False))

    def _line(self, line: SerialSettings) -> SerialLine:
        return SerialLine(
            self._reactor, self, self._door, self._settings.handshake_seconds, line.device,
            [int(link_id, 16) for link_id in line.link_ids], self._noise, line.answer_seconds,
        )

    def _serial_counts(self, what: str) -> int:
        return sum(port.line.counts[what] for port in self._ports if port.line is not None)

    def _noise(self, what: Rejected) -> None:
        """On a serial line before it is known whose it is."""
        self._rejected[what.reason] += what.count

    def _everybody(self) -> Iterable[int]:
        return [*(one.link_id for one in self._registry.directory.site.concentrators), *self._stations]

    def _look_after(self, links: Sequence[int]) -> None:
        unsettled = self._around.keys.unsettled()
        for link_id in links:
            self._display.concentrator(link_id)
            if (station := self._stations.get(link_id)) is not None:
                station.look_after_keys(unsettled)
                station.look_after_list()
                station.look_after_groups()
                self._news.look_after(link_id, station.link.name, station.mesh.modules)

    def _went_down(self, link_id: int, station: Station, why: str) -> None:
        station.went_down(why)
        self._repeated += station.link.repeated
        self._display.concentrator(link_id)
        self._listeners.link(link_id, up=False)

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

    def _run_blocking(self, function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
        return self._around.run_blocking(function, *args)

    def _in_thread(self, function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *args)
