"""Pulses to kWh and m³: the one place where a meter's constant meets what a module counted.

Which hours may be believed how far is decided here, once, from what the module noticed during the hour:

=====================================  ====================  ==================================================
what was noticed                       quality               why
=====================================  ====================  ==================================================
hour not over yet, channel never seen  BAD_WAITING, NaN      there is nothing to have
hour over and not delivered            BAD_STALE, NaN        it will be asked for again; late data replaces it
no meter installed, or two at once     BAD_CONFIG, NaN       no constant to turn pulses into a quantity
open or short circuit                  BAD_SENSOR            the line was dead: the pulses are not what was used
magnet                                 UNCERTAIN_LAST_KNOWN  counted, but perhaps held back; leaving it out would
                                                             hide the theft it points at from every balance
clock invalid, clock adjusted          UNCERTAIN_LAST_KNOWN  every pulse is real, its hour is not sure
power-down                             UNCERTAIN_LAST_KNOWN  pulses of a part of the hour may be missing
cover, battery low                     GOOD                  an alarm, but no pulse is wrong by it
=====================================  ====================  ==================================================
"""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.intervals import HOURLY, MISSING, IntervalStatus
from scada.site import MeterPeriod
from scada.tags import Quality

REGISTER_MODULUS: Final = 2**32         # a module counts in 32 bits (docs/dmlp.md, PROFILE)
END_OF_TIME: Final = np.iinfo(np.int64).max

DEAD_LINE: Final = int(IntervalStatus.OPEN_CIRCUIT | IntervalStatus.SHORT_CIRCUIT)
DOUBTFUL: Final = int(
    IntervalStatus.MAGNET | IntervalStatus.CLOCK_INVALID | IntervalStatus.CLOCK_ADJUSTED | IntervalStatus.POWER_DOWN
)


@attrs.frozen(eq=False)
class Installed:
    """The installed periods of some points as columns, so that a change of meter inside a range costs no loop.

    A point with two meters in turn has two rows; a point without a meter has none.
    """

    size: int                               # number of points asked for
    row: NDArray[np.intp]                   # (s,) which of the points
    eui: NDArray[np.uint64]                 # (s,)
    channel: NDArray[np.uint8]              # (s,)
    per_unit: NDArray[np.float64]           # (s,) pulses per kWh or m³
    begin: NDArray[np.int64]                # (s,) first hour
    end: NDArray[np.int64]                  # (s,) hour after the last


def installed(points: Sequence[str], meters: Mapping[str, Sequence[MeterPeriod]], first_hour: int, hours: int) -> Installed:
    """
    Return the meter periods of `points` that touch a range of hours.

    Parameters
    ----------
    points : sequence of str
        Names of metering points.
    meters : mapping of str to sequence of MeterPeriod
        Periods by point; a point may be absent.
    first_hour, hours : int
        The range. [h since 1970], [h]
    """
    last = first_hour + hours
    found = [
        (row, period.eui, period.channel, period.pulses_per_unit, period.valid_from,
         END_OF_TIME if period.valid_to is None else period.valid_to)
        for row, point in enumerate(points)
        for period in meters.get(point, ())
        if period.valid_from < last and (period.valid_to is None or period.valid_to > first_hour)
    ]
    columns = tuple(zip(*found, strict=True)) or ((),) * 6
    return Installed(
        size=len(points),
        row=np.array(columns[0], dtype=np.intp),
        eui=np.array(columns[1], dtype=np.uint64),
        channel=np.array(columns[2], dtype=np.uint8),
        per_unit=np.array(columns[3], dtype=np.float64),
        begin=np.array(columns[4], dtype=np.int64),
        end=np.array(columns[5], dtype=np.int64),
    )


def interval_quality(
    counts: NDArray[np.int64], status: NDArray[np.uint8], seen: NDArray[np.bool_], over: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """
    Return how far hourly pulses may be believed (the table at the head of this file).

    Parameters
    ----------
    counts, status : ndarray, shape (n, h)
        Pulses, MISSING where not held, and `IntervalStatus`.
    seen : ndarray of bool, shape (n,)
        Whether the channel has ever delivered anything.
    over : ndarray of bool, shape (h,)
        Whether the hour has ended.

    Returns
    -------
    quality : ndarray of uint8, shape (n, h)
        `Quality`.
    """
    quality = np.full(counts.shape, Quality.GOOD, dtype=np.uint8)
    if status.any():
        quality[(status & DOUBTFUL) != 0] = Quality.UNCERTAIN_LAST_KNOWN
        quality[(status & DEAD_LINE) != 0] = Quality.BAD_SENSOR
    absent = counts == MISSING
    if absent.any():
        missing = np.where(seen[:, None] & over[None, :], Quality.BAD_STALE, Quality.BAD_WAITING).astype(np.uint8)
        quality[absent] = missing[absent]
    return quality


def quantities(
    meters: Installed,
    counts: NDArray[np.int64],
    status: NDArray[np.uint8],
    seen: NDArray[np.bool_],
    first: int,
    hour_now: int,
    interval_s: int = HOURLY,
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """
    Return the quantities of points, hourly or finer, from the pulses of their meters.

    Parameters
    ----------
    meters : Installed
        s periods of n points.
    counts, status : ndarray, shape (s, h)
        Pulses and `IntervalStatus` of each period's channel over the whole range.
    seen : ndarray of bool, shape (s,)
        Whether the channel has ever delivered anything.
    first, hour_now : int
        Number of the first interval, and the hour that is running. [h since 1970]
    interval_s : int
        Length of an interval. [s]

    Returns
    -------
    values : ndarray of float64, shape (n, h)
        Quantity of each interval in each point's unit; NaN where there is none. A value with BAD_SENSOR is
        what was counted, shown as evidence, and must not be summed. [kWh or m³]
    quality : ndarray of uint8, shape (n, h)
        `Quality`.
    """
    size, hours = meters.size, counts.shape[1]
    hour = (first + np.arange(hours, dtype=np.int64)) * interval_s // HOURLY
    believed = interval_quality(counts, status, seen, hour < hour_now)
    measured = counts / meters.per_unit[:, None]
    measured[counts == MISSING] = np.nan
    if hours and len(meters.row) == size and _throughout(meters, int(hour[0]), int(hour[-1])):
        return measured, believed                           # as nearly always: one meter at each point, all the time
    valid = (hour >= meters.begin[:, None]) & (hour < meters.end[:, None])
    in_charge = np.zeros((size, hours), dtype=np.int64)
    np.add.at(in_charge, meters.row, valid)

    values = np.full((size, hours), np.nan)
    quality = np.full((size, hours), Quality.BAD_CONFIG, dtype=np.uint8)
    period, column = np.nonzero(valid & (in_charge[meters.row] == 1))
    values[meters.row[period], column] = measured[period, column]
    quality[meters.row[period], column] = believed[period, column]
    return values, quality


def _throughout(meters: Installed, first: int, last: int) -> bool:
    """Whether each point's only meter, in the order of the points, was there from the first hour to the last."""
    return bool(
        (meters.row == np.arange(meters.size)).all() and (meters.begin <= first).all() and (meters.end > last).all()
    )


def reading(register: NDArray[np.int64], per_unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return register readings in the meter's unit, wrapped as the module's own counter wraps.

    Parameters
    ----------
    register : ndarray of int64, shape (n,)
        Pulses; MISSING where unknown. May exceed the modulus (a base plus the pulses since).
    per_unit : ndarray of float64, shape (n,)
        Pulses per unit. [1/kWh or 1/m³]

    Returns
    -------
    reading : ndarray of float64, shape (n,)
        NaN where unknown. [kWh or m³]
    """
    return np.where(register == MISSING, np.nan, (register % REGISTER_MODULUS) / per_unit)
