"""What ten thousand live values a second cost, from the bus to the disk: processor, time to durable, time of a commit."""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from twisted.internet.defer import Deferred

from scada.bench import Figure
from scada.bench.children import json_of, process
from scada.bench.historian.pulses import FIRST_HOUR
from scada.clock import NS, NS_PER_MS
from scada.errors import ScadaError
from scada.historian.samples import Samples, encode
from scada.historian.service import open_reader

DEVICES: Final = 304                    # three-phase meters that say 33 values each second
POINTS: Final = 33
SECONDS: Final = 60.0
PER_S: Final = 20                       # times a second some of them speak


def measure(devices: int = DEVICES, seconds: float = SECONDS) -> list[Figure]:
    """A minute in a process of its own; all of it is read back."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as folder:
        child = process("historian.live", folder, str(devices), str(seconds))
        said = json_of(child)
        child.wait(60)
    what = f"{devices * POINTS:,} live values/s for {seconds:.0f} s"
    return [
        Figure("live_core_share", f"{what}, bus and history: share of a core", 100 * said["share"], "%"),
        Figure("live_commit_p99_ms", f"{what}: time of a commit, 99th percentile", said["p99_ms"], "ms"),
        Figure("live_durable_s", f"{what}: from published to durable, longest", said["oldest_s"], "s"),
        Figure("live_bytes_per_value", "an hour of a voltage to 0.01 V, once a second to the millisecond", chunk(), "B"),
    ]


def chunk() -> float:
    """Size of a value, its time and its quality in an hour's chunk. [B]"""
    rng = np.random.default_rng(4)
    at = FIRST_HOUR * 3600 * NS + np.arange(3600) * NS + rng.integers(0, 9, 3600) * NS_PER_MS
    volts = np.round(230 + np.cumsum(rng.normal(0, 0.05, 3600)), 2)
    _, blob = encode(Samples(np.full(3600, 7, np.int32), at, volts, np.zeros(3600, np.uint8)))
    return len(blob) / 3600


def main(folder: Path, devices: int, seconds: float) -> None:
    from scada import loop

    loop.install()
    from twisted.internet import reactor as installed

    from scada.bus import TagBus
    from scada.clock import SiteClock
    from scada.historian.service import Historian
    from scada.settings import HistorianSettings
    from scada.tags import Batch, Device, TagDef

    reactor: Any = installed
    clock = SiteClock()
    bus = TagBus(clock, reactor)
    names = [f"T{number:03d}" for number in range(devices)]
    for name in names:
        bus.add_device(Device(name, tuple(TagDef(f"p{point}") for point in range(POINTS))))
    historian = Historian(HistorianSettings(), folder, clock, reactor, bus)
    files: Any = historian._files
    append, took, ages = files.append, [], []
    rng = np.random.default_rng(2)
    level = 230 + rng.normal(0, 3, (devices, POINTS))

    def timed(new: Sequence[tuple[int, str]], samples: Any, bands: Any = ()) -> None:
        began = time.perf_counter()
        append(new, samples, bands)
        took.append(time.perf_counter() - began)
        ages.append((clock.now() - int(samples.at.min())) / 1e9)

    def publish(turn: int) -> None:
        level[:] += rng.normal(0, 0.1, level.shape) if turn % PER_S == 0 else 0.0
        now, quality = clock.now() // NS_PER_MS * NS_PER_MS, np.zeros(POINTS, np.uint8)
        for number in range(turn % PER_S, devices, PER_S):
            bus.publish(Batch(names[number], np.round(level[number], 2), quality, now, now))

    async def run() -> None:
        files.append = timed
        await historian.start()
        began, used, turn = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            publish(turn)
            turn += 1
            pause: Deferred[None] = Deferred()
            reactor.callLater(max(0.0, began + turn / PER_S - time.perf_counter()), pause.callback, None)
            await pause
        share = (time.process_time() - used) / (time.perf_counter() - began)
        await historian.stop()
        _compare(folder / "history", names[0], -(-turn // PER_S))
        print(json.dumps({
            "share": share, "p99_ms": 1000 * float(np.percentile(took, 99)), "oldest_s": max(ages),
        }), flush=True)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addErrback(_failed, reactor))
    reactor.run()


def _failed(failure: Any, reactor: Any) -> None:
    failure.printTraceback()
    reactor.stop()


def _compare(history: Path, name: str, times: int) -> None:
    reader = open_reader(history)
    kept = len(reader.live.read(f"{name}/p0", 0, 2**62).at)
    reader.close()
    if kept != times:
        raise ScadaError(f"{name} said {times} values, {kept} are kept")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
