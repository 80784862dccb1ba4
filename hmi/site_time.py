"""Site time for people: the site's zone with its offset, and site days of 23, 24 or 25 hours."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS

FIRST_YEAR: Final = 1990                # beyond these years nobody has data, and zones have no rules
LAST_YEAR: Final = 2200


@attrs.frozen
class SiteTime:
    """Renders instants in one zone. An instant without its offset would be two instants once a year."""

    zone: str

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def local(self, ns: int) -> datetime:
        return datetime.fromtimestamp(ns / NS, self._zone)

    def stamp(self, ns: int) -> str:
        """"2026-11-22 12:31:05 +02:00"; "" for never (0)."""
        return f"{(at := self.local(ns)):%Y-%m-%d %H:%M:%S} {offset(at)}" if ns else ""

    def minute(self, ns: int) -> str:
        return f"{(at := self.local(ns)):%Y-%m-%d %H:%M} {offset(at)}" if ns else ""

    def hour(self, hour: int) -> str:
        """Name of an hour by its start, with its offset."""
        return self.minute(hour * HOUR_S * NS)

    def day_of(self, ns: int) -> date:
        return self.local(ns).date()

    def midnight(self, day: date) -> int:
        """Start of a site day. [h since 1970]"""
        return int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()) // HOUR_S

    def hours_of(self, day: date, days: int = 1) -> tuple[int, int]:
        """(first hour, number of hours) of a run of site days; a day has 23, 24 or 25."""
        first = self.midnight(day)
        return first, self.midnight(day + timedelta(days=days)) - first

    def edges(self, first: date, days: int) -> NDArray[np.int64]:
        """Starts of `days` site days and the end of the last. [h since 1970]"""
        return np.array([self.midnight(first + timedelta(days=n)) for n in range(days + 1)], dtype=np.int64)

    def clock(self, hour: int) -> str:
        """"03:00", for an axis whose caption names the day."""
        return f"{datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(self._zone):%H:%M}"


def offset(at: datetime) -> str:
    text = f"{at:%z}"
    return f"{text[:3]}:{text[3:5]}"


def known_at(text: str, zone: ZoneInfo, now: int) -> int | None:
    """The instant as of which a page is asked for; None for one to come, or what is none. [ns]"""
    at = instant_of(text[:40], zone) if text else None
    return at if at is not None and at < now else None


def instant_of(text: str, zone: ZoneInfo) -> int | None:
    """What a browser's date and time field says, in the site's zone; None for anything else. [ns]"""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not FIRST_YEAR <= at.year < LAST_YEAR:
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()) * NS


def month_of(text: str, fallback: date) -> date:
    """First day of a month written "2026-11"; the fallback's month for anything else."""
    return day_from(text + "-01", fallback.replace(day=1))


def day_from(text: str, fallback: date) -> date:
    """A day written "2026-11-22" of this century or the next; the fallback for anything else."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return fallback
    return found if FIRST_YEAR <= found.year < LAST_YEAR else fallback


def next_month(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def previous_month(first: date) -> date:
    return (first - timedelta(days=1)).replace(day=1)
