"""The real driver and the real simulated concentrator, joined by memory, frame by frame: any frame can be the last."""

import json
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransport

from scada.bus import TagBus
from scada.drivers.dmesh import frame, keyring
from scada.drivers.dmesh.frame import FrameDecoder
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.numbers import KeyTarget
from scada.drivers.dmesh.service import DmeshService
from scada.drivers.dmesh.simulator.session import ConcentratorSession
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule
from scada.settings import DmeshSettings
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, RegistryBook, Store, run_now
from tests.fakes import NOON, site_clock

EUIS = tuple(0xD100_0000 + index for index in range(1, 4))


class ConcentratorDisk:
    """Where the simulated concentrator keeps its keys and its module list."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, target: KeyTarget, number: int, ring: Ring) -> None:
        held = self._all() | {f"{target.name} {number}": keyring.dumped(ring)}
        self.path.write_text(json.dumps(held, default=bytes.hex), encoding="ascii")

    def keep_list(self, memory: dict[str, Any]) -> None:
        self.path.with_suffix(".list").write_text(json.dumps(memory), encoding="ascii")

    def list_memory(self) -> dict[str, Any] | None:
        path = self.path.with_suffix(".list")
        return json.loads(path.read_text(encoding="ascii")) if path.exists() else None

    def rings(self) -> dict[tuple[str, int], Ring]:
        def key(value: Any) -> Any:
            return None if value is None else [value[0], bytes.fromhex(value[1])]

        return {
            (name.split()[0], int(name.split()[1])): keyring.loaded([*map(key, value[:3]), *value[3:]])
            for name, value in self._all().items()
        }

    def _all(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="ascii")) if self.path.exists() else {}
        return found


class Meeting:
    """Both ends over both disks; either can be killed at any moment."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.settings = folder, settings
        self.reactor = MemoryReactorClock()
        self.clock = site_clock(self.reactor)
        self.disk = ConcentratorDisk(folder / "concentrator.json")
        self.registry = RegistryBook()                      # its database outlives the server
        self.start_server()
        self.start_concentrator()
        self.session: ConcentratorSession | None = None
        self.connection: Any = None
        self.carried = 0                                    # frames, in both directions

    def start_server(self) -> None:
        """Also after a kill: nothing is taken along but the disk."""
        self.keys = KeyStore.open(self.folder / "keys.store", self.folder / "master.key")
        if self.keys.link_key(LINK_ID) is None and not (self.folder / "keys.store").exists():
            self.keys.add_link(LINK_ID, LINK_KEY)
        self.service = DmeshService(
            DmeshSettings(**self.settings), self.clock, self.reactor, TagBus(self.clock, self.reactor), Store(),
            self.registry, self.keys, run_now, state_file=self.folder / "dmesh.sqlite",
        )
        self.service.start()

    def start_concentrator(self) -> None:
        rings = self.disk.rings()
        self.state = ConcentratorState(
            LINK_ID, rings.get(("LINK", LINK_ID), LINK_KEY),
            tuple(SimModule(index, eui, 1) for index, eui in enumerate(EUIS, 1)),
            started=float(NOON), archive_id=7, boot_id=1, out_of_reach=0.0,
        )
        self.state.keys.modules.update({number: ring for (target, number), ring in rings.items() if target == "MODULE"})
        self.state.keys.keep = self.disk.keep
        if (kept := self.disk.list_memory()) is not None:
            self.state.recall_list(kept)
        self.state.keep_list = lambda: self.disk.keep_list(self.state.list_memory())

    def connect(self, frames: int | None = None) -> bool:
        """Talk until nobody has anything to say, or `frames` were carried and the link breaks; whether it is up."""
        self.connection = self.service.factory.buildProtocol(None)
        self.transport = StringTransport()
        self.transport.loseConnection = self.transport.abortConnection = lambda: None   # type: ignore[method-assign]
        self.connection.makeConnection(self.transport)
        self._to_server: list[bytes] = []
        self._ours, self._theirs = FrameDecoder(16384), FrameDecoder(16384)
        seconds = self.clock.real
        self.session = ConcentratorSession(
            self.state, bytes(15) + bytes([self.carried % 256]), self._to_server.append, lambda reason: None,
            lambda: float(self.clock.seconds()), real=lambda: float(seconds()),
        )
        self.session.start()
        whole = self.carry(frames)
        if not whole:
            self.cut()
        return whole and bool(self.connection.up)

    def carry(self, frames: int | None = None) -> bool:
        """Carry frames in turns; False if the link broke at the limit, with all that was still under way."""
        left = frames
        while True:
            sent = self.transport.value()
            self.transport.clear()
            down, up = self._ours.feed(sent), self._theirs.feed(b"".join(self._to_server))
            self._to_server.clear()
            if not down and not up:
                return True
            for to_server, events in ((False, down), (True, up)):
                for one in events:
                    if left == 0:
                        return False
                    left = None if left is None else left - 1
                    self.carried += 1
                    data = frame.encode(one)                # type: ignore[arg-type]
                    assert self.session is not None
                    self.connection.dataReceived(data) if to_server else self.session.receive(data)

    def cut(self) -> None:
        if self.session is not None:
            self.session.lost()
            self.connection.connectionLost()

    def live(self, seconds: int) -> None:
        """Both ends go on talking, and the radio goes its way."""
        for _ in range(seconds // 5):
            self.reactor.advance(5.0)
            self.state.control.run(float(self.clock.seconds()))
            self.carry()

    def beat(self) -> None:
        """The server's own loop comes round."""
        self.reactor.advance(5.0)
        self.carry()
