"""Temperatures settle where the constants say, in the time they say, and nothing is said of an unknown past."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.overload import minutes_left
from scada.balancing.thermal import Constants, relative_ageing, temperatures


def test_rated_load_settles_at_rated_rises():
    """20 °C around: oil 75 °C, hot spot 98 °C, ageing at the normal rate; no load keeps the heat of the core."""
    rated = temperatures(np.ones(600), 20.0, 10.0)
    idle = temperatures(np.zeros(600), 20.0, 10.0)

    assert (rated.top_oil[-1], rated.hot_spot[-1]) == pytest.approx((75.0, 98.0))
    assert relative_ageing(rated.hot_spot[-1]) == pytest.approx(1.0)
    assert idle.top_oil[-1] == pytest.approx(20 + 55 * (1 / 6) ** 0.8)
    assert relative_ageing(np.array([104.0, 92.0])) == pytest.approx([2.0, 0.5])
    assert relative_ageing(110.0, upgraded=True) == pytest.approx(1.0)


def test_a_step_of_load_is_followed_with_the_time_constants():
    """After 180 minutes the oil has made 63 % of its way, the winding all of its own."""
    load = np.r_[np.full(300, 0.5), np.full(180, 1.2)]
    found = temperatures(load, 20.0, 1.0)
    before, after = (20 + 55 * ((1 + 5 * k**2) / 6) ** 0.8 for k in (0.5, 1.2))

    assert found.top_oil[299] == pytest.approx(before)
    assert found.top_oil[-1] == pytest.approx(after + (before - after) * np.exp(-1))
    assert found.hot_spot[-1] - found.top_oil[-1] == pytest.approx(23 * 1.2**1.6)
    overshoot = temperatures(load, 20.0, 1.0, Constants(k21=2.0, k11=0.5))
    rise = overshoot.hot_spot - overshoot.top_oil
    assert rise[300:].max() > 1.1 * 23 * 1.2**1.6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(1, 700), k21=st.sampled_from([1.0, 2.0]))
def test_blocks_of_steps_are_the_same_as_one_step_after_the_other(seed, steps, k21):
    """Two transformers, any length, an ambient of its own."""
    rng = np.random.default_rng(seed)
    load, around = rng.uniform(0, 1.5, (2, steps)), rng.uniform(-10, 35, steps)
    of, keep, spin, back = Constants(k21=k21), np.exp(-5 / 180), np.exp(-5 / 8), np.exp(-2 * 5 / 180)
    found = temperatures(load, around, 5.0, of)

    target = around + 55 * ((1 + 5 * load**2) / 6) ** of.oil_exponent
    oil, rise, less = target[:, 0], k21 * 23 * load[:, 0] ** 1.6, (k21 - 1) * 23 * load[:, 0] ** 1.6
    for step in range(steps):
        oil = target[:, step] + (oil - target[:, step]) * keep
        heat = 23 * load[:, step] ** 1.6
        rise, less = k21 * heat + (rise - k21 * heat) * spin, (k21 - 1) * heat + (less - (k21 - 1) * heat) * back
    assert found.top_oil[:, -1] == pytest.approx(oil)
    assert found.hot_spot[:, -1] == pytest.approx(oil + rise - less)


def test_a_gap_is_unknown_and_so_is_what_follows_until_the_oil_has_forgotten_it():
    """Ten hours without data: NaN in them and for some oil time constants after; ten minutes: only in them."""
    load = np.full(6 * 72, 0.8)
    load[200:260] = np.nan
    load[400] = np.nan
    found = temperatures(load, 20.0, 10.0)
    unknown = np.isnan(found.hot_spot)

    assert unknown[200:260].all()
    assert unknown[260:290].all()
    assert not unknown[325:400].any()
    assert unknown[400]
    assert not unknown[402:].any()
    assert np.isnan(temperatures(np.full(5, np.nan), 20.0, 10.0).top_oil).all()


def test_minutes_left_are_those_after_which_the_temperature_is_over_its_limit():
    """1.6 of the rated load from a warm state: the model itself reaches the limit in that minute, and not before."""
    state = temperatures(np.full(300, 0.6), 25.0, 10.0)
    oil, spot = state.top_oil[-1], state.hot_spot[-1]

    left = float(minutes_left(1.6, 25.0, oil, spot))

    after = temperatures(np.r_[np.full(2000, 0.6), np.full(int(left) + 1, 1.6)], 25.0, 1.0)
    over = (after.hot_spot > 120.0) | (after.top_oil > 105.0)
    assert 10 < left < 300
    assert over[-1]
    assert not over[:-3].any()


def test_a_load_that_can_be_carried_for_ever_and_one_that_is_over_already():
    """Infinity, zero, and NaN where something is not known; several transformers at once."""
    left = minutes_left(
        np.array([0.9, 1.3, np.nan, 1.8]), 20.0, np.array([60.0, 106.0, 60.0, 60.0]), np.array([80.0, 119.0, 80.0, 80.0])
    )

    assert left[0] == np.inf
    assert left[1] == 0
    assert np.isnan(left[2])
    assert 0 < left[3] < 60
    longer = minutes_left(1.8, 20.0, 60.0, 80.0, most_hot_spot=140.0, most_top_oil=115.0)
    assert longer > left[3]
