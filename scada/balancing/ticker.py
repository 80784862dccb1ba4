"""Every second: one snapshot of the bus becomes the live figures of all transformers, published where they moved."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from scada.balancing.transformers import Image, Metered, metered
from scada.ports import Registry, TagSink, TagSource
from scada.tags import Batch, Device

EVERY_S: Final = 1.0                    # real time between two images of the transformers


class TransformerTicker:
    """`failed` hears of a bad second; the next one is computed all the same."""

    def __init__(
        self, registry: Registry, bus: TagSource, sink: TagSink, reactor: Any, failed: Callable[[Failure], None]
    ) -> None:
        self._registry, self._bus, self._sink, self._failed = registry, bus, sink, failed
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor
        self._metered = Metered((), np.empty((0, 0), dtype=np.intp), np.empty(0))
        self._outdated, self._meters = True, frozenset[str]()
        self._last: Image | None = None

    @property
    def transformers(self) -> int:
        """So many are metered."""
        return len(self._metered.devices)

    def start(self) -> None:
        self._loop.start(EVERY_S, now=False)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def registry_changed(self) -> None:
        self._outdated = True
        self._meters = frozenset(one.meter for one in self._registry.directory.site.transformers)

    def device_added(self, added: Device) -> None:
        self._outdated |= added.name in self._meters

    def _tick(self) -> None:
        try:
            self._image_now()
        except Exception:                                  # one bad second must not end all that follow
            self._failed(Failure())

    def _image_now(self) -> None:
        snapshot = self._bus.snapshot()
        if self._outdated:
            known = self._bus.devices()
            self._metered = metered(self._registry.directory.site.transformers, known, snapshot.index)
            self._outdated, self._last = False, None
            for one in self._metered.devices:
                if known.get(one.name) != one:
                    self._sink.add_device(one)
        if not self._metered.devices:
            return
        image, last = self._metered.image(snapshot), self._last
        self._last = image
        moved = image.at > 0
        if last is not None:
            moved &= (image.at != last.at) | (image.quality != last.quality).any(axis=1)
        for row in np.flatnonzero(moved):
            name = self._metered.devices[row].name
            self._sink.publish(Batch(name, image.values[row], image.quality[row], int(image.at[row]), snapshot.taken))
