"""What was known of a metering point, and when: for disputes over a bill that was written before late readings came."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS, NS_PER_MS
from scada.intervals import MISSING, ChangeKind, IntervalChange
from scada.metering.quantities import REGISTER_MODULUS, installed, reading
from scada.ports import IntervalHistory, IntervalReader, PointChange
from scada.site import Directory, MeterPeriod


def as_known(intervals: IntervalHistory, as_of: int | None) -> IntervalHistory:
    """The reader of today, or of an instant [ns]."""
    return intervals if as_of is None else intervals.as_of(as_of)


def hour_known(hour_now: int, as_of: int | None) -> int:
    """The hour that was running then: what was not over is waited for, not missing. [h since 1970]"""
    return hour_now if as_of is None else min(hour_now, as_of // (HOUR_S * NS))


def registers(directory: Directory, intervals: IntervalReader, points: Sequence[str], hour: int) -> NDArray[np.float64]:
    """Registers of points at the start of an hour, in each one's unit; NaN if unknown. Unknown points raise `KeyError`."""
    for point in points:
        directory.point[point]                             # a name that does not exist is the caller's mistake
    meters = installed(points, directory.meters_of_point, hour, 1)
    found = np.full(len(points), np.nan)
    slots = intervals.slots(meters.eui, meters.channel)
    found[meters.row] = reading(intervals.register(slots, hour), meters.per_unit)
    return found


def point_changes(
    directory: Directory, intervals: IntervalHistory, point: str, first_hour: int, hours: int
) -> tuple[PointChange, ...]:
    """
    Return how the hours of a point came to what they say, the oldest change first.

    Parameters
    ----------
    directory : Directory
        Which meter hung where, and when.
    intervals : IntervalHistory
        Where the pulses are. Blocking.
    point : str
        Its name; one that is not in the directory raises `KeyError`.
    first_hour, hours : int
        The range. [h since 1970], [h]
    """
    directory.point[point]
    found: list[PointChange] = []
    for meter in directory.meters_of_point.get(point, ()):
        first = max(first_hour, meter.valid_from)
        last = first_hour + hours if meter.valid_to is None else min(first_hour + hours, meter.valid_to)
        if first >= last:
            continue
        slot = int(intervals.slots(np.array([meter.eui], np.uint64), np.array([meter.channel], np.uint8))[0])
        if slot >= 0:
            found += [_change(meter, one) for one in intervals.changes(slot, first, last - first)]
    return tuple(sorted(found, key=lambda one: (one.at, one.start)))


def _change(meter: MeterPeriod, one: IntervalChange) -> PointChange:
    bits = one.kind is ChangeKind.JOINED
    counts = [float("nan") if held == MISSING else held / meter.pulses_per_unit for held in (one.before, one.after)]
    if one.kind is ChangeKind.REGISTER_REFUSED:
        counts = [held % REGISTER_MODULUS / meter.pulses_per_unit for held in (one.before, one.after)]
    before, after = ([float("nan")] * 2) if bits else counts
    return PointChange(
        one.interval * one.interval_s * NS, one.interval_s, one.kind, one.at * NS_PER_MS, before, after,
        one.before if bits else 0, one.after if bits else 0, one.provenance, meter.eui, meter.channel,
    )
