"""Which limits hold on a snapshot: all tags at once. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.tags import BAD, Device, Snapshot, TagId, tag_id

KINDS: Final = ("low_low", "low", "high", "high_high")     # the columns
DIRECTION: Final = np.array([-1.0, -1.0, 1.0, 1.0])         # a limit is passed downwards or upwards


@attrs.frozen(eq=False)
class LimitTable:
    """Every tag that has limits, as columns."""

    tags: tuple[TagId, ...]
    devices: tuple[str, ...]                # (n,) device of each tag
    units: tuple[str, ...]
    position: NDArray[np.intp]              # (n,) place in a snapshot
    limit: NDArray[np.float64]              # (n, 4) in the order of `KINDS`; NaN where there is none
    hysteresis: NDArray[np.float64]         # (n,)


def limit_table(devices: Iterable[Device], index: Mapping[TagId, int]) -> LimitTable:
    """Return the limits of all tags of `devices` that stand in a snapshot."""
    found = [
        (tag_id(device.name, tag.point), device.name, tag.unit, tag.limits)
        for device in devices
        for tag in device.tags
        if tag.limits is not None and tag_id(device.name, tag.point) in index
    ]
    return LimitTable(
        tags=tuple(row[0] for row in found),
        devices=tuple(row[1] for row in found),
        units=tuple(row[2] for row in found),
        position=np.array([index[row[0]] for row in found], dtype=np.intp),
        limit=np.array(
            [[np.nan if limit is None else limit for limit in (row[3].low_low, row[3].low, row[3].high, row[3].high_high)]
             for row in found], dtype=np.float64,
        ).reshape(-1, len(KINDS)),
        hysteresis=np.array([row[3].hysteresis for row in found], dtype=np.float64),
    )


def evaluate(table: LimitTable, snapshot: Snapshot, holding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """
    Return which limits are passed now.

    Parameters
    ----------
    table : LimitTable
        n tags.
    snapshot : Snapshot
        One instant.
    holding : ndarray of bool, shape (n, 4)
        Which limits were passed before.

    Returns
    -------
    holding : ndarray of bool, shape (n, 4)
        A limit begins to hold when the value is beyond it and ends when the value is back by the hysteresis.
        A value that is bad or missing says nothing: what held goes on holding, what did not, does not begin.
    """
    value = snapshot.values[table.position][:, None]
    quality = snapshot.quality[table.position][:, None]
    beyond = DIRECTION * (value - table.limit)              # > 0: passed; NaN where there is no limit or no value
    says = (quality < BAD) & ~np.isnan(value)
    begins = beyond > 0
    goes_on = holding & (beyond > -np.maximum(table.hysteresis[:, None], 0.0))
    there = ~np.isnan(table.limit)
    return np.where(says, begins | goes_on, holding) & there
