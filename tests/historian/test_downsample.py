"""Down-sampling into steps: what stands for many samples lies among them, and what is not there is never a number."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import HOUR_S, NS
from scada.historian.downsample import buckets, resample, spacing, tally
from scada.series import How, Instant, first_steps, step_edges
from scada.tags import BAD, Quality

CHISINAU = ZoneInfo("Europe/Chisinau")
SPRING, AUTUMN = (round(datetime(2026, *day, tzinfo=CHISINAU).timestamp()) for day in ((3, 29), (10, 25)))
HOUR_NS = HOUR_S * NS
QUALITIES = st.sampled_from([int(one) for one in Quality])


@st.composite
def series(draw: Any) -> tuple[Any, Any, Any, Any]:
    """Times with repeats and holes, values of any quality, and edges that need not cover them."""
    at = sorted(draw(st.lists(st.integers(0, 40), max_size=60)))
    values = draw(st.lists(st.floats(-1e12, 1e12) | st.just(float("nan")), min_size=len(at), max_size=len(at)))
    quality = draw(st.lists(QUALITIES, min_size=len(at), max_size=len(at)))
    edges = sorted(draw(st.sets(st.integers(-5, 45), min_size=2, max_size=12)))
    return np.array(at, np.int64), np.array(values, np.float64), np.array(quality, np.uint8), np.array(edges, np.int64)


@given(series())
def test_every_step_says_what_a_plain_loop_over_its_samples_says(given: tuple[Any, Any, Any, Any]) -> None:
    """Lowest, highest, sum, last, count, worst quality and share, for each step alone; the mean is between the extremes."""
    at, values, quality, edges = given
    found = {how: resample(at, values, quality, edges, how, 10.0) for how in How}

    for place in range(len(edges) - 1):
        inside = (at >= edges[place]) & (at < edges[place + 1])
        usable = inside & np.isfinite(values) & (quality < BAD)
        here = values[usable]
        one = {how: float(table.values[place]) for how, table in found.items()}
        assert one[How.COUNT] == found[How.MIN].count[place] == len(here)
        share = min(1.0, len(here) / ((edges[place + 1] - edges[place]) / 10.0))
        assert found[How.MEAN].completeness[place] == pytest.approx(share)
        if not len(here):
            assert all(np.isnan(one[how]) for how in How if how is not How.COUNT)
            spoilt = max(quality[inside].tolist(), default=0)
            assert found[How.SUM].quality[place] == (spoilt if spoilt >= BAD else Quality.BAD_WAITING)
            continue
        assert (one[How.MIN], one[How.MAX], one[How.LAST]) == (here.min(), here.max(), here[-1])
        assert one[How.SUM] == pytest.approx(here.sum(), abs=1e-3)
        assert one[How.MIN] <= one[How.MEAN] <= one[How.MAX]
        assert one[How.MEAN] == pytest.approx(here.mean(), abs=1e-3)
        assert found[How.LAST].quality[place] == quality[usable].max()


@given(series(), st.integers(0, 60))
def test_pages_added_are_the_whole(given: tuple[Any, Any, Any, Any], cut: int) -> None:
    """A range may be tallied a page at a time, wherever it is cut."""
    at, values, quality, edges = given
    parts = [tally(at[part], values[part], quality[part], edges) for part in (slice(0, cut), slice(cut, None))]
    together = parts[0].then(parts[1])

    for how in How:
        whole, added = resample(at, values, quality, edges, how, 10.0), buckets(together, edges, how, 10.0)
        np.testing.assert_allclose(added.values, whole.values, rtol=1e-9, atol=1e-3)
        assert (added.quality.tolist(), added.count.tolist()) == (whole.quality.tolist(), whole.count.tolist())


def test_a_step_without_a_usable_sample_is_missing_and_not_zero() -> None:
    """Also its sum; why it is missing is told where something said so."""
    at = np.array([0, 10, 20], np.int64)
    values, quality = np.array([5.0, np.nan, 7.0]), np.array([0, Quality.BAD_NOT_CONNECTED, Quality.BAD_STALE], np.uint8)
    found = resample(at, values, quality, np.array([0, 10, 20, 30, 40]), How.SUM, 10.0)

    assert found.values[0] == 5.0
    assert np.isnan(found.values[1:]).all()
    assert found.quality.tolist() == [0, Quality.BAD_NOT_CONNECTED, Quality.BAD_STALE, Quality.BAD_WAITING]
    assert found.completeness.tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("midnight", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_a_site_day_of_23_or_25_hours_is_complete_with_that_many(midnight: int, hours: int) -> None:
    """And an hour short of it is not."""
    first = midnight * NS
    edges = step_edges("1d", first, first + (hours + 24) * HOUR_NS, CHISINAU)
    at = first + np.arange(hours + 23, dtype=np.int64) * HOUR_NS
    found = resample(at, np.ones(len(at)), np.zeros(len(at), np.uint8), edges, How.SUM, HOUR_NS)

    assert found.values.tolist() == [hours, 23.0]
    assert found.completeness.tolist() == [1.0, pytest.approx(23 / 24)]


def test_where_no_period_is_known_completeness_is_not_known() -> None:
    """One sample has no distance to another; nothing is claimed."""
    at = np.array([5], np.int64)
    found = resample(at, np.ones(1), np.zeros(1, np.uint8), np.array([0, 10]), How.MEAN, spacing(at))

    assert np.isnan(found.completeness).all()
    assert spacing(np.array([0, 10, 20, 500], np.int64)) == 10.0


def test_times_out_of_order_are_refused() -> None:
    """Steps found by bisection would be wrong without a word."""
    with pytest.raises(ValueError, match="ascend"):
        tally(np.array([2, 1], np.int64), np.ones(2), np.zeros(2, np.uint8), np.array([0, 10]))


@given(st.integers(0, 2**31), st.integers(1, 500_000), st.sampled_from(["30min", "1h", "7h", "1d", "3d"]))
def test_steps_cover_the_range_exactly(first: int, length: int, step: str) -> None:
    """No step outside it, none empty, none longer than asked (a day has up to 25 hours)."""
    edges = step_edges(step, first * NS, (first + length) * NS, CHISINAU)
    longest = {"30min": 1800, "1h": 3600, "7h": 25_200, "1d": 25 * HOUR_S, "3d": 73 * HOUR_S}[step]

    assert (edges[0], edges[-1]) == (first * NS, (first + length) * NS)
    assert 0 < np.diff(edges).min() <= np.diff(edges).max() <= longest * NS


@given(
    st.integers(SPRING - 90_000, SPRING + 90_000), st.integers(1, 500_000), st.sampled_from(["1h", "7h", "1d", "2d"]),
    st.integers(1, 9),
)
def test_a_range_cut_page_by_page_has_the_steps_of_the_whole(first: int, length: int, step: str, most: int) -> None:
    """Also where the clocks change, and where days are counted from the first."""
    begin, end = first * NS, (first + length) * NS
    found = [begin]
    while found[-1] < end:
        part = first_steps(step, found[-1], end, CHISINAU, most).tolist()
        assert 1 < len(part) <= most + 1
        found += part[1:]

    assert found == step_edges(step, begin, end, CHISINAU).tolist()


@pytest.mark.parametrize(
    ("step", "last", "said"),
    [
        ("0d", 10, "no step"), ("1x", 10, "no step"), ("", 10, "no step"), ("-1h", 10, "no step"),
        ("1h", 0, "ends before it begins"), ("1s", 2_000_000, "more than 1000000 steps"),
    ],
)
def test_steps_that_cannot_be_are_refused_in_a_sentence(step: str, last: int, said: str) -> None:
    """Before anything of that size is made."""
    with pytest.raises(ValueError, match=said):
        step_edges(step, 0, last * NS, CHISINAU)


def test_a_day_that_a_zone_left_out_is_no_step() -> None:
    """Samoa went from the 29th of December 2011 to the 31st."""
    apia = ZoneInfo("Pacific/Apia")
    first, last = (round(datetime(2011, 12, day, 12, tzinfo=apia).timestamp()) * NS for day in (28, 31))

    assert (np.diff(step_edges("1d", first, last, apia)) // HOUR_NS).tolist() == [12, 24, 12]


def test_an_instant_is_as_complete_as_it_has_usable_values() -> None:
    """NaN and bad ones are not."""
    values, quality = np.array([1.0, np.nan, 3.0, 4.0]), np.array([0, 32, 33, 16], np.uint8)

    assert Instant(np.ones(4, np.int64), values, quality).completeness == 0.5
