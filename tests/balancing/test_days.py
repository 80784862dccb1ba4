"""Site days have 23, 24 or 25 hours, and half-hour zones are refused."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from scada.balancing.days import day_bounds

CHISINAU = ZoneInfo("Europe/Chisinau")


def hour(*when):
    return int(datetime(*when, tzinfo=UTC).timestamp()) // 3600


@pytest.mark.parametrize(("noon", "length"), [
    ((2026, 3, 28, 10), 24), ((2026, 3, 29, 10), 23), ((2026, 3, 30, 10), 24),
    ((2026, 10, 24, 10), 24), ((2026, 10, 25, 10), 25), ((2026, 10, 26, 10), 24),
])
def test_the_days_around_the_change_of_the_clock(noon, length):
    """In Chisinau the last Sunday of March has 23 hours and that of October 25."""
    bounds = day_bounds(CHISINAU, hour(*noon), hour(*noon))

    assert bounds[1] - bounds[0] == length
    assert bounds[0] <= hour(*noon) < bounds[1]


def test_days_follow_each_other_without_gap_or_overlap_all_year():
    """8760 hours in 365 days."""
    bounds = day_bounds(CHISINAU, hour(2025, 12, 31, 22), hour(2026, 12, 31, 21))

    assert len(bounds) == 366
    assert bounds[-1] - bounds[0] == 8760
    assert sorted(set((bounds[1:] - bounds[:-1]).tolist())) == [23, 24, 25]


def test_the_last_hour_before_midnight_belongs_to_its_day():
    """Chisinau's winter midnight is 22:00 UTC."""
    late, early = (day_bounds(CHISINAU, at, at) for at in (hour(2026, 1, 1, 21), hour(2026, 1, 1, 22)))

    assert late[1] == early[0] == hour(2026, 1, 1, 22)


def test_a_zone_with_half_hours_is_refused():
    """Hourly profiles cannot be added up to days that begin at half past."""
    with pytest.raises(ValueError, match="full UTC hour"):
        day_bounds(ZoneInfo("Asia/Kolkata"), hour(2026, 1, 1), hour(2026, 1, 1))
