"""How many values a second the bus takes, hands to a listener, and copies into a snapshot."""

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from twisted.internet.task import Clock

from scada.bench import Figure
from scada.bus import TagBus
from scada.clock import SiteClock
from scada.tags import Batch, Device, TagDef

DEVICES: Final = 300
POINTS: Final = 33                      # of a three-phase meter: about 10,000 tags in all
TURNS: Final = 50
ROUNDS: Final = 5


def measure() -> list[Figure]:
    """Best of five rounds; one listener that reads every batch."""
    reactor = Clock()
    bus = TagBus(SiteClock(), reactor)
    names = [f"D{number}" for number in range(DEVICES)]
    for name in names:
        bus.add_device(Device(name, tuple(TagDef(f"p{point}") for point in range(POINTS))))
    batches = [Batch(name, np.ones(POINTS), np.zeros(POINTS, dtype=np.uint8), 1, 1) for name in names]
    heard = 0

    def listen(batches: Sequence[Batch]) -> None:
        nonlocal heard
        heard += sum(len(batch.values) for batch in batches)

    bus.subscribe(listen, name="bench")
    rates, snapshots = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TURNS):
            for batch in batches:
                bus.publish(batch)
            reactor.advance(0)
        rates.append(TURNS * DEVICES * POINTS / (time.perf_counter() - began))
        began = time.perf_counter()
        bus.snapshot()
        snapshots.append(time.perf_counter() - began)
    if heard != ROUNDS * TURNS * DEVICES * POINTS:
        raise AssertionError("the bus lost values")
    return [
        Figure("bus_values", f"bus, publish to listener, {POINTS} values a batch", max(rates), "values/s"),
        Figure("bus_snapshot", f"bus, snapshot of {DEVICES * POINTS} tags", min(snapshots) * 1000, "ms"),
    ]
