"""Site time: one linear map, the same in every process."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import NS, SiteClock, TimeMap


@given(st.integers(0, 2**62), st.floats(1, 600))
def test_the_way_back_is_the_way_there(real: int, rate: float) -> None:
    """Real to site and back loses no more than the rounding to a nanosecond, over a year of demo."""
    subject = TimeMap(real0=real, site0=1_700_000_000 * NS, rate=rate)
    later = real + 365 * 86400 * NS

    assert abs(subject.real(subject.site(later)) - later) <= 1


def test_in_production_site_time_is_real_time() -> None:
    """Rate 1 and no offset: the same nanosecond."""
    assert SiteClock(real=lambda: 1_767_261_600_123_456_789).now() == 1_767_261_600_123_456_789


def test_two_processes_share_the_map_through_a_file(tmp_path: Path) -> None:
    """The file says it all."""
    TimeMap(1, 2, 60.0).save(tmp_path / "clock.json")

    assert TimeMap.load(tmp_path / "clock.json") == TimeMap(1, 2, 60.0)


def test_a_clock_that_stands_still_is_refused() -> None:
    """A rate of zero would divide by zero in every delay."""
    with pytest.raises(ValueError):
        TimeMap(rate=0)


def test_hours_and_delays_follow_the_rate() -> None:
    """At 600 x an hour of site time passes in six seconds."""
    real = [0]
    subject = SiteClock(TimeMap(0, 3600 * NS * 100, 600.0), real=lambda: real[0])
    before = subject.hour()
    real[0] = 6 * NS

    assert (before, subject.hour()) == (100, 101)
    assert subject.delay(3600) == 6.0
