"""Hourly quantities of metering points from a store of pulses: what the service and the command line both answer with."""

from collections.abc import Sequence

from scada.intervals import HOURLY
from scada.metering.periods import Periods
from scada.metering.quantities import installed, quantities
from scada.ports import Consumption, IntervalHistory, IntervalReader, Profile
from scada.site import UNIT_OF_MEDIUM, Directory


def consumption(
    directory: Directory, intervals: IntervalReader, points: Sequence[str], first_hour: int, hours: int, hour_now: int
) -> Consumption:
    """
    Return hourly quantities of metering points.

    Parameters
    ----------
    directory : Directory
        Which meter hung where, and when.
    intervals : IntervalReader
        Where the pulses are. Blocking.
    points : sequence of str, length n
        Names of metering points.
    first_hour, hours : int
        The range. [h since 1970], [h]
    hour_now : int
        The hour that is running; intervals not yet over are waited for, not missing. [h since 1970]

    Raises
    ------
    KeyError
        If a point is not in the directory.
    """
    units = tuple(UNIT_OF_MEDIUM[directory.point[point].medium] for point in points)
    meters = installed(points, directory.meters_of_point, first_hour, hours)
    slots = intervals.slots(meters.eui, meters.channel)
    series = intervals.read(slots, first_hour, hours)
    values, quality = quantities(meters, series.counts, series.status, slots >= 0, first_hour, hour_now)
    return Consumption(tuple(points), first_hour, values, quality, units)


def consumption_of_many(
    columns: Periods, intervals: IntervalReader, points: Sequence[str], first_hour: int, hours: int, hour_now: int
) -> Consumption:
    """As `consumption`, without a loop over points: `columns` are those of the directory."""
    places = columns.places(points)
    meters, slots = columns.installed(places, first_hour, hours, intervals)
    series = intervals.read(slots, first_hour, hours)
    values, quality = quantities(meters, series.counts, series.status, slots >= 0, first_hour, hour_now)
    return Consumption(tuple(points), first_hour, values, quality, tuple(columns.units[places].tolist()))


def profile(
    directory: Directory, intervals: IntervalHistory, points: Sequence[str], first: int, count: int, interval_s: int,
    hour_now: int,
) -> Profile:
    """
    Return quantities of metering points in the intervals of 15 or 30 minutes that their meters delivered.

    Parameters
    ----------
    directory, intervals, points, hour_now
        As in `consumption`.
    first, count : int
        The range, in numbers of intervals: start in s since 1970 // interval_s.
    interval_s : int
        Length of an interval; what was delivered in others is missing here. [s]
    """
    units = tuple(UNIT_OF_MEDIUM[directory.point[point].medium] for point in points)
    first_hour, last_hour = first * interval_s // HOURLY, -(-(first + count) * interval_s // HOURLY)
    meters = installed(points, directory.meters_of_point, first_hour, last_hour - first_hour)
    slots = intervals.slots(meters.eui, meters.channel)
    series = intervals.read_intervals(slots, first, count, interval_s)
    values, quality = quantities(meters, series.counts, series.status, slots >= 0, first, hour_now, interval_s)
    return Profile(tuple(points), first, interval_s, values, quality, units)
