"""How long the watch over a thousand transformers holds the loop: each second, and when ten minutes are over.

Real bus, real alarms, and the real log of the historian as their listener.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.bench import Figure
from scada.bench.children import json_of, process
from scada.clock import NS
from scada.site import Directory, Site, Transformer

TRANSFORMERS: Final = 1000
SECONDS: Final = 30
BEFORE_S: Final = 12                    # ten minutes are over so long after the beginning
WARM_S: Final = 4.0                     # until everything that is done once is done
PER_TURN: Final = 20                    # readings that arrive together
BOUNDARY_S: Final = 490_896 * 3600


def measure(transformers: int = TRANSFORMERS, seconds: int = SECONDS) -> list[Figure]:
    """In a process of its own."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        child = process("balance.watching", name, str(transformers), str(seconds))
        said = json_of(child)
        child.wait(60)
    of = f"{transformers} transformers read once a second, their ten minutes among it"
    return [
        Figure("watch_turn_ms", f"longest turn of the loop, {of}", said["turn"], "ms"),
        Figure("watch_turn_cpu_ms", "processor time of that turn", said["turn_cpu"], "ms"),
        Figure("watch_start_ms", "longest turn while transformers become known", said["start"], "ms"),
        Figure("watch_share", "of a core, all of the process", said["share"], ""),
    ]


def main(folder: Path, transformers: int, seconds: int) -> None:
    from scada import loop

    selector = loop.install()
    from twisted.internet import reactor as installed

    from scada.alarms.service import AlarmService
    from scada.balancing.meters import INPUTS, VOLTAGE
    from scada.balancing.watching import WatchService
    from scada.bus import TagBus
    from scada.clock import SiteClock, TimeMap
    from scada.historian.service import Historian
    from scada.settings import HistorianSettings, TransformerSettings
    from scada.tags import Batch, Device, TagDef

    reactor: Any = installed
    sys.setswitchinterval(0.0002)
    clock = SiteClock(TimeMap(time.time_ns(), (BOUNDARY_S - BEFORE_S) * NS))
    bus, pool = TagBus(clock, reactor), ThreadPool(1, 4, "bench")
    names = [f"T{number:04d}-meter" for number in range(transformers)]
    registry: Any = _Registry(Site(transformers=tuple(
        Transformer(name.removesuffix("-meter"), "", 400.0, "", name) for name in names
    )))
    historian = Historian(HistorianSettings(), folder, clock, reactor, bus)
    field, audit = cast(Any, _Field()), cast(Any, _Audit())
    alarms = AlarmService(
        bus, field, registry, audit, bus.of("alarms"), clock, reactor, folder, pool
    )
    watch = WatchService(
        TransformerSettings(), registry, bus, alarms, bus.of("watching"), clock, reactor, folder, pool
    )
    points, rng = tuple(TagDef(point) for point in INPUTS), np.random.default_rng(3)

    async def run() -> dict[str, float]:
        pool.start()
        for name in names:
            bus.add_device(Device(name, points, ("Transformer",)))
        for part in (historian, alarms, watch):
            await part.start()
        await deferLater(reactor, 0)
        selector.take()                                     # what this measurement itself has prepared
        began, used = time.perf_counter(), time.process_time()
        said: dict[str, float] = {}
        for second in range(seconds):
            if second == round(WARM_S):
                said["start"], _ = selector.take()
                began, used = time.perf_counter(), time.process_time()
            for first in range(0, transformers, PER_TURN):
                now = clock.now()
                for name in names[first:first + PER_TURN]:
                    values = np.concatenate((230 + rng.normal(0, 1, len(VOLTAGE)), rng.uniform(100, 400, 3)))
                    bus.publish(Batch(name, values, np.zeros(len(INPUTS), np.uint8), now, now))
                await deferLater(reactor, 0.8 * PER_TURN / transformers)
            await deferLater(reactor, 0.1)
        said["turn"], said["turn_cpu"] = selector.take()
        said["share"] = (time.process_time() - used) / (time.perf_counter() - began)
        for part in (watch, alarms, historian):
            await part.stop()
        pool.stop()
        return said

    said: list[Any] = []

    def ended(one: Any) -> None:
        said.append(one)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addBoth(ended))
    reactor.run()
    if isinstance(said[0], Failure):
        said[0].raiseException()
    print(json.dumps(said[0]), flush=True)


class _Registry:
    def __init__(self, site: Site) -> None:
        self.directory = Directory(site)

    def subscribe(self, listener: Any) -> Any:
        return lambda: None


class _Field:
    """No device says anything."""

    def on_events(self, listener: Any) -> Any:
        return lambda: None


class _Audit:
    def append(self, *entry: Any, **detail: Any) -> None:
        """Nobody acts."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
