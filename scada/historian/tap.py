"""Listens to the bus and hands what is to be kept to a writing function, twice a second, in a worker's thread.

Live values are not acknowledged to anybody; when they cannot be written the oldest waiting ones go, counted.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, succeed

from scada.historian.refusals import sqlite_sentence
from scada.historian.worker import Worker
from scada.ports import TagSource, Unsubscribe
from scada.tags import Batch, Device, TagDef, tag_id

FLUSH_S: Final = 0.5                                # real time between two writes: durable within a second
WAITING_SAMPLES: Final = 500_000


@attrs.frozen(eq=False)
class Kept:
    """Which of a device's tags are kept; one object per definition of a device, so that it can be a key."""

    columns: NDArray[np.intp]
    names: tuple[str, ...]
    tags: tuple[TagDef, ...]


Taken = tuple[Kept, Batch]


class BusTap:
    """One listener of the bus (reactor thread)."""

    def __init__(
        self, bus: TagSource, reactor: Any, worker: Worker, name: str, where: Path, write: Callable[[list[Taken]], None]
    ) -> None:
        self._bus, self._reactor, self._worker = bus, reactor, worker
        self._name, self._where, self._write = name, where, write
        self._kept: dict[str, Kept] = {}
        self._waiting: deque[Taken] = deque()
        self._samples = 0
        self._writing: Deferred[Any] | None = None
        self._timer: Any = None
        self._unsubscribe: list[Unsubscribe] = []
        self.tags = 0                               # that are kept, of all devices
        self.written = self.dropped = 0
        self.trouble = ""

    def start(self) -> None:
        for device in self._bus.devices().values():
            self._learn(device)
        self._unsubscribe = [
            self._bus.on_devices(self._learn), self._bus.subscribe(self._take, name=self._name, bound=50_000)
        ]
        self._timer = self._reactor.callLater(FLUSH_S, self._tick)

    def stop(self) -> "Deferred[Any]":
        """Stop listening; fires when what waited is written, or cannot be."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return Deferred.fromCoroutine(self._finish())

    def flush(self) -> "Deferred[Any]":
        """Write what waits; one write at a time."""
        if self._writing is not None or not self._waiting:
            return succeed(None)
        taken, self._waiting, self._samples = list(self._waiting), deque(), 0
        self._writing = self._worker.call(self._write, taken)
        self._writing.addCallbacks(self._done, self._failed, callbackArgs=(taken,), errbackArgs=(taken,))
        return self._writing

    # ------------------------------------------------------------------ private
    async def _finish(self) -> None:
        if self._writing is not None:
            done: Deferred[None] = Deferred()
            self._writing.addBoth(lambda _: done.callback(None))
            await done
        await self.flush()

    def _learn(self, device: Device) -> None:
        kept = [place for place, tag in enumerate(device.tags) if tag.historise]
        names = tuple(tag_id(device.name, device.tags[place].point) for place in kept)
        before = self._kept.get(device.name)
        self.tags += len(names) - (len(before.names) if before is not None else 0)
        self._kept[device.name] = Kept(
            np.array(kept, dtype=np.intp), names, tuple(device.tags[place] for place in kept)
        )

    def _take(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            kept = self._kept.get(batch.device)
            if kept is None or not kept.names or batch.at <= 0 or len(batch.values) <= kept.columns[-1]:
                continue                            # nothing to keep, or nothing was ever received
            self._waiting.append((kept, batch))
            self._samples += len(kept.names)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        while self._samples > WAITING_SAMPLES:
            gone = len(self._waiting.popleft()[0].names)
            self._samples -= gone
            self.dropped += gone

    def _tick(self) -> None:
        self._timer = self._reactor.callLater(FLUSH_S, self._tick)
        self.flush()

    def _done(self, _: Any, taken: list[Taken]) -> None:
        self._writing = None
        self.trouble = ""
        self.written += sum(len(kept.names) for kept, _ in taken)

    def _failed(self, failure: Any, taken: list[Taken]) -> None:
        self._writing = None
        self._waiting.extendleft(reversed(taken))
        self._samples += sum(len(kept.names) for kept, _ in taken)
        self._drop_oldest()
        if failure.check(sqlite3.Error):
            self.trouble = sqlite_sentence(self._name, self._where, failure.value)
        else:
            self.trouble = f"{self._name} in {self._where} cannot be written: {failure.getErrorMessage()}"
