"""Driver and simulated concentrators on real pseudo-terminals, one line for each kind of trouble, as a process of its own.

Between the two terminals of a line sits a relay that loses, delays, cuts up or adds to what it carries. Prints one JSON
object: for each line, what came of it.
"""

import asyncio
import json
import os
import random
import sys
import time
import tty
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

LOOP = asyncio.new_event_loop()
asyncioreactor.install(LOOP)

import numpy as np  # noqa: E402
from twisted.internet import reactor as installed  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import LoopingCall, deferLater  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import HOUR_S, NS, SiteClock, TimeMap  # noqa: E402
from scada.commands import Action, GroupOrder, LoadClass  # noqa: E402
from scada.drivers.dmesh import groups, session  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.numbers import KeyTarget  # noqa: E402
from scada.drivers.dmesh.serial_port import PortKeeper  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.drivers.dmesh.simulator.actuator import Actuator  # noqa: E402
from scada.drivers.dmesh.simulator.serial import SerialConcentrators  # noqa: E402
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule  # noqa: E402
from scada.drivers.dmesh.turns import Port  # noqa: E402
from scada.settings import DmeshSettings  # noqa: E402
from tests.drivers.dmesh.peers import LINK_ID, RegistryBook, Store  # noqa: E402
from tests.ports import free_port  # noqa: E402

reactor: Any = installed
LINKS = (LINK_ID, LINK_ID + 1)
HOURS, MODULES = 30, 4
LONGEST_S = 70.0
NOW = time.time_ns()                    # the radio is ten times as fast as a real one


groups.COMMAND_T1_S = 1.0               # a test does not wait ten seconds for a frame that was lost
session.T1_RANGE = (1, 1)


class Relay:
    """Carries bytes between the masters of two terminals, with one kind of trouble."""

    def __init__(self, kind: str) -> None:
        self.kind, self._dice = kind, random.Random(kind)
        self.troubles = 0
        self.ends: list[int] = []
        self.names: list[str] = []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self.ends.append(master)
            self.names.append(os.ttyname(slave))
        for here, there in ((0, 1), (1, 0)):
            LOOP.add_reader(self.ends[here], self._carry, self.ends[here], self.ends[there])

    def _carry(self, here: int, there: int) -> None:
        data, dice = os.read(here, 4096), self._dice
        match self.kind:
            case "a byte at a time":
                self.troubles += len(data)
                for number, byte in enumerate(data):
                    reactor.callLater(0.0002 * number, os.write, there, bytes([byte]))
                return
            case "delayed":
                self.troubles += 1
                reactor.callLater(0.06, os.write, there, data)
                return
            case "lossy" if dice.random() < 0.08:
                self.troubles += 1
                at = dice.randrange(len(data))
                data = data[:at] + data[at + dice.randrange(1, 20):]
            case "noisy" if dice.random() < 0.15:
                self.troubles += 1
                data = dice.choice([b"\x00\xffDM\x10", b"DM\x10\x80\x03\xff", dice.randbytes(40)]) + data
        os.write(there, data)


class Bench:
    """One line with two concentrators."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.relay, self.clock, self.kind = Relay(kind), SiteClock(TimeMap(real0=NOW, site0=NOW, rate=10)), kind
        folder.mkdir()
        keys = KeyStore.open(folder / "keys.store", folder / "master.key")
        self.keys, self.store = keys, Store()
        for link in LINKS:
            keys.add_link(link, link.to_bytes(16, "big"))
        settings = DmeshSettings(
            host="127.0.0.1", port=free_port(),
            serial=[{"device": self.relay.names[0], "link_ids": [f"{link:08x}" for link in LINKS], "answer_seconds": 0.4}],
        )
        self.service = DmeshService(
            settings, self.clock, reactor, TagBus(self.clock, reactor), self.store, RegistryBook(), keys
        )
        self.switched: Counter[tuple[int, bool]] = Counter()
        self.executed = 0
        self.states = [self._state(link) for link in LINKS]
        self.line = SerialConcentrators(reactor, self.states, lambda: self.clock.now() / NS)
        self.field = PortKeeper(reactor, Port(self.relay.names[1], 115200, "N"), lambda: self.line)

    def _state(self, link: int) -> ConcentratorState:
        now = float(self.clock.seconds())
        modules = tuple(SimModule(n, link << 16 | n, 1, actuator=Actuator(LoadClass.YELLOW)) for n in range(1, MODULES + 1))
        state = ConcentratorState(
            link, link.to_bytes(16, "big"), modules, started=now - 3 * 86400, archive_id=7, boot_id=1, max_frame=1024,
            out_of_reach=0.0, outputs=Outputs(on_supply=lambda eui, on, at: self.switched.update([(eui, on)])),
        )
        eui = np.array([one.eui for one in modules], dtype=np.uint64)
        zero = np.zeros(MODULES, dtype=np.uint8)
        for hour in range(HOURS):
            first = int(now) // HOUR_S - HOURS + hour
            state.close_hour(first, eui, zero, np.full(MODULES, 100 + 5 * hour), np.full(MODULES, 5), zero)
        return state

    async def run(self) -> dict[str, Any]:
        ended = self.clock.monotonic() + LONGEST_S
        self.service.start()
        self.field.start()
        beat = LoopingCall(lambda: [state.control.run(self.clock.now() / NS) for state in self.states])
        beat.start(0.1)
        self.keys.begin([(KeyTarget.LINK, LINKS[0])], int(time.time()))
        outcome = "not sent"
        while self.clock.monotonic() < ended and not self._done(outcome):
            await deferLater(reactor, 0.1, lambda: None)
            if outcome != "accepted" and self.service.link_up(LINKS[1]):
                outcome = await self._shed()
        beat.stop()
        (health,) = self.service.health()
        ring = self.keys.ring((KeyTarget.LINK, LINKS[0]))
        records = Counter((one.provenance.link_id, one.provenance.record) for one in self.store.blocks)
        found = {
            "trouble": self.relay.troubles,
            "records": len(records), "expected": sum(state.archive.newest for state in self.states),
            "twice": sum(count > 1 for count in records.values()),
            "outcome": outcome, "off": sorted(count for (_, on), count in self.switched.items() if not on),
            "rotated": ring is not None and ring.active == self.states[0].keys.link.active and ring.active.number > 0,
            "acknowledged": all(state.archive.acknowledged == state.archive.newest for state in self.states),
            "figures": dict(health.figures),
        }
        await self.service.stop()
        self.field.stop()
        return found

    def _done(self, outcome: str) -> bool:
        off = sum(not on for _, on in self.switched)
        ring = self.keys.ring((KeyTarget.LINK, LINKS[0]))
        acknowledged = all(state.archive.acknowledged == state.archive.newest for state in self.states)
        return outcome == "accepted" and off == MODULES and acknowledged and ring is not None and ring.new is None

    async def _shed(self) -> str:
        """The same command id as long as it is not accepted: a concentrator executes it once."""
        members = tuple((one.index, one.eui) for one in self.states[1].modules)
        now = self.clock.seconds()
        order = GroupOrder(b"c" * 16, LINKS[1], 5, 1, Action.SHED, LoadClass.YELLOW, 600, now + 300, 0, 1, members)
        try:
            await self.service.send(order)
        except Exception as error:          # a test: whatever it is, is told
            return f"{type(error).__name__}: {error}"
        return "accepted"


async def main(folder: Path) -> None:
    kinds = ("normal", "a byte at a time", "lossy", "delayed", "noisy")
    benches = [Bench(kind, folder / kind.replace(" ", "-")) for kind in kinds]
    running = [Deferred.fromCoroutine(bench.run()) for bench in benches]
    print(json.dumps({bench.kind: await one for bench, one in zip(benches, running, strict=True)}), flush=True)
    reactor.stop()


if __name__ == "__main__":
    def failed(failure: Any) -> None:
        failure.printTraceback()
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main(Path(sys.argv[1]))).addErrback(failed))
    reactor.run()
