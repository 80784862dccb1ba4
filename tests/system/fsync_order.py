"""Driver, historian and simulated concentrators in one process over real sockets; tells what happened in which order.

Run as: python -m tests.system.fsync_order FOLDER [hasty]

`hasty` puts a store between them that answers before the disk has: so that the test sees what it looks for.
The last line it prints is a JSON list of ["synced", segment, size] and ["said", link, archive, cursor], in the order
in which an fsync had returned and an ARCH_ACK was about to be written.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

from twisted.internet import reactor  # noqa: E402
from twisted.internet.defer import Deferred, succeed  # noqa: E402
from twisted.internet.task import LoopingCall  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import NS, SiteClock, TimeMap  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.messages import ArchAck, Message  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.drivers.dmesh.transport import Connection  # noqa: E402
from scada.historian.service import Historian  # noqa: E402
from scada.settings import DmeshSettings, HistorianSettings  # noqa: E402
from scada.simulate.app import Simulation  # noqa: E402
from scada.simulate.options import Options  # noqa: E402
from tests.drivers.dmesh.peers import RegistryBook  # noqa: E402
from tests.ports import free_port  # noqa: E402

SLOW_DISK_S = 0.02
HISTORY_H = 40
events: list[list[Any]] = []            # appended to by two threads; each append is one step


def slow_sync(file: int) -> None:
    """A disk that takes its time, so that whoever does not wait for it is early."""
    size = os.fstat(file).st_size
    segment = int(Path(os.readlink(f"/proc/self/fd/{file}")).stem)
    time.sleep(SLOW_DISK_S)
    os.fdatasync(file)
    events.append(["synced", segment, size])


class Overheard(Connection):
    """Writes down every ARCH_ACK before a byte of it is written."""

    def send(self, message: Message, corr: int = 0) -> None:
        self._note(message)
        super().send(message, corr)

    def answer(self, corr: int, message: Message) -> None:
        self._note(message)
        super().answer(corr, message)

    def _note(self, message: Message) -> None:
        hello = self.session.hello
        if isinstance(message, ArchAck) and hello is not None:
            events.append(["said", hello.link_id, hello.archive_id, message.cursor])


class Hasty:
    """Answers at once, as no store may."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def commit(self, block: Any) -> "Deferred[None]":
        self._store.commit(block)
        return succeed(None)

    def commit_batch(self, batch: Any) -> "Deferred[Any]":
        self._store.commit_batch(batch)
        return succeed(np.zeros(len(batch.eui), dtype=np.int64))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def play(folder: Path, hasty: bool) -> None:
    clock = SiteClock(TimeMap(time.time_ns(), time.time_ns(), 1.0))
    bus, port = TagBus(clock, reactor), free_port()
    historian = Historian(HistorianSettings(), folder, clock, reactor, bus, fsync=slow_sync)
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    store: Any = Hasty(historian.intervals) if hasty else historian.intervals
    dmesh = DmeshService(DmeshSettings(port=port), clock, reactor, bus, store, RegistryBook(), keys)
    await historian.start()
    await dmesh.start()

    def watched(address: Any, make: Any = dmesh.factory.buildProtocol) -> Any:
        connection = make(address)
        connection.__class__ = Overheard
        return connection

    dmesh.factory.buildProtocol = watched               # type: ignore[method-assign]
    options = Options(
        host="127.0.0.1", port=port, modbus_port=0, keys_file=folder / "field-keys.json",
        truth_file=folder / "truth.json", history_hours=HISTORY_H, start_s=clock.now() // NS,
    )
    field = Simulation(options, clock, reactor, on_failure=lambda error: print(error, file=sys.stderr))
    for link, key in json.loads((folder / "field-keys.json").read_text()).items():
        keys.add_link(int(link, 16), bytes.fromhex(key))
    await field.start()
    await everything_acknowledged(field)
    await field.stop()
    await dmesh.stop()
    await historian.stop()


def everything_acknowledged(field: Simulation) -> "Deferred[Any]":
    def look() -> None:
        archives = [state.archive for state in field.field.concentrators]
        if all(archive.acknowledged >= archive.newest >= HISTORY_H for archive in archives):
            looking.stop()

    looking = LoopingCall(look)
    return looking.start(0.05)


def main(folder: Path, hasty: bool) -> None:
    def begin() -> None:
        done = Deferred.fromCoroutine(play(folder, hasty))
        done.addErrback(lambda failure: failure.printTraceback(file=sys.stderr))
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    print(json.dumps(events))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "hasty" in sys.argv[2:])
