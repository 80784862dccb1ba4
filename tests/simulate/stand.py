"""A stand for faults: the real driver and the real historian on one side, two simulated concentrators on the other.

Time is a test clock, at 60 x. Bytes go through memory, in order; the historian's own threads write to a real folder.
"""

import queue
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from scada.bus import TagBus
from scada.clock import NS
from scada.commands import Action, GroupOrder, LoadClass, MemberReport, MemberState
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.service import DmeshService
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.archive import Record
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.events import DeviceEvent, EventCode
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING, IntervalStatus
from scada.settings import DmeshSettings
from scada.simulate.faults import Fault, Rig
from scada.site import Concentrator, Module, ModuleState, Site
from tests.drivers.dmesh.peers import RegistryBook, run_now
from tests.fakes import NOON, site_clock

LINKS = (0x00010203, 0x00010204)
KEYS = {link: bytes([number]) * 16 for number, link in enumerate(LINKS)}
MODULES, RATE = 24, 60.0
TARGET = 3                              # the module that faults befall
HOUR = NOON // 3600
PATIENCE = 20.0                         # s; only a broken test waits that long
Key = tuple[int, int]                   # EUI, hour


def eui(link: int, index: int) -> int:
    return 0x02DF_0000_0000_0000 + (link << 8) + index


class Reactor(MemoryReactorClock):
    """A clock that threads can hand calls to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_from_threads: queue.Queue[Callable[[], Any]] = queue.Queue()

    def callFromThread(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        self.calls_from_threads.put(lambda: function(*args, **named))


class Net:
    """Carries bytes between ends, in the order in which they were written."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Any, Callable[[], None]]] = deque()

    def run(self) -> bool:
        """Deliver what waits; whether there was anything."""
        some = bool(self.waiting)
        while self.waiting:
            _, deliver = self.waiting.popleft()
            deliver()
        return some


class End:
    """A transport whose other end is in the same process."""

    def __init__(self, net: Net, protocol: Any) -> None:
        self.net, self.protocol, self.open = net, protocol, True
        self.other: End

    def write(self, data: bytes) -> None:
        if self.open:
            self.net.waiting.append((self, lambda: self.other.arrived(data)))

    def arrived(self, data: bytes) -> None:
        if self.open:
            self.protocol.dataReceived(data)

    def loseConnection(self) -> None:
        for end in (self, self.other):
            self.net.waiting.append((end, end.lost))

    def abortConnection(self) -> None:
        self.loseConnection()

    def lost(self) -> None:
        if self.open:
            self.open = False
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def getPeer(self) -> None:
        return None

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...


class Dial:
    """An endpoint that reaches the service through memory."""

    def __init__(self, net: Net, service: DmeshService) -> None:
        self.net, self.service = net, service

    def connect(self, factory: Any) -> "Deferred[Any]":
        ours, theirs = factory.buildProtocol(None), self.service.factory.buildProtocol(None)
        assert theirs is not None
        near, far = End(self.net, ours), End(self.net, theirs)
        near.other, far.other = far, near
        theirs.makeConnection(far)
        ours.makeConnection(near)
        return succeed(ours)


class Watched:
    """The historian's store, and how much of what it was given is not durable yet."""

    def __init__(self, store: EmbeddedIntervals) -> None:
        self.store, self.under_way = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def commit(self, block: Any) -> "Deferred[Any]":
        return self._watch(self.store.commit(block))

    def commit_batch(self, batch: Any) -> "Deferred[Any]":
        return self._watch(self.store.commit_batch(batch))

    def quarantine(self, block: Any) -> "Deferred[Any]":
        return self._watch(self.store.quarantine(block))

    def pass_gap(self, provenance: Any, received: int) -> "Deferred[Any]":
        return self._watch(self.store.pass_gap(provenance, received))

    def _watch(self, deferred: "Deferred[Any]") -> "Deferred[Any]":
        self.under_way += 1

        def done(outcome: Any) -> Any:
            self.under_way -= 1
            return outcome

        return deferred.addBoth(done)


@attrs.define
class Truth:
    """What the meters gave, and what the concentrators archived of it."""

    counted: dict[Key, int] = attrs.field(factory=dict)
    archived: dict[Key, int] = attrs.field(factory=dict)


class Stand:
    """Everything wired; `run` lets site hours pass."""

    def __init__(self, folder: Path, register: int = 1000) -> None:
        self.reactor, self.net = Reactor(), Net()
        self.clock = site_clock(self.reactor, rate=RATE)
        self.historian = EmbeddedIntervals(folder / "history", self.reactor, fsync=lambda file: None, merge_delay=0.0)
        self.historian.open()
        self.historian.start()
        self.store = Watched(self.historian)
        keys = KeyStore.open(folder / "keys.store", folder / "master.key")
        for link, key in KEYS.items():
            keys.add_link(link, key)
        self.registry = RegistryBook()
        self.registry.replace(site())
        self.service = DmeshService(
            DmeshSettings(), self.clock, self.reactor, TagBus(self.clock, self.reactor), self.store, self.registry,
            keys, run_now,
        )
        self.service.start()
        self.truth, self.events, self.seen = Truth(), list[DeviceEvent](), Counter[str]()
        self.reports: dict[tuple[bytes, int], list[MemberReport]] = {}
        self.service.on_events(self._events)
        self.service.on_report(self._reports)
        self.service.on_link(lambda link, up: self.seen.update(["link.ups" if up else "link.downs"]))
        self.switched: list[tuple[int, bool]] = []
        self.clients = tuple(self._client(link) for link in LINKS)
        self.registers = dict.fromkeys(((link, index) for link in LINKS for index in range(1, MODULES + 1)), register)
        self._dice = np.random.default_rng(7)
        self._closed = HOUR
        self._commands = 0
        self._tree: tuple[dict[int, int], float] | None = None
        for client in self.clients:
            client.start()
        self.settle()

    # ------------------------------------------------------------------------------------------------ running
    @property
    def site_s(self) -> float:
        return self.clock.now() / NS

    def run(self, hours: float) -> None:
        """Let site time pass, a minute at a time."""
        for _ in range(round(hours * 60)):
            self.reactor.advance(60.0 / RATE)
            for client in self.clients:
                client.state.control.run(self.site_s)
            while self._closed < self.site_s // 3600:
                self._close_hour(self._closed)
                self._closed += 1
            self.settle()
            self._watch_tree()

    def settle(self) -> None:
        """Until nothing is under way, on the net or to the disk."""
        end = time.monotonic() + PATIENCE
        calls = self.reactor.calls_from_threads
        while self._turn() or self.store.under_way or not calls.empty():
            assert time.monotonic() < end, "something never ends"
            if self.store.under_way or not calls.empty():
                calls.get(timeout=PATIENCE)()

    def _turn(self) -> bool:
        """One turn of the loop; whether anything moved."""
        moved = self.net.run()
        self.reactor.advance(0)
        return moved or bool(self.net.waiting)

    def close(self) -> None:
        self.historian.close()

    def rig(self, seed: int = 1) -> Rig:
        return Rig(self.clients[0], TARGET, lambda: self.site_s, random.Random(seed), self.clients[1:])

    def command(self, name: str = "c", off_for_s: int = 600) -> None:
        """A group command to every load of the first concentrator."""
        self._commands += 1
        state = self.clients[0].state
        members = tuple((one.index, one.eui) for one in state.modules if one.actuator is not None)
        order = GroupOrder(
            name.encode() * 16, LINKS[0], 5, 2, Action.SHED, LoadClass.YELLOW, off_for_s,
            int(self.site_s) + 300, 0, 3, members
        )
        self.service.send(order).addErrback(lambda failure: self.seen.update(["command.failed"]))
        self.settle()

    def inquire(self, name: str = "c") -> None:
        def said(known: bool) -> None:
            self.seen.update(["command.known" if known else "command.forgotten"])

        self.service.inquire(name.encode() * 16, LINKS[0]).addCallbacks(said, lambda _: None)
        self.settle()

    # ------------------------------------------------------------------------------------------------ looking
    def look(self) -> dict[str, float]:
        """What the server shows, by the names of `scada.simulate.faults.expect`."""
        seen: dict[str, float] = dict(self.seen)
        (health,) = self.service.health()
        seen |= {f"dmesh.{name}": value for name, value in health.figures.items()}
        end = time.monotonic() + PATIENCE
        while len(self.historian.merging):
            assert time.monotonic() < end
            time.sleep(0.002)
        seen |= {f"historian.{name}": value for name, value in self.historian.health().figures.items()}
        for event in self.events:
            name = f"{'event' if event.raised else 'cleared'}.{EventCode(event.code).name}"
            seen[name] = seen.get(name, 0) + 1
        for history in self.reports.values():
            for state in {one.state for one in history}:
                seen[f"member.{state.name}"] = seen.get(f"member.{state.name}", 0) + 1
            for reason in {one.reason for one in history if one.state is MemberState.REFUSED}:
                seen[f"refused.{reason}"] = seen.get(f"refused.{reason}", 0) + 1
        seen["loads.switched"] = len([1 for _, supplied in self.switched if not supplied])
        seen["loads.off"] = sum(
            not one.actuator.supplied for one in self.clients[0].state.modules if one.actuator is not None
        )
        seen["tree.told"] = self.service.views()[0].generation
        seen["joined.elsewhere"] = len({
            one.eui for one in self.registry.joined if one.link_id != self._home(one.eui)
        })
        return seen | self._hours()

    def held(self) -> tuple[dict[Key, int], dict[Key, int]]:
        """Pulses and status bits that the store holds, by EUI and hour."""
        euis = np.array([eui(link, index) for link in LINKS for index in range(1, MODULES + 1)], dtype=np.uint64)
        slots = self.historian.slots(euis, np.zeros(len(euis), dtype=np.uint8))
        there = slots >= 0
        series = self.historian.read(slots[there], HOUR, self._closed - HOUR)
        pulses: dict[Key, int] = {}
        status: dict[Key, int] = {}
        for row, one in enumerate(euis[there].tolist()):
            for column in range(series.counts.shape[1]):
                status[one, HOUR + column] = int(series.status[row, column])
                if series.counts[row, column] != MISSING:
                    pulses[one, HOUR + column] = int(series.counts[row, column])
        return pulses, status

    def lost_and_doubled(self) -> tuple[list[Key], list[Key]]:
        """Readings that were archived and are not held; and those held with another value than was archived first."""
        held, _ = self.held()
        lost = [key for key in self.truth.archived if key not in held]
        return lost, [key for key, value in held.items() if self.truth.archived.get(key) != value]

    def _hours(self) -> dict[str, float]:
        held, status = self.held()
        target = eui(LINKS[0], TARGET)
        true = self.truth.counted
        seen: dict[str, float] = {
            "hours.missing": sum(key not in held for key in true),
            "hours.zero": sum(value == 0 for value in held.values()),
            "pulses.more": sum(value > true[key] for key, value in held.items()),
            "pulses.fewer": sum(value < true[key] for key, value in held.items()),
            "pulses.sum_off": abs(sum(value - true[key] for key, value in held.items() if key[0] == target)),
        }
        for bit in IntervalStatus:
            seen[f"flagged.{bit.name}"] = sum(bool(value & bit) for value in status.values())
        return seen

    # ------------------------------------------------------------------------------------------------ private
    def _client(self, link: int) -> ConcentratorClient:
        outputs = Outputs(
            on_supply=lambda eui, supplied, at: self.switched.append((eui, supplied)),
            on_record=lambda record: self._recorded(link, record),
        )
        state = ConcentratorState(
            link, KEYS[link],
            tuple(SimModule(index, eui(link, index), 1, "AD220/50", Actuator(LoadClass.YELLOW))
                  for index in range(1, MODULES + 1)),
            started=float(NOON), archive_id=77, boot_id=1, outputs=outputs, out_of_reach=0.0, max_frame=1024,
        )
        return ConcentratorClient(state, self.reactor, Dial(self.net, self.service), lambda: self.site_s, dice=lambda: 0.5)

    def _recorded(self, link: int, record: Record) -> None:
        client = self.clients[LINKS.index(link)]
        owners = {one.index: one.eui for one in client.state.entries(client.state.generations[record.profile.generation])}
        for row, index in enumerate(record.profile.index.tolist()):
            for column, count in enumerate(record.profile.counts[row].tolist()):
                key = owners[index], record.profile.first_hour + column
                if count != MISSING and key[1] >= HOUR:
                    self.truth.archived.setdefault(key, count)

    def _watch_tree(self) -> None:
        """Changes between two looks at the tree of the first concentrator, as the server shows it."""
        view = self.service.views()[0]
        parents = {one.index: one.parent for one in view.nodes}
        delivery = float(np.mean([one.delivery for one in view.nodes])) if view.nodes else float("nan")
        archive = self.clients[0].state.archive
        self.seen["archive.minutes_behind"] += int(archive.newest > archive.acknowledged)
        before, self._tree = self._tree, (parents, delivery)
        if before is not None:
            moved = sum(parents.get(index, parent) != parent for index, parent in before[0].items())
            self.seen["tree.moved"] += moved
            self.seen["mesh.delivery_fell"] += int(delivery < 0.95 * before[1])

    def _close_hour(self, hour: int) -> None:
        names = [(link, index) for link in LINKS for index in range(1, MODULES + 1)]
        pulses = self._dice.integers(40, 90, len(names))
        registers = np.array([self.registers[one] for one in names], dtype=np.int64) % 2**32
        euis = np.array([eui(*one) for one in names], dtype=np.uint64)
        for one, count in zip(names, pulses.tolist(), strict=True):
            self.registers[one] += count
            self.truth.counted[eui(*one), hour] = count
        for client in self.clients:
            client.state.close_hour(
                hour, euis, np.zeros(len(names), np.uint8), registers, pulses, np.zeros(len(names), np.uint8)
            )

    def _events(self, events: Sequence[DeviceEvent]) -> "Deferred[None]":
        self.events += events
        return succeed(None)

    def _reports(self, reports: Sequence[MemberReport]) -> None:
        for one in reports:
            self.reports.setdefault((one.command_id, one.eui), []).append(one)

    def _home(self, one: int) -> int:
        return (one >> 8) & 0xFFFF_FFFF


def site() -> Site:
    names = {link: f"C0{number}" for number, link in enumerate(LINKS, 1)}
    modules = tuple(
        Module(eui(link, index), f"{names[link]}-{index:03d}", names[link], index, ModuleState.ACTIVE)
        for link in LINKS for index in range(1, MODULES + 1)
    )
    return Site(concentrators=tuple(Concentrator(name, link) for link, name in names.items()), modules=modules)


def play(stand: Stand, fault: Fault, hours: float = 3.0, *, really: bool = True) -> dict[str, float]:
    """Two quiet hours, the fault for some, and what it takes to come back; what changed since it would have begun."""
    stand.run(2.0 + 0.5)
    before = stand.look()
    if fault.command == "before":
        stand.command()
        stand.run(2 / 60)
    undo = fault.begin(stand.rig()) if really else lambda: None
    stand.settle()
    if fault.command in ("during", "twice"):
        twice = fault.command == "twice"
        stand.command("c", 900 if twice else 600)
        stand.command("d", 900) if twice else None
    stand.run(0.5)
    stand.inquire() if fault.command == "before" else None
    stand.run(hours - 0.5)
    undo()
    stand.run(3.0)
    after = stand.look()
    return {name: value - (0 if name == "loads.off" else before.get(name, 0)) for name, value in after.items()}
