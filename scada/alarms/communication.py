"""Which devices are silent or cut off on a snapshot: one answer per device, not one per tag. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.tags import BAD, Device, Quality, Snapshot, TagId, tag_id

KINDS: Final = ("not_connected", "stale")                   # the columns
COMPUTED: Final = frozenset({"Transformer", "Balance", "Alarms", "Outages", "Dials"})
"""Folders of devices that are computed here: when they go stale, the device they are computed from says why."""


@attrs.frozen(eq=False)
class DeviceTable:
    """The tags of every device that talks to us, flat, with the device each belongs to."""

    devices: tuple[str, ...]
    position: NDArray[np.intp]              # (m,) place of each tag in a snapshot
    owner: NDArray[np.intp]                 # (m,) index into `devices`
    parent: NDArray[np.intp]                # (n,) the device a device lies in (a module's concentrator); -1 for none


def device_table(devices: Iterable[Device], index: Mapping[TagId, int]) -> DeviceTable:
    """Return the devices whose silence is an alarm."""
    talking = [device for device in devices if not (device.path and device.path[0] in COMPUTED)]
    flat = [
        (index[key], owner)
        for owner, device in enumerate(talking)
        for tag in device.tags
        if (key := tag_id(device.name, tag.point)) in index
    ]
    number = {device.name: owner for owner, device in enumerate(talking)}
    return DeviceTable(
        tuple(device.name for device in talking),
        np.array([row[0] for row in flat], dtype=np.intp),
        np.array([row[1] for row in flat], dtype=np.intp),
        np.array([number.get(device.path[-1], -1) if device.path else -1 for device in talking], dtype=np.intp),
    )


def evaluate(table: DeviceTable, snapshot: Snapshot, holding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """
    Return which devices are cut off and which are silent.

    Parameters
    ----------
    table : DeviceTable
        n devices.
    snapshot : Snapshot
        One instant.
    holding : ndarray of bool, shape (n, 2)
        Which were before, in the order of `KINDS`.

    Returns
    -------
    holding : ndarray of bool, shape (n, 2)
        At most one of the two per device: what is cut off is not also called silent, and what lies in a device
        that is cut off or silent is not named again. A device from which nothing has come since the start
        (all tags waiting) says nothing: what held goes on holding.
    """
    size = len(table.devices)
    quality = snapshot.quality[table.position]

    def any_tag(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(table.owner, weights=mask, minlength=size) > 0

    cut_off = any_tag(quality == Quality.BAD_NOT_CONNECTED)
    silent = any_tag(quality == Quality.BAD_STALE) & ~cut_off
    usable = any_tag(quality < BAD)
    says = cut_off | silent | usable
    now = np.where(says[:, None], np.column_stack([cut_off, silent]), holding)
    explained = (table.parent >= 0) & now[table.parent].any(axis=1)
    return now & ~explained[:, None]
