"""Hourly quantities of metering points from a store of pulses: what the service and the command line both answer with."""

from collections.abc import Sequence

from scada.metering.quantities import installed, quantities
from scada.ports import Consumption, IntervalReader
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
