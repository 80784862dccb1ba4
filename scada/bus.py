"""The process image: the last value of every tag in a few arrays, and who hears of changes.

`publish` writes into the arrays at once and queues the batch; listeners are called once per loop turn with all
that came. A snapshot copies the arrays under a lock, so it is one instant even from another thread.

A name belongs to the part that defined it first; what anybody else says under it is refused and counted, never an
exception: a poll loop must not end because of a name in a configuration.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import numpy as np

from scada.clock import SiteClock
from scada.ports import TagSink
from scada.tags import BAD, Batch, Device, Quality, Snapshot, TagId, tag_id

FIRST_CAPACITY: Final = 1024
MOST_TOLD: Final = 1000                 # different refusals told of
GONE: Final = TagId("")                 # stands in `Snapshot.ids` where a tag was that its device no longer has
Listener = Callable[[Sequence[Batch]], None]


class LaterCall(Protocol):
    """The part of a Twisted reactor that the bus needs."""

    def callLater(self, delay: float, callable: Callable[[], Any], /) -> Any: ...


@attrs.frozen(eq=False)
class Place:
    """Where a device's tags are in the image, and who may write there."""

    at: Any                                                # slice, or index array
    size: int
    owner: str


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
        on_refusal: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._clock, self._reactor, self._on_failure, self._on_refusal = clock, reactor, on_failure, on_refusal
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}
        self._shown: dict[str, Device] | None = None       # as `devices()` gave them out; None: they have changed since
        self._places: dict[str, Place] = {}                # by device
        self._ids: list[TagId] = []
        self._index: dict[TagId, int] = {}
        self._retired: dict[TagId, int] = {}               # dropped by a redefinition; positions are for ever
        self._frozen_ids: tuple[TagId, ...] = ()
        self._values = np.full(FIRST_CAPACITY, np.nan)
        self._quality = np.full(FIRST_CAPACITY, Quality.BAD_WAITING, dtype=np.uint8)
        self._at = np.zeros(FIRST_CAPACITY, dtype=np.int64)
        self._received = np.zeros(FIRST_CAPACITY, dtype=np.int64)
        self._stale_after = np.zeros(FIRST_CAPACITY, dtype=np.int64)
        self._device_at: list[str] = []                    # device of each position
        self._subscribers: list[Subscriber] = []
        self._device_listeners: list[Callable[[Device], None]] = []
        self._pending = False
        self._told: set[str] = set()                       # refusals that were told of; the rest is only counted
        self.published = 0                                 # values, since start
        self.refused = 0                                   # definitions and batches, since start

    # ------------------------------------------------------------------ TagSink
    def of(self, owner: str) -> TagSink:
        """The bus as one part writes to it: what it defines is its own."""
        return _Owned(self, owner)

    def add_device(self, device: Device, owner: str = "") -> None:
        held = self._places.get(device.name)
        if held is not None and held.owner != owner:
            self._refuse(f"{device.name} of {owner} has the name of a device of {held.owner}; it stays without tags")
            return
        with self._lock:
            positions = [self._position(device.name, tag_id(device.name, tag.point)) for tag in device.tags]
            self._stale_after[positions] = [tag.stale_after for tag in device.tags]
            self._places[device.name] = Place(_as_slice(positions), len(positions), owner)
            if (before := self._devices.get(device.name)) is not None:
                self._retire(device.name, set(before.points) - set(device.points))
            self._devices[device.name], self._shown = device, None
            self._frozen_ids = ()
        for listener in tuple(self._device_listeners):
            listener(device)

    def publish(self, batch: Batch, owner: str = "") -> None:
        place = self._places.get(batch.device)
        if place is None or place.owner != owner:
            whose = "nobody defined" if place is None else f"belongs to {place.owner}"
            self._refuse(f"{owner} says values of {batch.device}, which {whose}; they are dropped")
            return
        if not batch.values.shape == batch.quality.shape == (place.size,):
            shapes = f"{batch.values.shape} values and {batch.quality.shape} qualities"
            self._refuse(f"{batch.device} has {place.size} tags, and {owner} says {shapes}; they are dropped")
            return
        with self._lock:
            self._values[place.at] = batch.values
            self._quality[place.at] = batch.quality
            self._at[place.at] = batch.at
            self._received[place.at] = batch.received
        self.published += place.size
        self._queue(batch)

    def disconnected(self, device: str, owner: str = "") -> None:
        place = self._places.get(device)
        if place is not None and place.owner == owner:
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
        with self._lock:
            if self._shown is None:
                self._shown = dict(self._devices)
            return self._shown

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
        for device in dict.fromkeys(self._device_at[position] for position in np.flatnonzero(old)):
            self._degrade(device, Quality.BAD_STALE, old)
        return int(old.sum())

    def drops(self) -> dict[str, int]:
        """Batches dropped per subscriber since start."""
        return {subscriber.name: subscriber.dropped for subscriber in self._subscribers}

    # ------------------------------------------------------------------ private
    def _refuse(self, sentence: str) -> None:
        """Count it; tell each thing once, for it may come back with every poll."""
        self.refused += 1
        if sentence not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(sentence)
            self._on_refusal(sentence)

    def _position(self, device: str, key: TagId) -> int:
        """Where a tag is in the image: its old place, or a new one at the end."""
        position = self._index.get(key)
        if position is None and (position := self._retired.pop(key, None)) is not None:
            self._ids[position], self._index[key] = key, position
            self._quality[position] = Quality.BAD_WAITING
        if position is None:
            position = len(self._ids)
            self._grow_to(position + 1)
            self._ids.append(key)
            self._device_at.append(device)
            self._index[key] = position
        return position

    def _retire(self, device: str, points: set[str]) -> None:
        """Take tags that a redefinition left out of the image; others have looked their own positions up, so none moves."""
        if not points:
            return
        self._index = dict(self._index)                    # older snapshots still hold the one before, and their values
        for point in points:
            position = self._index.pop(key := tag_id(device, point))
            self._retired[key], self._ids[position] = position, GONE
            self._values[position], self._quality[position] = np.nan, Quality.BAD_CONFIG
            self._at[position] = self._received[position] = self._stale_after[position] = 0

    def _degrade(self, device: str, quality: Quality, only: "np.ndarray[Any, Any] | None" = None) -> None:
        """Keep the values, spoil the quality (of `only`, or of all that is not bad already), tell everybody."""
        place = self._places[device].at
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


@attrs.frozen
class _Owned:
    """Implements `TagSink` for one part."""

    _bus: TagBus
    _owner: str

    def add_device(self, device: Device) -> None:
        self._bus.add_device(device, self._owner)

    def publish(self, batch: Batch) -> None:
        self._bus.publish(batch, self._owner)

    def disconnected(self, device: str) -> None:
        self._bus.disconnected(device, self._owner)


def _as_slice(positions: list[int]) -> Any:
    """A slice where the positions are consecutive (the usual case, and much faster), else an index array."""
    start = positions[0] if positions else 0
    if positions == list(range(start, start + len(positions))):
        return slice(start, start + len(positions))
    return np.array(positions, dtype=np.intp)
