"""The last delivered hour of many channels, as rows ready for the bus."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.intervals import MISSING
from scada.metering.channels import WATT_PER_KILOWATT
from scada.metering.quantities import interval_quality, reading
from scada.ports import IntervalReader
from scada.tags import Quality

REACH_H: Final = 24                     # how far back an hour may lie and still be the channel's last


@attrs.frozen(eq=False)
class Rows:
    """One row per channel that has a delivered hour; columns in the order of `channels.tags`."""

    row: NDArray[np.intp]                   # (m,) which of the channels
    hour: NDArray[np.int64]                 # (m,) the delivered hour
    values: NDArray[np.float64]             # (m, 4): quantity, register, status, mean power
    quality: NDArray[np.uint8]              # (m, 4)


def latest(
    intervals: IntervalReader,
    row: NDArray[np.intp],
    slots: NDArray[np.int64],
    per_unit: NDArray[np.float64],
    newest: NDArray[np.int64],
) -> Rows:
    """
    Read the newest delivered hour of channels, looking back from `newest`. Blocking.

    Parameters
    ----------
    row, slots : ndarray, shape (m,)
        The channels and their slots, all known to the store.
    per_unit : ndarray of float64, shape (m,)
        Pulses per unit. [1/kWh or 1/m³]
    newest : ndarray of int64, shape (m,)
        The newest hour that may have been delivered. [h since 1970]
    """
    found = [_of_one_hour(intervals, row[mine], slots[mine], per_unit[mine], int(hour))
             for hour in distinct(newest) for mine in [newest == hour]]
    if not found:
        return Rows(row, newest, np.empty((0, 4)), np.empty((0, 4), dtype=np.uint8))
    return Rows(
        np.concatenate([one.row for one in found]),
        np.concatenate([one.hour for one in found]),
        np.concatenate([one.values for one in found]),
        np.concatenate([one.quality for one in found]),
    )


def _of_one_hour(
    intervals: IntervalReader, row: NDArray[np.intp], slots: NDArray[np.int64], per_unit: NDArray[np.float64], newest: int
) -> Rows:
    series = intervals.read(slots, newest - REACH_H + 1, REACH_H)
    held = series.counts != MISSING
    some = held.any(axis=1)
    row, slots, per_unit = row[some], slots[some], per_unit[some]
    column = REACH_H - 1 - np.argmax(held[some][:, ::-1], axis=1)
    which = np.arange(len(row))
    counts, status = series.counts[some][which, column], series.status[some][which, column]
    hour = series.first + column

    register = np.full(len(row), MISSING, dtype=np.int64)
    for end in distinct(hour + 1):
        mine = hour + 1 == end
        register[mine] = intervals.register(slots[mine], int(end))

    quantity = counts / per_unit
    power = quantity * WATT_PER_KILOWATT                   # kWh in one hour is kW; kept only where it means something
    values = np.column_stack([quantity, reading(register, per_unit), status.astype(np.float64), power])
    believed = interval_quality(counts[:, None], status[:, None], np.ones(len(row), bool), np.ones(1, bool))[:, 0]
    quality = np.full(values.shape, Quality.GOOD, dtype=np.uint8)
    quality[:, 0] = quality[:, 3] = believed
    quality[:, 1] = np.where(register == MISSING, Quality.BAD_WAITING, Quality.GOOD)
    return Rows(row, hour, values, quality)
