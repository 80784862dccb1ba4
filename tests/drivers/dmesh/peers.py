"""A concentrator for tests, written from docs/dmlp.md on the codec alone, and fakes of what the service is handed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.testing import MemoryReactorClock, StringTransport

from scada.bus import TagBus
from scada.clock import SiteClock
from scada.drivers.dmesh import crypto, frame, messages, profile
from scada.drivers.dmesh.frame import Frame, FrameDecoder
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.messages import (
    Auth,
    Challenge,
    Hello,
    KeyConfirm,
    KeyPut,
    Message,
    ModuleEntry,
    ModuleList,
    Packet,
    Ping,
    Pong,
    Result,
)
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.service import DmeshService
from scada.drivers.dmesh.transport import Connection
from scada.errors import StorageError
from scada.intervals import HOURLY, IntervalBatch, IntervalBlock, Mark, Provenance, Quarantined
from scada.settings import DmeshSettings
from scada.site import Concentrator, Directory, JoinedModule, Module, ModuleState, Site
from tests.fakes import NOON, site_clock

LINK_ID = 0x00010203
LINK_KEY = bytes(range(16))
NONCE = bytes(range(0xA0, 0xB0))
HOUR = NOON // 3600


def hello(**changes: Any) -> Hello:
    """The HELLO of a usual concentrator."""
    usual = Hello(
        min_version=0x10, max_version=0x10, link_id=LINK_ID, boot_id=1, archive_id=7, max_frame=4096, nonce=NONCE,
        model="test", t1=15, t3=20, oldest=1, newest=9,
    )
    return attrs.evolve(usual, **changes)


class Peer:
    """The concentrator's end of a connection: bytes in, messages out."""

    def __init__(self, greeting: Hello | None = None, link_key: bytes = LINK_KEY) -> None:
        self.hello, self.key = greeting or hello(), link_key
        self.decoder = FrameDecoder(16384)
        self.channel: crypto.Channel | None = None
        self.bodies: list[bytes] = []
        self.heard: list[Packet] = []
        self._corr = 0

    @property
    def messages(self) -> list[Message]:
        return [packet.message for packet in self.heard]

    def greeting(self) -> bytes:
        self.bodies = [messages.encode(self.hello)]
        return frame.encode(Frame(self.hello.link_id, self.bodies[0]))

    def take(self, data: bytes) -> list[Packet]:
        """What the server sent; the newest packets."""
        found = []
        for event in self.decoder.feed(data):
            assert isinstance(event, Frame), event
            body = event.body
            if event.secured:
                assert self.channel is not None
                opened = self.channel.open(event)
                assert isinstance(opened, bytes), opened
                body = opened
            packet = messages.decode(body)
            assert isinstance(packet, Packet), packet
            if isinstance(packet.message, Challenge):
                self.bodies.append(body)
            found.append(packet)
        self.heard += found
        return found

    def proof(self, challenge: Challenge) -> bytes:
        """AUTH, after the server's own proof was checked."""
        auth_key = crypto.auth_key(self.key)
        without = messages.without(self.bodies[1], messages.CHALLENGE_MAC_KEY)
        if self.key == LINK_KEY:
            assert challenge.mac == crypto.handshake_mac(auth_key, crypto.ROLE_SERVER, [self.bodies[0], without])
        mac = crypto.handshake_mac(auth_key, crypto.ROLE_CONCENTRATOR, [*self.bodies, messages.encode(Auth())])
        keys = crypto.session_keys(self.key, self.hello.nonce, challenge.nonce)
        self.channel = crypto.Channel(keys, self.hello.link_id, server=False)
        return frame.encode(Frame(self.hello.link_id, messages.encode(Auth(mac))))

    def sealed(self, message: Message, corr: int = 0) -> bytes:
        return self.sealed_body(messages.encode(message, corr))

    def sealed_body(self, body: bytes) -> bytes:
        assert self.channel is not None
        return frame.encode(self.channel.seal(body))


class Wire:
    """A peer on a connection of the service, over `StringTransport`."""

    def __init__(self, service: DmeshService, peer: Peer | None = None) -> None:
        self.peer = peer or Peer()
        self.modules: dict[int, tuple[ModuleEntry, ...] | None] = {1: entries(3)}
        self.generation = 1
        self.replies: dict[type[Message], Callable[[Any], Message | None]] = {}
        connection = service.factory.buildProtocol(None)
        assert connection is not None
        self.connection: Connection = connection
        self.transport = Socket(self)
        self.connection.makeConnection(self.transport)

    def shake(self) -> "Wire":
        """The whole handshake, and what the server asks first."""
        self.connection.dataReceived(self.peer.greeting())
        (challenge,) = self.read()
        assert isinstance(challenge.message, Challenge), challenge
        self.connection.dataReceived(self.peer.proof(challenge.message))
        self.serve()
        return self

    def read(self) -> list[Packet]:
        data = self.transport.value()
        self.transport.clear()
        return self.peer.take(data)

    def say(self, message: Message, corr: int = 0) -> None:
        """A message to the server, then everything the server asks in turn is answered."""
        self.connection.dataReceived(self.peer.sealed(message, corr))
        self.serve()

    def say_body(self, body: bytes) -> None:
        """The same with a body no message makes."""
        self.connection.dataReceived(self.peer.sealed_body(body))
        self.serve()

    def serve(self) -> None:
        self._turn()
        while packets := self.read():
            for packet in packets:
                if packet.corr and (reply := self._reply(packet.message)) is not None:
                    self.connection.dataReceived(self.peer.sealed(reply, packet.corr))
            self._turn()

    def _turn(self) -> None:
        """What the server does at the end of a turn of its loop."""
        self.connection.reactor.advance(0)

    def said(self, kind: type[Message]) -> list[Any]:
        """What the server sent of one kind so far."""
        return [message for message in self.peer.messages if isinstance(message, kind)]

    def _reply(self, message: Message) -> Message | None:
        if type(message) in self.replies:
            return self.replies[type(message)](message)
        match message:
            case messages.GetModules(generation=generation):
                found = self.modules.get(generation or self.generation)
                return ModuleList(generation or self.generation, 0, 1, found) if found is not None else Result(Code.UNKNOWN)
            case Ping(time=time):
                return Pong(time, time, True)
            case KeyPut() as put:
                key = crypto.unwrap(self.peer.key, put.wrapped)
                assert isinstance(key, bytes)
                return KeyConfirm(put.target, put.number, put.key_id, crypto.key_check(key))
            case messages.TimeSet() | messages.GroupSet():
                return Result(Code.OK)
            case messages.GroupCommand():
                return Result(Code.ACCEPTED)
        return None


class Socket(StringTransport):
    """A `StringTransport` that closes when asked to."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire, self.closed = wire, False

    def loseConnection(self) -> None:
        self.closed = True

    def abortConnection(self) -> None:
        self.closed = True


def entries(count: int) -> tuple[ModuleEntry, ...]:
    return tuple(ModuleEntry(index, 0xD100_0000 + index, 1) for index in range(1, count + 1))


def day(
    record_hour: int = HOUR - 24, modules: Sequence[int] = (1, 2), generation: int = 1, value: int = 5
) -> profile.Profile:
    """A day of one channel per module."""
    n = len(modules)
    return profile.Profile(
        record_hour, np.array(modules, dtype=np.uint16), np.zeros(n, dtype=np.uint8), np.full(n, 1000, dtype=np.int64),
        np.full((n, 24), value, dtype=np.int64), np.zeros((n, 24), dtype=np.uint8), HOURLY, generation,
    )


def record(number: int, **changes: Any) -> messages.ProfileMessage:
    """A PROFILE with a day in it."""
    return messages.ProfileMessage(number, profile.encode(day(**changes)))


class Store:
    """An `IntervalStore` whose disk the test turns: `release` makes durable, `broken` fails."""

    def __init__(self, *, automatic: bool = True) -> None:
        self.automatic, self.broken = automatic, False
        self.blocks: list[IntervalBlock] = []
        self.quarantined: list[Quarantined] = []
        self.gaps: list[Provenance] = []
        self.reached: dict[tuple[int, int], int] = {}
        self._waiting: list[Deferred[Any]] = []

    def commit(self, block: IntervalBlock) -> "Deferred[Mark]":
        mark = Mark(np.zeros(len(block.eui), np.int64), block.first, block.counts.shape[1], block.interval_s)
        return self._durable(lambda: self.blocks.append(block), block.provenance).addCallback(lambda _: mark)

    def commit_batch(self, batch: IntervalBatch) -> "Deferred[Any]":
        """One write a block, as `release` tells them apart; all or nothing is another test's."""
        writes = [self.commit(block) for block in batch.blocks()]
        return gatherResults(writes, consumeErrors=True).addCallbacks(self._slots_of, _first_error)

    def _slots_of(self, marks: list[Any]) -> Any:
        return np.concatenate([mark.slots for mark in marks])

    def quarantine(self, block: Quarantined) -> "Deferred[None]":
        return self._durable(lambda: self.quarantined.append(block), block.provenance)

    def pass_gap(self, provenance: Provenance, received: int) -> "Deferred[None]":
        self.gaps.append(provenance)
        return succeed(None)

    def cursor(self, link_id: int, archive_id: int) -> int:
        return self.reached.get((link_id, archive_id), 0)

    def subscribe(self, listener: Callable[[Mark], None]) -> Callable[[], None]:
        return lambda: None

    def release(self, which: int = 0) -> None:
        """One write that waits becomes durable."""
        self._waiting.pop(which).callback(None)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _durable(self, keep: Callable[[], None], provenance: Provenance) -> "Deferred[Any]":
        if self.broken:
            return fail(StorageError("the disk is full"))

        def done(_: object) -> None:
            keep()
            key = (provenance.link_id, provenance.archive_id)
            self.reached[key] = max(self.reached.get(key, 0), provenance.record)

        written: Deferred[Any] = Deferred()
        written.addCallback(done)
        if self.automatic:
            written.callback(None)
        else:
            self._waiting.append(written)
        return written


def _first_error(failure: Any) -> Any:
    return getattr(failure.value, "subFailure", failure)


class RegistryBook:
    """A `Registry` in memory: one concentrator, three modules, two of them adopted."""

    def __init__(self) -> None:
        modules = tuple(
            Module(0xD100_0000 + index, f"C01-{index:03d}", "C01", index, ModuleState.ACTIVE) for index in (1, 2)
        )
        self._directory = Directory(Site(concentrators=(Concentrator("C01", LINK_ID),), modules=modules))
        self.joined: list[JoinedModule] = []
        self.states: list[tuple[int, str]] = []
        self._listeners: list[Callable[[Directory], None]] = []

    @property
    def directory(self) -> Directory:
        return self._directory

    def subscribe(self, listener: Callable[[Directory], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def replace(self, site: Site) -> None:
        self._directory = Directory(site)
        for listener in tuple(self._listeners):
            listener(self._directory)

    def module_joined(self, modules: Sequence[JoinedModule]) -> "Deferred[tuple[Module, ...]]":
        self.joined += modules
        return succeed(())

    def adopt(self, actor: Any, eui: int) -> "Deferred[Module]":
        raise NotImplementedError

    def set_module_states(self, states: Mapping[int, str]) -> "Deferred[None]":
        self.states += [(eui, str(state)) for eui, state in states.items()]
        return succeed(None)


@attrs.define
class Bench:
    """The service with everything around it."""

    reactor: MemoryReactorClock
    clock: SiteClock
    bus: TagBus
    store: Store
    registry: RegistryBook
    keys: KeyStore
    service: DmeshService

    def value(self, tag: str) -> float:
        return self.bus.snapshot().get(tag)[0]


def run_now(function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
    """Instead of a thread."""
    return succeed(function(*args))


def bench(
    tmp_path: Any, *, trusted: bool = True, automatic: bool = True, state_file: Path | None = None, **settings: Any
) -> Bench:
    reactor = MemoryReactorClock()
    clock = site_clock(reactor, trusted=trusted)
    bus = TagBus(clock, reactor)
    store, registry = Store(automatic=automatic), RegistryBook()
    keys = KeyStore.open(tmp_path / "keys.store", tmp_path / "master.key")
    keys.add_link(LINK_ID, LINK_KEY)
    service = DmeshService(
        DmeshSettings(**settings), clock, reactor, bus, store, registry, keys, run_now, state_file=state_file
    )
    service.start()
    return Bench(reactor, clock, bus, store, registry, keys, service)


