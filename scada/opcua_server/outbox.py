"""What still has to go to the OPC UA process: the latest of each device, so that a slow reader costs no memory.

Pure. Definitions go before values; of values that wait, the newest of a device replaces the older (both are counted by
the reader of the figures). The box is bounded by the number of devices.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from scada.opcua_server.link import encode, encode_batches, encode_device
from scada.tags import Batch, Device, Quality, Snapshot, tag_id

CHUNK_TAGS: Final = 2000                # tags in one frame: about 1 ms to encode, so a loop turn stays short


class Outbox:
    """Definitions and values that wait to be sent."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._baseline: dict[str, Snapshot] = {}           # devices whose values come from a snapshot
        self._batches: dict[str, Batch] = {}
        self._synchronised = True
        self.merged = 0                                    # values replaced by newer ones before they were sent

    def __bool__(self) -> bool:
        return bool(self._devices or self._batches or not self._synchronised)

    def restart(self, devices: Mapping[str, Device], snapshot: Snapshot) -> None:
        """A new process knows nothing: everything waits, parents before what hangs below them."""
        self._batches.clear()
        ordered = sorted(devices.values(), key=lambda device: (len(device.path), device.path, device.name))
        self._devices = {device.name: device for device in ordered}
        self._baseline = dict.fromkeys(self._devices, snapshot)
        self._synchronised = False

    def clear(self) -> None:
        """Nobody is there to read: hold nothing."""
        self._devices.clear()
        self._baseline.clear()
        self._batches.clear()
        self._synchronised = True

    def add_device(self, device: Device) -> None:
        self._devices[device.name] = device

    def add_batch(self, batch: Batch) -> None:
        previous = self._batches.pop(batch.device, None)
        if previous is not None:
            self.merged += len(previous.values)
        self._batches[batch.device] = batch

    def take(self) -> bytes:
        """The next frames, about `CHUNK_TAGS` tags of them; empty when nothing waits."""
        if self._devices:
            return self._take_devices()
        if not self._synchronised:
            self._synchronised = True
            return encode({"t": "synchronised"})
        batches = []
        room = CHUNK_TAGS
        while self._batches and room > 0:
            batch = self._batches.pop(next(iter(self._batches)))
            batches.append(batch)
            room -= len(batch.values)
        return encode_batches(batches) if batches else b""

    def _take_devices(self) -> bytes:
        devices, values = [], []
        room = CHUNK_TAGS
        while self._devices and room > 0:
            device = self._devices.pop(next(iter(self._devices)))
            devices.append(encode_device(device))
            snapshot = self._baseline.pop(device.name, None)
            if snapshot is not None and device.tags:
                values.append(batch_of(device, snapshot))
            room -= max(len(device.tags), 1)
        return encode({"t": "devices", "devices": devices}) + (encode_batches(values) if values else b"")


def batch_of(device: Device, snapshot: Snapshot) -> Batch:
    """One device's part of a snapshot; a tag that is younger than the snapshot is still waiting for a value."""
    size = len(snapshot.values)
    places = np.array([snapshot.index.get(tag_id(device.name, point), size) for point in device.points], dtype=np.intp)
    known = places < size
    values, quality = np.full(len(places), np.nan), np.full(len(places), Quality.BAD_WAITING, dtype=np.uint8)
    values[known], quality[known] = snapshot.values[places[known]], snapshot.quality[places[known]]
    at = int(snapshot.at[places[known]].max(initial=0))
    return Batch(device.name, values, quality, at, at)
