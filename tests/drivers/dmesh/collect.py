"""The driver with a real historian and a simulated concentrator that loses hours, over TCP, for `test_collection.py`.

Prints what came of it as one line of JSON and ends.
"""

import asyncio
import json
import sys
import time
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
from scada.clock import DAY_H, HOUR_S, NS, SiteClock, TimeMap  # noqa: E402
from scada.commands import Actor, Origin, Role  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.drivers.dmesh.simulator.client import ConcentratorClient  # noqa: E402
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule  # noqa: E402
from scada.events import EventCode  # noqa: E402
from scada.historian.store import EmbeddedIntervals  # noqa: E402
from scada.ports import RecallState  # noqa: E402
from scada.settings import CollectionSettings, DmeshSettings  # noqa: E402
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, RegistryBook  # noqa: E402

DEPTH, MODULES = 2, 6                   # days; modules of one channel each


def field(now_hour: int) -> tuple[ConcentratorState, np.ndarray, int]:
    """A concentrator with five days of hours and holes in them; the pulses that there really were."""
    modules = tuple(SimModule(index, 0xD100_0000 + index, 1) for index in range(1, MODULES + 1))
    first = (now_hour // DAY_H - DEPTH - 2) * DAY_H
    state = ConcentratorState(LINK_ID, LINK_KEY, modules, started=first * 3600.0, archive_id=7, boot_id=1)
    state.hole(2, now_hour - 30, now_hour - 26)
    state.hole(3, now_hour - 20, now_hour - 17)
    state.hole(4, now_hour - 20, now_hour - 17)
    state.hole(5, now_hour - 12, now_hour - 10, kept=False)
    state.hole(6, first + 5, first + 9)                     # beyond the archive's depth
    truth = np.random.default_rng(1).integers(1, 500, (MODULES, now_hour - 2 - first))
    euis = np.array([one.eui for one in modules], dtype=np.uint64)
    register = np.zeros(MODULES, dtype=np.int64)
    for column in range(truth.shape[1]):
        nothing = np.zeros(MODULES, dtype=np.uint8)
        state.close_hour(first + column, euis, nothing, register, truth[:, column], nothing)
        register = register + truth[:, column]
    return state, truth, first


async def run(port: int, folder: Path) -> dict[str, Any]:
    real = time.time_ns()
    clock = SiteClock(TimeMap(real, real // (HOUR_S * NS) * HOUR_S * NS + HOUR_S * NS // 2))   # no hour ends meanwhile
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add_link(LINK_ID, LINK_KEY)
    store = EmbeddedIntervals(folder / "history", reactor)
    store.open()
    store.start()
    settings = DmeshSettings(
        host="127.0.0.1", port=port, credit=64, collection=CollectionSettings(depth_days=DEPTH, answer_seconds=5)
    )
    bus = TagBus(clock, reactor)
    told: list[tuple[str, int, int]] = []

    def hear(events: Any) -> "Deferred[None]":
        told.extend((one.device, one.code, one.sequence) for one in events if one.code == EventCode.HOURS_GIVEN_UP)
        return succeed(None)

    now_hour = clock.hour()
    state, truth, first = field(now_hour)
    service = DmeshService(
        settings, clock, reactor, bus, store, RegistryBook(), keys, state_file=folder / "dmesh.sqlite", reader=store
    )
    service.on_events(hear)
    await service.start()
    client = ConcentratorClient(state, reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port), lambda: clock.now() / 1e9)
    client.start()
    state.plight.busy = 2
    lacking = []
    for _ in range(200):
        await deferLater(reactor, 0.1)
        missing = bus.snapshot().get("C01-collection/missing")[0] if "C01-collection" in bus.devices() else -1.0
        if not lacking or missing != lacking[-1]:
            lacking.append(missing)
        (health,) = service.health()
        if missing == 2 and health.figures["reads_empty"]:
            break
    await deferLater(reactor, 1.0)                          # what was committed is merged
    given_up = bus.snapshot().get("C01-collection/given_up")[0]
    anna = Actor("anna", Role.ENGINEER, origin=Origin.CLI)
    wished = await service.ask_again(anna, "C01", [], first, 24)
    for _ in range(100):
        await deferLater(reactor, 0.1)
        if service.recalls()[0].state is RecallState.DONE:
            break
    await client.stop()
    await service.stop()
    while store.health().figures["unmerged"]:
        await deferLater(reactor, 0.05)
    euis = np.arange(0xD100_0001, 0xD100_0001 + MODULES, dtype=np.uint64)
    slots = store.slots(euis, np.zeros(MODULES, dtype=np.uint8))
    held = store.read(slots, first, truth.shape[1]).counts
    conflicts = store.health().figures["conflicts"]
    wrong = np.argwhere((held != truth) & (held >= 0))
    missing_at = [(int(row) + 1, int(column) + first - now_hour) for row, column in np.argwhere(held < 0)]
    store.close()
    return {
        "wished": [wished.lacking, service.recalls()[0].brought, service.recalls()[0].state.value],
        "lacking": lacking, "figures": dict(health.figures), "told": told, "given_up": given_up, "conflicts": conflicts,
        "wrong": wrong.tolist(), "missing": missing_at, "beyond": first + 5 - now_hour, "day": first // DAY_H,
    }


def main(port: int, folder: Path) -> None:
    def over(outcome: Any) -> None:
        print(json.dumps(outcome) if isinstance(outcome, dict) else outcome.getTraceback(), flush=True)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run(port, folder)).addBoth(over))
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
