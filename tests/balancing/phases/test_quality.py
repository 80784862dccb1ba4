"""Ten minutes and a week as EN 50160 counts them; the unbalance factor only from what determines it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.balancing.phases.quality import WEEK, ten_minutes, week_of_unbalance, week_of_voltage
from scada.balancing.phases.unbalance import sequences, sequences_of_sides, unbalance_of_sides, voltage_unbalance_factor

SECOND = 10**9


def test_a_week_within_ten_per_cent_complies_up_to_the_last_allowed_interval():
    """50 of 1008 are five per cent, 51 are more; and one below minus 15 % alone is too many."""
    voltage = np.full((WEEK, 3), 231.0)
    voltage[:50, 0] = 256.0 - 3.2                        # 252.8 V, within
    voltage[:50, 1] = 205.0                              # below 207 V in 50 intervals
    voltage[:51, 2] = 205.0
    week = week_of_voltage(voltage)

    assert week.beyond.tolist() == [0, 50, 51]
    assert week.complies.tolist() == [True, True, False]
    assert week.whole
    voltage[50:58] = np.nan
    voltage[:50, 2] = 205.0
    voltage[58, 2] = 231.0
    assert week_of_voltage(voltage).share.tolist() == [1.0, 0.95, 0.95]
    assert week_of_voltage(voltage).complies.all()
    voltage[700, 0] = 195.0
    assert week_of_voltage(voltage).far_beyond.tolist() == [1, 0, 0]
    assert week_of_voltage(voltage).complies.tolist() == [False, True, True]
    voltage[700, 0] = 253.1
    assert not week_of_voltage(voltage).complies[0]


def test_invalid_intervals_are_not_counted_and_make_the_week_not_whole():
    """A day without data: 864 counted; nothing at all: no share, and no compliance."""
    voltage = np.full((WEEK, 3), 231.0)
    voltage[:144, 1] = np.nan
    week, nothing = week_of_voltage(voltage), week_of_voltage(np.full((WEEK, 3), np.nan))

    assert week.counted.tolist() == [1008, 864, 1008]
    assert week.invalid.tolist() == [0, 144, 0]
    assert not week.whole
    assert week.complies.all()
    assert np.isnan(nothing.share).all()
    assert not nothing.complies.any()


def test_unbalance_complies_while_95_per_cent_are_at_most_two():
    """The worst that counts is the 95th percentile."""
    factor = np.full(WEEK, 0.012)
    factor[:50] = 0.04
    good = week_of_unbalance(factor)
    factor[50] = 0.021
    bad = week_of_unbalance(factor)

    assert (bool(good.complies), bool(bad.complies)) == (True, False)
    assert (float(good.worst), float(bad.worst)) == (0.012, 0.021)
    assert good.share == pytest.approx(1 - 50 / 1008)


def test_ten_minutes_are_root_mean_squares_on_the_utc_tick():
    """Samples each 10 s that begin in the middle of an interval: that one has too few; a gap is NaN and in its place."""
    at = np.arange(300, 3000, 10) * SECOND
    at = at[(at < 1300 * SECOND) | (at >= 1800 * SECOND)]
    values = np.where((at // SECOND % 20 == 0)[:, None], [[220.0, 230.0]], [[240.0, 230.0]])

    interval, rms = ten_minutes(at, values, 10.0)

    assert interval.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(rms[[0, 2]]).all()
    assert rms[1] == pytest.approx([np.sqrt((220**2 + 240**2) / 2), 230.0])
    assert not np.isnan(rms[[1, 3, 4]]).any()
    assert ten_minutes(at[:0], values[:0], 10.0)[1].shape == (0, 2)


@given(a=st.floats(200, 260), b=st.floats(200, 260), c=st.floats(200, 260), lean=st.floats(-0.15, 0.15))
def test_the_sides_of_the_triangle_know_the_same_factor_as_the_phasors(a, b, c, lean):
    """Three voltages between the phases are enough; three phase magnitudes are not: another angle, another factor."""
    phasors = np.array([a, b * np.exp(1j * (-2 * np.pi / 3 + lean)), c * np.exp(2j * np.pi / 3)])
    sides = np.abs(phasors - phasors[[1, 2, 0]])

    factor = voltage_unbalance_factor(phasors)

    assert unbalance_of_sides(sides) == pytest.approx(float(factor), abs=1e-6)
    positive, negative = sequences(phasors)
    assert negative / positive == pytest.approx(float(factor))
    assert sequences_of_sides(sides) == pytest.approx(np.sqrt(3) * np.array([positive, negative]), abs=1e-3)


def test_no_triangle_and_no_voltage_have_no_factor():
    """Sides that cannot meet, a missing one, and zero; an even triangle has zero."""
    found = unbalance_of_sides(np.array([[400.0, 400, 900], [400, np.nan, 400], [0, 0, 0], [400, 400, 400]]))

    assert np.isnan(found[:3]).all()
    assert found[3] == pytest.approx(0.0, abs=1e-6)
