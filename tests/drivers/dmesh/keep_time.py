"""The driver with a real historian and a simulated concentrator whose clock is wrong, over TCP, for `test_timekeeping.py`.

Prints what came of it as one line of JSON and ends.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

import numpy as np  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.internet.defer import Deferred, succeed  # noqa: E402
from twisted.internet.endpoints import TCP4ClientEndpoint  # noqa: E402
from twisted.internet.task import deferLater  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import HOUR_S, NS, SiteClock  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.drivers.dmesh.simulator.client import ConcentratorClient  # noqa: E402
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule  # noqa: E402
from scada.events import EventCode  # noqa: E402
from scada.historian.store import EmbeddedIntervals  # noqa: E402
from scada.settings import DmeshSettings  # noqa: E402
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, RegistryBook  # noqa: E402

CLOCK = (EventCode.CLOCK_SET, EventCode.CLOCK_SET_BACK)
EUIS = np.array([0xD100_0001, 0xD100_0002], dtype=np.uint64)
NOTHING = np.zeros(2, dtype=np.uint8)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        await deferLater(reactor, 0.05)
    raise AssertionError("it never came")


async def run(port: int, folder: Path) -> dict[str, Any]:
    clock = SiteClock()
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add_link(LINK_ID, LINK_KEY)
    store = EmbeddedIntervals(folder / "history", reactor)
    store.open()
    store.start()
    bus = TagBus(clock, reactor)
    told: list[tuple[str, int]] = []

    def hear(events: Any) -> "Deferred[None]":
        told.extend((one.device, one.code) for one in events if one.code in CLOCK)
        return succeed(None)

    settings = DmeshSettings(host="127.0.0.1", port=port)
    service = DmeshService(settings, clock, reactor, bus, store, RegistryBook(), keys, state_file=folder / "dmesh.sqlite")
    service.on_events(hear)
    await service.start()
    now = clock.now() / NS
    state = ConcentratorState(
        LINK_ID, LINK_KEY, tuple(SimModule(index, int(eui), 1) for index, eui in enumerate(EUIS, 1)), started=now,
        archive_id=7, boot_id=1,
    )
    state.clock.step(-12.0)
    client = ConcentratorClient(state, reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port), lambda: clock.now() / NS)
    client.start()

    def value(point: str) -> float:
        return bus.snapshot().get(f"C01-time/{point}")[0] if "C01-time" in bus.devices() else float("nan")

    await until(lambda: value("offset") < -1)
    measured, told_first = value("offset"), list(told)
    began, before = clock.now() / NS, state.clock.offset(clock.now() / NS)
    await deferLater(reactor, 1.0)
    ended = clock.now() / NS
    slewed = before, state.clock.offset(ended), ended - began

    client.hold()
    state.plight.clock_lost = -2.0 * HOUR_S
    hour = clock.hour()
    for early in (hour - 2, hour - 1):
        state.close_hour(early, EUIS, NOTHING, np.zeros(2, np.int64), np.full(2, 7), NOTHING)
    client.release()
    await until(lambda: bool(told) and not state.plight.clock_lost)
    await until(lambda: value("steps") == 1)
    await deferLater(reactor, 1.0)                          # what was committed is merged
    held = store.read(store.slots(EUIS, NOTHING), hour, 2)
    await client.stop()
    await service.stop()
    store.close()
    return {
        "measured": measured, "told_first": told_first, "slewed": slewed, "told": told,
        "offset": state.clock.offset(clock.now() / NS), "marked": held.status[held.counts >= 0].tolist(),
    }


def main(port: int, folder: Path) -> None:
    def over(outcome: Any) -> None:
        print(json.dumps(outcome) if isinstance(outcome, dict) else outcome.getTraceback(), flush=True)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run(port, folder)).addBoth(over))
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
