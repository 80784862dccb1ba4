"""One proven concentrator: what each of its messages sets in motion."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredLock, FirstError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import NS, SiteClock
from scada.commands import MemberReport
from scada.drivers.dmesh.additions import ListFiller
from scada.drivers.dmesh.archive import STORAGE_RETRY_S, ArchiveIntake, Durable, Figures, Harvester
from scada.drivers.dmesh.door import Door
from scada.drivers.dmesh.group_keys import Assignment
from scada.drivers.dmesh.groups import CommandLog, GroupSender
from scada.drivers.dmesh.handing import KeyHander
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.keystore import Holder, KeyStore
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.list_memory import ListMemory
from scada.drivers.dmesh.lists import ListKeeper
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.messages import (
    ArchStatus,
    CommandReport,
    Error,
    Event,
    EventAck,
    Events,
    FwMissing,
    FwStatus,
    GetTopology,
    KeyHeld,
    LinkStat,
    LinkStats,
    ModuleEntry,
    ModuleJoined,
    Overheard,
    Packet,
    ProfileMessage,
    ReadResult,
    Result,
    Samples,
    Topology,
    TopologyDelta,
)
from scada.drivers.dmesh.modules import ModuleBook, Modules, joined, unheard
from scada.drivers.dmesh.numbers import ANSWERS, FROM_CONCENTRATOR, MAX_MODULES, Code, Reason
from scada.drivers.dmesh.outputs import Delivered
from scada.drivers.dmesh.reads import ReadSender, report_of
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.rotation import KeyCarrier
from scada.drivers.dmesh.signing import RunBlocking, Signer
from scada.drivers.dmesh.singles import SingleSender
from scada.drivers.dmesh.timekeeper import TimeKeeper
from scada.errors import DataRejected, LinkError, StorageError
from scada.events import DeviceEvent, EventCode
from scada.ports import IntervalStore, Registry
from scada.reads import ReadReport
from scada.site import ModuleState
from scada.timers import cancel

log = Logger()

MOST_UNDER_WAY: Final = 32              # messages that are being dealt with: news of modules, reports
EVENT_BATCHES: Final = 8                # batches under way; a concentrator waits for EVENT_ACK anyway


@attrs.frozen
class Surroundings:
    """What every station needs; the service makes it once."""

    clock: SiteClock
    reactor: Any
    store: IntervalStore
    registry: Registry
    keys: KeyStore
    door: Door
    run_blocking: RunBlocking
    signer: Signer
    credit: int
    figures: Figures
    tell_events: Callable[[Sequence[DeviceEvent]], "Deferred[Any]"]
    tell_reports: Callable[[Sequence[MemberReport]], None]
    tell_readings: Callable[[ReadReport], "Deferred[Any]"]
    tell_list: Callable[[int, str, tuple[ModuleEntry, ...], bool], None]    # link id, name, entries, whether all
    tell_stats: Callable[[Mesh, Iterable[LinkStat]], None]
    tell_samples: Callable[[Mesh, str, Samples], None]
    tell_keys: Callable[[str, Holder, str, str], None]
    tell_change: Callable[[str, str, str], None]            # whose, action for the audit, detail
    ledger: KeyLedger
    assigned: Callable[[int], tuple[Assignment, ...]]       # by link id: whose members should hold which group's key
    key_grace: int                      # s, real time
    lists: ListMemory
    tell_mesh: Callable[[int], None]
    tell_time: Callable[[int], None]
    durable: Durable = lambda slots, first, counts, interval_s: None
    harvest: Harvester | None = None
    answered: Callable[[int, Packet], None] = lambda link_id, packet: None
    tell_firmware: "Callable[[Station, FwMissing | FwStatus], Coroutine[Any, Any, None]] | None" = None


class Station:
    """The collaborators of one session, wired; gone with it. `mesh` and `commands` outlive it."""

    def __init__(self, link: Link, around: Surroundings, mesh: Mesh, commands: CommandLog) -> None:
        self.link, self.mesh = link, mesh
        self._around, self._commands = around, commands
        self.book = ModuleBook(link, lambda modules: around.lists.took(
            link.link_id, link.hello.archive_id, modules.euis, around.clock.now() // NS
        ))
        cursor, held = around.door.archive_cursor(link.hello), around.store.cursor(link.link_id, link.hello.archive_id)
        if cursor < held:
            log.warn("{name}: its archive ends at record {newest}, though {held} was here already; it is taken again",
                     name=link.name, newest=link.hello.newest, held=held)
        self.archive = ArchiveIntake(
            link, self.book, around.store, around.clock, cursor, around.credit, around.figures, self._committed,
            around.durable, around.harvest,
        )
        self.groups = GroupSender(link, self.book, around.clock, commands, around.signer, around.ledger)
        self.hander = KeyHander(
            link, around.keys, around.ledger, self.groups, lambda: around.assigned(link.link_id), around.reactor,
            lambda what, detail: around.tell_change(link.name, f"keys.{what}", detail),
        )
        self._keys = KeyCarrier(
            link, around.keys, around.clock, around.run_blocking, around.reactor.seconds, around.key_grace,
            lambda holder, what, detail: around.tell_keys(link.name, holder, what, detail),
        )
        self.singles = SingleSender(
            link, self.book, around.keys, around.clock, commands, around.run_blocking,
            lambda: self.look_after_keys(around.keys.unsettled()),
        )
        self.reads = ReadSender(link, self.book)
        self._time = TimeKeeper(
            link, self.book, mesh, around.clock, around.store, self._held_until, around.tell_events, around.tell_time
        )
        self.lists = ListKeeper(
            link, self.book, around.registry, around.reactor.seconds,
            lambda what, detail: around.tell_change(link.name, f"list.{what}", detail),
        )
        self.filler = ListFiller(
            link, self.book, around.registry, around.reactor.seconds,
            lambda what, detail: around.tell_change(link.name, f"list.{what}", detail),
        )
        self._events_turn = DeferredLock()
        self._under_way = 0
        self._asking = False            # for the whole tree, after a delta that does not fit
        self._resync: Any = None

    def start(self) -> None:
        """READY has left: learn the modules, set the clock."""
        self._go(self._learn_modules())
        self._go(self._keep_time())
        self.look_after_keys(self._around.keys.unsettled())

    def look_after_keys(self, unsettled: frozenset[Holder]) -> None:
        """Every few seconds: what `scada keys` laid up meanwhile is taken on; a key that was withdrawn ends the session."""
        if self.link.up and self._keys.withdrawn:
            self.link.close(Reason.BAD_KEY, "the key of this session was revoked or replaced")
        elif unsettled and self.link.up:
            modules = self.book.current
            due = self._keys.due(unsettled, {eui for _, eui in modules.pairs} if modules is not None else ())
            if due:
                self._go(self._keys.carry_out(due))

    def look_after_groups(self) -> None:
        """Every few seconds: keys of groups that members lack, and epochs that wait to be put to use."""
        one = self.hander.due()
        if one is not None and not self.commanding:         # the radio is the command's, and the epoch stays what it was
            self._go(self.hander.hand(one))

    def heard(self, delivered: Delivered) -> None:
        """One message."""
        packet = delivered.packet
        if packet.corr and packet.message.TYPE in ANSWERS:
            self._around.answered(self.link.link_id, packet)
        if self.link.take_answer(packet):
            return
        match packet.message:
            case ProfileMessage(record=0, block=block):
                self.archive.take_answer(packet.corr, block, delivered.body)
            case ProfileMessage(record=record, block=block):
                self.archive.take(record, block, delivered.body)
            case ArchStatus(oldest=oldest, newest=newest):
                self.archive.moved(oldest, newest)
            case Samples(record=0) as samples:
                self._around.tell_samples(self.mesh, self.link.name, samples)
            case Samples(record=record):
                self.archive.refuse(record, "archived samples are not agreed on in this version", delivered.body)
            case Events(events=events):
                self._take_events(events, packet.corr)
            case ModuleJoined() as news:
                self._go(self._joined(news, packet.corr))
            case CommandReport() as report:
                self._go(self._reported(report, packet.corr))
            case KeyHeld() as news:
                self._go(self.hander.heard(news))
            case ReadResult() as result:
                self._go(self._read(result, packet.corr))
            case Topology() as page:
                if self.mesh.take_topology(page):
                    self._around.tell_mesh(self.link.link_id)
            case TopologyDelta() as delta:
                if self.mesh.take_delta(delta):
                    self._around.tell_mesh(self.link.link_id)
                elif not self._asking:
                    self._asking = True
                    self._go(self._learn_topology())
            case Overheard() as account:
                if self.mesh.take_overheard(account):
                    self._around.tell_mesh(self.link.link_id)
            case LinkStats() as stats:
                self.mesh.take_stats(stats)
                self._around.tell_stats(self.mesh, stats.nodes)
                self._around.tell_time(self.link.link_id)
                self._around.tell_mesh(self.link.link_id)
            case FwMissing() | FwStatus() as news if self._around.tell_firmware:
                self._go(self._around.tell_firmware(self, news))
            case _:
                self._unexpected(packet)

    @property
    def commanding(self) -> bool:
        """Whether a command is on its way to the modules, or its results on their way back."""
        return self.groups.sending or self.singles.sending or self._commands.awaited(self._around.clock.seconds())

    def rejected(self, what: Rejected) -> None:
        """What came could not be understood: an answer fails, an archive record is kept as evidence and passed."""
        self.link.take_rejected(what)
        if what.record:
            self.archive.refuse(what.record, what.detail, what.body)

    def went_down(self, why: str) -> None:
        """The session is over."""
        self.archive.halt()
        self.hander.went_down()
        cancel(self._resync)
        self._resync = None
        self.link.went_down(why)

    # ------------------------------------------------------------------ modules
    def look_after_list(self) -> None:
        """Every few seconds: a change of the list that broke off is tried again, and who is expected newly is told."""
        if self.lists.due() or self.filler.due():
            self.learn_modules()

    def learn_modules(self) -> None:
        """Ask for the list anew: the registry has changed in what concerns it."""
        if self.link.up:
            self._go(self._learn_modules())

    async def _learn_modules(self) -> None:
        modules = await self.book.refresh()
        if modules is not None:
            modules = await self.lists.put_right(modules)
            await self._learned(modules)
            filled = await self.filler.fill(modules)        # may take its time: what is there is known before
            if filled is not modules:
                await self._learned(filled)

    async def _learned(self, modules: Modules) -> None:
        self.mesh.modules = modules
        self._around.tell_mesh(self.link.link_id)
        self._around.tell_stats(self.mesh, self.mesh.stats.values())        # those that came before the list
        await self._around.registry.module_joined(joined(self.link.link_id, self._announced(modules.entries)))
        self._around.tell_list(self.link.link_id, self.link.name, modules.entries, True)

    def _announced(self, entries: tuple[ModuleEntry, ...]) -> tuple[ModuleEntry, ...]:
        """Without those that the server put on the list itself and that nobody has heard yet: they stay planned."""
        known = self._around.registry.directory.module_of_eui
        return tuple(one for one in entries if not unheard(one, known.get(one.eui)))

    async def _joined(self, news: ModuleJoined, corr: int) -> None:
        await self._around.registry.module_joined(joined(self.link.link_id, news.modules))
        self.link.answer(corr, Result(Code.OK))
        self._around.tell_list(self.link.link_id, self.link.name, news.modules, False)
        held = self.book.current
        if held is None or held.generation != news.generation or not held.tells_as(news.modules):
            modules = await self.book.refresh()
            if modules is not None:                         # the whole list: it ends what is no longer so, too
                self.mesh.modules = modules
                self._around.tell_list(self.link.link_id, self.link.name, modules.entries, True)

    async def _learn_topology(self) -> None:
        """The whole tree, page by page; a tree that changes meanwhile comes by itself."""
        try:
            page, pages = 0, 1
            while page < pages:
                answer = await self.link.ask(GetTopology(page), Topology)
                if not isinstance(answer, Topology):
                    return
                if self.mesh.take_topology(answer):
                    self._around.tell_mesh(self.link.link_id)
                page, pages = page + 1, min(answer.pages, MAX_MODULES)
        finally:
            self._asking = False

    # ------------------------------------------------------------------- events
    def _take_events(self, events: tuple[Event, ...], corr: int) -> None:
        if len(self._events_turn.waiting) >= EVENT_BATCHES:
            self.link.close(Reason.PROTOCOL, f"more than {EVENT_BATCHES} unacknowledged batches of events")
            return
        turn = self._events_turn.run(lambda: Deferred.fromCoroutine(self._events(events, corr)))
        turn.addErrback(self._events_failed)

    async def _events(self, events: tuple[Event, ...], corr: int) -> None:
        """Told to every listener, then the cursor is on the disk, then acknowledged; a repeat is told to nobody."""
        cursors, key = self._around.door.event_cursors, (self.link.link_id, self.link.hello.archive_id)
        known = cursors.get(key)
        if fresh := [event for event in events if event.sequence > known]:
            modules = await self.book.of(0)
            owners = [self._owner(event, modules) for event in fresh]
            told = [self._device_event(event, eui) for event, eui in zip(fresh, owners, strict=True)]
            moves = Deferred.fromCoroutine(self._life_cycle(fresh, owners))
            await gatherResults([self._around.tell_events(told), moves], consumeErrors=True)
            await cursors.commit(key, max(event.sequence for event in fresh))
        ack = EventAck(cursors.get(key))
        self.link.answer(corr, ack) if corr else self.link.send(ack)

    def _owner(self, event: Event, modules: Modules | None) -> int:
        """EUI of the module that had the event's index when it happened; 0 where nobody knows it."""
        before = self._around.lists.owner(self.link.link_id, event.index, event.time) if event.time_good else 0
        return before or (int(modules.euis[event.index]) if modules is not None else 0)

    def _device_event(self, event: Event, eui: int) -> DeviceEvent:
        if event.index == 0:
            device = self.link.name
        else:
            module = self._around.registry.directory.module_of_eui.get(eui)
            device = module.name if module else f"{eui:016x}" if eui else f"{self.link.name}-index-{event.index}"
        return DeviceEvent(
            device, event.code, event.raised, event.time * NS, event.time_good, event.sequence,
            None if event.channel == 255 else event.channel, self._around.clock.now(),
        )

    async def _life_cycle(self, events: Sequence[Event], owners: Sequence[int]) -> None:
        """Modules that were lost or came back are news for the registry too; discovered ones are not adopted by it."""
        states: dict[int, str] = {}
        known = self._around.registry.directory.module_of_eui
        for event, eui in zip(events, owners, strict=True):
            if event.code == EventCode.MODULE_LOST and event.index and eui:
                states[eui] = ModuleState.LOST if event.raised else ModuleState.ACTIVE
        between = (ModuleState.ACTIVE, ModuleState.LOST)
        moves = {
            eui: state for eui, state in states.items()
            if (module := known.get(eui)) is not None and module.state in between and module.state != state
        }
        if moves:
            await self._around.registry.set_module_states(moves)

    def _events_failed(self, failure: Failure) -> None:
        if not isinstance(_innermost(failure).value, LinkError | DataRejected | StorageError):   # its owner has said why
            log.failure("{name}: events could not be handled; they stay unacknowledged", failure, name=self.link.name)
        self.link.close(Reason.STORAGE, "events cannot be taken at present", STORAGE_RETRY_S)

    # ------------------------------------------------------------------ commands
    async def _reported(self, report: CommandReport, corr: int) -> None:
        """A command that nobody here remembers (a restart) was addressed to somebody in the current list."""
        if not self._commands.knows(report.command_id):
            modules = await self.book.of(0)
            self._commands.enter(report.command_id, modules.pairs if modules else ())
        self.link.answer(corr, Result(Code.OK))
        news = self._commands.news(report, self.link.link_id, self._around.clock.now())
        if news is not None:
            self._around.tell_reports(news)

    async def _read(self, result: ReadResult, corr: int) -> None:
        """Registers that were asked for; acknowledged when they are on disk, and until then the field keeps them."""
        modules = await self.book.of(0)
        await self._around.tell_readings(report_of(result, self.link.link_id, modules))
        self.link.answer(corr, Result(Code.OK))

    # --------------------------------------------------------------------- time
    async def _keep_time(self) -> None:
        self._resync = self._around.reactor.callLater(self._time.wait, lambda: self._go(self._keep_time()))
        await self._time.keep()

    def _held_until(self) -> int | None:
        """None after a restart, and while records are on their way: then hours may be held that are not counted here."""
        return self.mesh.newest_hour if self.mesh.newest_hour and self.archive.caught_up else None

    # ------------------------------------------------------------------ machinery
    def _committed(self, end_hour: int) -> None:
        self.mesh.newest_hour = max(self.mesh.newest_hour, end_hour)

    def _unexpected(self, packet: Packet) -> None:
        """Answers nobody waits for are nothing special; what only we may ask is, and so is what we do not deal with."""
        kind = packet.message.TYPE
        if kind in ANSWERS:
            return
        if kind in FROM_CONCENTRATOR:
            self.link.send(Error(Code.UNKNOWN, f"{kind.name} is not dealt with by this server", kind), packet.corr)
        else:
            self.link.send(Error(Code.DENIED, "not for a concentrator to send", kind), packet.corr)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that takes its time; a concentrator that asks faster than it is served is sent away.

        Without that bound one of them fills the registry's queue, where the audit of everybody's commands waits too.
        """
        if self._under_way >= MOST_UNDER_WAY:
            work.close()
            self.link.close(Reason.PROTOCOL, f"more than {MOST_UNDER_WAY} messages wait to be dealt with", STORAGE_RETRY_S)
            return
        self._under_way += 1

        def over(outcome: Any) -> Any:
            self._under_way -= 1
            return outcome

        def failed(failure: Failure) -> None:
            failure = _innermost(failure)
            if failure.check(LinkError, DataRejected, StorageError):
                log.warn("{problem}", problem=failure.getErrorMessage())
            else:
                log.failure("{name}: unexpected", failure, name=self.link.name)

        Deferred.fromCoroutine(work).addBoth(over).addErrback(failed)


def _innermost(failure: Failure) -> Failure:
    """What really went wrong, where several things were waited for at once."""
    while isinstance(failure.value, FirstError):
        failure = failure.value.subFailure
    return failure
