"""How fast frames become durable and readable through the production door: commit, journal, merge; no network before it."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, gatherResults

from scada.bench import Figure
from scada.bench.children import json_of, process
from scada.bench.historian.pulses import FIRST_DAY, Pulses
from scada.errors import ScadaError, StorageBusy
from scada.historian.service import open_reader
from scada.intervals import IntervalBatch, Provenance

CHANNELS: Final = 21                    # of a frame of 1,024 bytes with 24 hours
HOURS: Final = 24
LINKS: Final = 280                      # concentrators of 714 channels: 34 frames each
OF_A_LINK: Final = 34
TOGETHER: Final = 64                    # frames that one turn of the loop puts together
UNDER_WAY: Final = 24                   # such batches


def measure(links: int = LINKS) -> list[Figure]:
    """A day of known channels: those of a concentrator one after the other; then any in each frame. It is read back."""
    figures = []
    for name, words, of_frame in (
        ("commit", "together", "channels of a concentrator together"),
        ("commit_random", "random", "channels in random order"),
    ):
        with tempfile.TemporaryDirectory(prefix="scada-bench-") as folder:
            child = process("historian.frames", folder, words, str(links))
            said = json_of(child)
            child.wait(60)
        text = f"frames of {CHANNELS} channels x {HOURS} h, {of_frame}"
        figures += [
            Figure(f"{name}_{kind}", f"{text}: until the last is {what}", said["readings"] / said[seconds], "readings/s")
            for kind, what, seconds in (("per_s", "merged", "merged_s"), ("durable_per_s", "durable", "durable_s"))
        ]
    return figures


class Frames:
    """The batches that the driver would hand in: a day of each channel."""

    def __init__(self, links: int, day: int, random: bool) -> None:
        self.first, self._record = day * HOURS, (day - FIRST_DAY) * OF_A_LINK
        channels = links * OF_A_LINK * CHANNELS
        self.pulses = Pulses.make()
        order = np.random.default_rng(5).permutation(channels) if random else np.arange(channels)
        self.eui = np.uint64(0x00124B0000000001) + (order // 3).astype(np.uint64)
        self.channel = (order % 3).astype(np.uint8)
        self.counts = self.pulses.counts.reshape(-1, HOURS)[order % (self.pulses.counts.size // HOURS)]
        self.register = np.asarray(order, dtype=np.int64) * 1000
        self.frames = channels // CHANNELS

    @property
    def readings(self) -> int:
        return self.frames * CHANNELS * HOURS

    def batch(self, start: int) -> IntervalBatch:
        """Frames from `start` on."""
        frames = range(start, min(start + TOGETHER, self.frames))
        rows = slice(frames.start * CHANNELS, frames.stop * CHANNELS)
        sources = [
            Provenance(0xBE000001 + number // OF_A_LINK, 7, self._record + number % OF_A_LINK + 1) for number in frames
        ]
        return IntervalBatch(
            np.full(len(frames), CHANNELS), np.full(len(frames), self.first), sources, self.eui[rows], self.channel[rows],
            self.counts[rows], self.register[rows], np.zeros((rows.stop - rows.start, HOURS), np.uint8), received=1,
        )


def main(folder: Path, random: bool, links: int) -> None:
    from scada import loop

    loop.install()
    from twisted.internet import reactor as installed

    from scada.historian.store import EmbeddedIntervals

    reactor: Any = installed
    store = EmbeddedIntervals(folder, reactor)
    known, frames = Frames(links, FIRST_DAY, False), Frames(links, FIRST_DAY + 1, random)
    said: dict[str, float] = {"readings": frames.readings}
    sys.setswitchinterval(0.0002)
    store.open()
    store.start()

    async def feed(source: Frames, starts: list[int]) -> None:
        while starts:
            batch = source.batch(starts.pop())
            while True:
                try:
                    await store.commit_batch(batch)
                    break
                except StorageBusy:                         # as the driver does: a little later
                    await _pause(reactor, 0.02)

    async def send(source: Frames) -> None:
        starts, began = [*range(0, source.frames, TOGETHER)][::-1], time.perf_counter()
        await gatherResults([Deferred.fromCoroutine(feed(source, starts)) for _ in range(UNDER_WAY)])
        said["durable_s"] = time.perf_counter() - began
        while len(store.merging):
            await _pause(reactor, 0.005)
        said["merged_s"] = time.perf_counter() - began

    async def run() -> None:
        await send(known)
        await send(frames)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()))
    reactor.run()
    store.close()
    _compare(folder, frames)
    print(json.dumps(said), flush=True)


def _pause(reactor: Any, seconds: float) -> "Deferred[None]":
    pause: Deferred[None] = Deferred()
    reactor.callLater(seconds, pause.callback, None)
    return pause


def _compare(folder: Path, frames: Frames) -> None:
    history = open_reader(folder)
    chosen: NDArray[np.int64] = np.linspace(0, len(frames.eui) - 1, 500).astype(np.int64)
    slots = history.intervals.slots(frames.eui[chosen], frames.channel[chosen])
    stored = history.intervals.read(slots, frames.first, HOURS).counts
    history.close()
    if not np.array_equal(stored, frames.counts[chosen]):
        raise ScadaError("what was committed is not what is stored")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "random", int(sys.argv[3]))
