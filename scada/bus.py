"""The process image: the last value of every tag in a few arrays, and who hears of changes.

`publish` writes into the arrays at once and queues the batch; listeners are called once per loop turn with all
that came. A snapshot copies the arrays under a lock, so it is one instant even from another thread.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import numpy as np

from scada.clock import SiteClock
from scada.tags import BAD, Batch, Device, Quality, Snapshot, TagId, tag_id

FIRST_CAPACITY: Final = 1024
Listener = Callable[[Sequence[Batch]], None]


class LaterCall(Protocol):
    """The part of a Twisted reactor that the bus needs."""

    def callLater(self, delay: float, callable: Callable[[], Any], /) -> Any: ...


@attrs.define(eq=False)
class Subscriber:
    """One listener's queue: bounded; the oldest batches go first, and are counted."""

    name: str
    listener: Listener
    queue: deque[Batch]
    dropped: int = 0
    failed: int = 0


class TagBus:
    """Implements `TagSink` and `TagSource`."""

    def __init__(
        self,
        clock: SiteClock,
        reactor: LaterCall,
        on_failure: Callable[[str, BaseException], None] = lambda name, error: None,
    ) -> None:
        self._clock, self._reactor, self._on_failure = clock, reactor, on_failure
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}
        self._places: dict[str, Any] = {}                  # device -> slice or index array into the image
        self._ids: list[TagId] = []
        self._index: dict[TagId, int] = {}
        self._frozen_ids: tuple[TagId, ...] = ()
        self._values = np.full(FIRST_CAPACITY, np.nan)
        self._quality = np.full(FIRST_CAPACITY, Quality.BAD_WAITING, dtype=np.uint8)
        self._at = np.zeros(FIRST_CAPACITY, dtype=np.int64)
        self._received = np.zeros(FIRST_CAPACITY, dtype=np.int64)
        self._stale_after = np.zeros(FIRST_CAPACITY, dtype=np.int64)
        self._owner: list[str] = []                        # device of each position
        self._subscribers: list[Subscriber] = []
        self._device_listeners: list[Callable[[Device], None]] = []
        self._pending = False
        self.published = 0                                 # values, since start

    # ------------------------------------------------------------------ TagSink
    def add_device(self, device: Device) -> None:
        with self._lock:
            positions = []
            for tag in device.tags:
                key = tag_id(device.name, tag.point)
                position = self._index.get(key)
                if position is None:
                    position = len(self._ids)
                    self._grow_to(position + 1)
                    self._ids.append(key)
                    self._owner.append(device.name)
                    self._index[key] = position
                self._stale_after[position] = tag.stale_after
                positions.append(position)
            self._places[device.name] = _as_slice(positions)
            self._devices = {**self._devices, device.name: device}
            self._frozen_ids = ()
        for listener in tuple(self._device_listeners):
            listener(device)

    def publish(self, batch: Batch) -> None:
        place = self._places[batch.device]
        with self._lock:
            self._values[place] = batch.values
            self._quality[place] = batch.quality
            self._at[place] = batch.at
            self._received[place] = batch.received
        self.published += len(batch.values)
        self._queue(batch)

    def disconnected(self, device: str) -> None:
        self._degrade(device, Quality.BAD_NOT_CONNECTED)

    # ---------------------------------------------------------------- TagSource
    def snapshot(self) -> Snapshot:
        with self._lock:
            size = len(self._ids)
            if len(self._frozen_ids) != size:
                self._frozen_ids = tuple(self._ids)
            shot = Snapshot(
                ids=self._frozen_ids,
                index=self._index,
                values=self._values[:size].copy(),
                quality=self._quality[:size].copy(),
                at=self._at[:size].copy(),
                received=self._received[:size].copy(),
                taken=self._clock.now(),
            )
        for array in (shot.values, shot.quality, shot.at, shot.received):
            array.flags.writeable = False
        return shot

    def devices(self) -> Mapping[str, Device]:
        return self._devices

    def subscribe(self, listener: Listener, *, name: str, bound: int = 10_000) -> Callable[[], None]:
        subscriber = Subscriber(name, listener, deque(maxlen=bound))
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def on_devices(self, listener: Callable[[Device], None]) -> Callable[[], None]:
        self._device_listeners.append(listener)
        return lambda: self._device_listeners.remove(listener)

    # ---------------------------------------------------------------- staleness
    def sweep(self) -> int:
        """Mark what has been silent for too long as stale; returns how many tags changed. Call about once a second."""
        now = self._clock.now()
        size = len(self._ids)
        limit = self._stale_after[:size]
        old = (limit > 0) & (self._quality[:size] < BAD) & (now - self._received[:size] > limit)
        if not old.any():
            return 0
        for device in dict.fromkeys(self._owner[position] for position in np.flatnonzero(old)):
            self._degrade(device, Quality.BAD_STALE, old)
        return int(old.sum())

    def drops(self) -> dict[str, int]:
        """Batches dropped per subscriber since start."""
        return {subscriber.name: subscriber.dropped for subscriber in self._subscribers}

    # ------------------------------------------------------------------ private
    def _degrade(self, device: str, quality: Quality, only: "np.ndarray[Any, Any] | None" = None) -> None:
        """Keep the values, spoil the quality (of `only`, or of all that is not bad already), tell everybody."""
        place = self._places.get(device)
        if place is None:
            return
        with self._lock:
            qualities = self._quality[place].copy()
            mask = qualities != Quality.BAD_WAITING if only is None else only[place]
            qualities[mask] = quality
            self._quality[place] = qualities
            values = self._values[place].copy()
            at = int(self._at[place].max(initial=0))
        self._queue(Batch(device, values, qualities, at, self._clock.now()))

    def _queue(self, batch: Batch) -> None:
        for subscriber in self._subscribers:
            if len(subscriber.queue) == subscriber.queue.maxlen:
                subscriber.dropped += 1
            subscriber.queue.append(batch)
        if not self._pending and self._subscribers:
            self._pending = True
            self._reactor.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._pending = False
        for subscriber in tuple(self._subscribers):
            if not subscriber.queue:
                continue
            batches = tuple(subscriber.queue)
            subscriber.queue.clear()
            try:
                subscriber.listener(batches)
            except Exception as error:          # one listener's bug must not silence the others
                subscriber.failed += 1
                self._on_failure(subscriber.name, error)

    def _grow_to(self, size: int) -> None:
        capacity = len(self._values)
        if size <= capacity:
            return
        for name, fill in (
            ("_values", np.nan), ("_quality", Quality.BAD_WAITING), ("_at", 0), ("_received", 0), ("_stale_after", 0)
        ):
            old = getattr(self, name)
            new = np.full(capacity * 2, fill, dtype=old.dtype)
            new[:capacity] = old
            setattr(self, name, new)


def _as_slice(positions: list[int]) -> Any:
    """A slice where the positions are consecutive (the usual case, and much faster), else an index array."""
    start = positions[0] if positions else 0
    if positions == list(range(start, start + len(positions))):
        return slice(start, start + len(positions))
    return np.array(positions, dtype=np.intp)
