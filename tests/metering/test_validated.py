"""Validated hours are laid over raw ones, which stay; and the methods that make them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.estimates import Estimate, Method
from scada.metering.validated import LONGEST_LINE_H, WEEK_H, WEEKS, interpolated, laid_over, spread, typical
from scada.ports import Consumption
from scada.tags import Quality
from tests.metering.world import HOUR

NAN = float("nan")


def test_a_validated_hour_stands_in_its_place_and_the_raw_one_is_untouched() -> None:
    """A person's figure is substituted, everything else estimated; points and hours nobody asked for do not matter."""
    quality = np.array([[0, 33], [0, 0]], np.uint8)
    raw = Consumption(("P0", "P1"), HOUR, np.array([[1.0, NAN], [2.0, 3.0]]), quality, ("kWh",) * 2)
    found = laid_over(raw, [
        Estimate("P0", HOUR + 1, 7.0, Method.TYPICAL, "anna", 1), Estimate("P1", HOUR, 8.0, Method.VALUE, "anna", 1),
        Estimate("P9", HOUR, 9.0, Method.VALUE, "anna", 1), Estimate("P0", HOUR + 2, 9.0, Method.VALUE, "anna", 1),
        Estimate("P0", HOUR - 1, 9.0, Method.VALUE, "anna", 1),
    ])

    assert found.values.tolist() == [[1.0, 7.0], [8.0, 3.0]]
    assert found.quality.tolist() == [[0, Quality.UNCERTAIN_ESTIMATED], [Quality.SUBSTITUTED, 0]]
    assert np.isnan(raw.values[0, 1])
    assert raw.quality.tolist() == [[0, 33], [0, 0]]


def test_a_short_gap_is_a_straight_line_and_a_long_one_is_none() -> None:
    """Between usable hours alone; at the edges nothing is known."""
    values = np.array([NAN, 1.0, NAN, NAN, 4.0, *[NAN] * (LONGEST_LINE_H + 1), 5.0, 9.0, 7.0, NAN])
    quality = np.zeros(len(values), np.uint8)
    quality[-3] = Quality.BAD_SENSOR
    found = interpolated(values, quality)

    assert found[2:4].tolist() == [2.0, 3.0]
    assert found[-3] == 6.0
    assert np.isfinite(found).sum() == 3


def test_typical_is_the_median_of_the_same_hours_of_the_weeks_before() -> None:
    """One odd week does not move it; with a single week there is none."""
    past = np.tile(np.arange(WEEK_H, dtype=np.float64), WEEKS + 1)
    past[3] = 1000.0
    past[WEEKS * WEEK_H:] = NAN
    past[4:WEEKS * WEEK_H - WEEK_H:WEEK_H] = NAN
    found = typical(past, np.zeros(len(past), np.uint8), 5)

    assert found[:4].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert np.isnan(found[4])


@given(st.floats(0, 1e6), st.lists(st.one_of(st.floats(0, 1e3), st.just(NAN)), min_size=1, max_size=50))
def test_what_is_shared_out_adds_up_to_what_was_used(total: float, shape: list[float]) -> None:
    """Whatever the shape: with holes, of zeros, of one hour; and no share is negative."""
    found = spread(total, np.array(shape))

    assert found.sum() == pytest.approx(total)
    assert (found >= 0).all()


def test_shares_follow_the_shape() -> None:
    assert spread(6.0, np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert spread(6.0, np.array([1.0, NAN])).tolist() == [3.0, 3.0]
