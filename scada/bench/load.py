"""The other side of `scada bench commit`: concentrators with full archives, in a process of their own."""

import asyncio
import json
import sys
import time
from typing import Any

import cbor2
import numpy as np

from scada.bench.commit import CHANNELS, CONCENTRATORS, DAYS, FIRST_LINK, MODULES, key_of
from scada.drivers.dmesh.profile import Profile
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule


def concentrator(link: int, day: int, on_acknowledged: Any) -> ConcentratorState:
    """A subnet whose archive holds `DAYS` days before `day` [h since 1970]."""
    modules = tuple(SimModule(index, link << 16 | index, CHANNELS) for index in range(1, MODULES + 1))
    state = ConcentratorState(
        link, key_of(link), modules, started=0.0, archive_id=1, boot_id=1, outputs=Outputs(on_acknowledged=on_acknowledged)
    )
    chance = np.random.default_rng(link)
    rows = MODULES * CHANNELS
    register = np.zeros(rows, dtype=np.int64)
    for back in range(DAYS, 0, -1):
        counts = chance.poisson(120, (rows, 24)).astype(np.int64)
        state.archive.append(Profile(
            first_hour=day - 24 * back,
            index=(np.arange(rows) // CHANNELS + 1).astype(np.uint16),
            channel=(np.arange(rows) % CHANNELS).astype(np.uint8),
            register=register,
            counts=counts,
            status=np.zeros((rows, 24), dtype=np.uint8),
            generation=1,
        ))
        register = register + counts.sum(axis=1)
    return state


def main(port: int) -> None:
    from twisted.internet import asyncioreactor

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    from twisted.internet import reactor as installed
    from twisted.internet.endpoints import TCP4ClientEndpoint

    reactor: Any = installed
    today = int(time.time()) // 86400 * 24
    waiting = {FIRST_LINK + number for number in range(CONCENTRATORS)}
    states: dict[int, ConcentratorState] = {}
    began = 0.0

    def acknowledged(link: int, cursor: int) -> None:
        if cursor >= states[link].archive.newest:
            waiting.discard(link)
        if not waiting and reactor.running:
            seconds = time.monotonic() - began
            print(json.dumps({"seconds": seconds, "readings": readings, "bytes": size}), flush=True)
            reactor.stop()

    for link in sorted(waiting):
        states[link] = concentrator(link, today, lambda cursor, link=link: acknowledged(link, cursor))
    size = sum(
        len(cbor2.dumps(record.block)) for state in states.values() for record in iter_records(state)
    )
    readings = CONCENTRATORS * MODULES * CHANNELS * DAYS * 24
    for state in states.values():
        ConcentratorClient(state, reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port), time.time).start()
    began = time.monotonic()
    reactor.run()


def iter_records(state: ConcentratorState) -> Any:
    number = 0
    while (record := state.archive.after(number)) is not None:
        number = record.number
        yield record


if __name__ == "__main__":
    main(int(sys.argv[1]))
