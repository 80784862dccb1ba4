"""Days of the site: 23, 24 or 25 hours between local midnights, counted in UTC hours. Pure."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S

ONE_DAY: Final = timedelta(days=1)
A_YEAR_H: Final = 366 * 24


def day_bounds(zone: ZoneInfo, first_hour: int, last_hour: int) -> NDArray[np.int64]:
    """
    Return the midnights around a range of hours.

    Parameters
    ----------
    zone : ZoneInfo
        The site's zone.
    first_hour, last_hour : int
        The first and the last hour of the range, both inside it. [h since 1970]

    Returns
    -------
    bounds : ndarray of int64, shape (d + 1,)
        First hour of each of the d site days that hold the range, and of the day after. [h since 1970]

    Raises
    ------
    ValueError
        If a midnight is not on a full UTC hour: zones with half-hour offsets need half-hour profiles.
    """
    first = datetime.fromtimestamp(first_hour * HOUR_S, UTC).astimezone(zone).date()
    last = datetime.fromtimestamp(last_hour * HOUR_S, UTC).astimezone(zone).date()
    days = (last - first).days + 2
    seconds = np.array([_midnight(zone, first + index * ONE_DAY) for index in range(days)], dtype=np.int64)
    if (seconds % HOUR_S).any():
        raise ValueError(
            f"{zone.key}: days do not begin on a full UTC hour, and hourly profiles cannot be added up to them; "
            "expected a zone with a whole-hour offset"
        )
    return seconds // HOUR_S


def whole_hours(zone: ZoneInfo, hour: int) -> None:
    """Raise the `ValueError` of `day_bounds` if any midnight of the year from `hour` on needs half-hour profiles."""
    day_bounds(zone, hour, hour + A_YEAR_H)


def month_start(zone: ZoneInfo, hour: int, months: int = 0) -> int:
    """The first hour of the site month that holds an hour, or of the one so many months later. [h since 1970]"""
    day = datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(zone).date()
    number = day.year * 12 + day.month - 1 + months
    return _midnight(zone, date(number // 12, number % 12 + 1, 1)) // HOUR_S


def _midnight(zone: ZoneInfo, day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
