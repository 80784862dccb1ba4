"""A balance is feed minus members when everything is there, and says how much is there when it is not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scada.balancing.hourly import balance, members_over
from scada.balancing.register import Feed
from scada.tags import BAD, Quality

QUALITIES = st.sampled_from([Quality.GOOD, Quality.UNCERTAIN_LAST_KNOWN, Quality.BAD_SENSOR, Quality.BAD_STALE])
VALUES = hnp.arrays(np.float64, (4, 6), elements=st.floats(-10, 50, width=32))
EACH_HOUR = np.arange(7)
SOME_DAYS = np.array([0, 2, 5, 6])


@given(
    values=VALUES,
    quality=hnp.arrays(np.uint8, (4, 6), elements=QUALITIES),
    feed=hnp.arrays(np.float64, 6, elements=st.floats(-100, 200, width=32)),
)
def test_feed_minus_members_or_nothing(values, quality, feed):
    """The identity holds exactly where every member-hour is usable; elsewhere no imbalance is named."""
    values = np.where(quality == Quality.BAD_STALE, np.nan, values)
    members = members_over(values, quality, EACH_HOUR, 0.01, np.full(4, 0.001))
    found = balance(Feed(feed, np.full(6, 0.1)), members, 0.01)

    whole = (quality < BAD).all(axis=0)
    assert (found["completeness"] == (quality < BAD).mean(axis=0)).all()
    assert (np.isnan(found["imbalance"]) == ~whole).all()
    np.testing.assert_allclose(found["imbalance"][whole], (feed - values.sum(axis=0))[whole], atol=1e-9)
    assert np.isfinite(found["feed"]).all()
    assert (np.isnan(found["members"]) == (quality >= BAD).all(axis=0)).all()


@given(values=VALUES)
def test_days_are_the_sums_of_their_hours_and_no_less_sure_than_the_worst_way_of_adding(values):
    """Adding up loses nothing; the class of a meter does not average out over a day."""
    good = np.zeros(values.shape, np.uint8)
    hours = members_over(values, good, EACH_HOUR, 0.01, np.zeros(4))
    days = members_over(values, good, SOME_DAYS, 0.01, np.zeros(4))

    np.testing.assert_allclose(days.energy, np.add.reduceat(hours.energy, SOME_DAYS[:-1]), atol=1e-9)
    assert days.expected.tolist() == [8, 12, 4]
    np.testing.assert_allclose(
        days.doubt, 0.01 * np.sqrt((np.add.reduceat(values, SOME_DAYS[:-1], axis=1) ** 2).sum(axis=0)), atol=1e-12
    )


def test_a_day_with_one_member_hour_missing_is_no_balance():
    """47 of 48: the partial sum is shown, the day is not called whole."""
    values = np.ones((2, 24))
    quality = np.zeros((2, 24), np.uint8)
    values[1, 7], quality[1, 7] = np.nan, Quality.BAD_STALE

    members = members_over(values, quality, np.array([0, 24]), 0.01, np.zeros(2))
    found = balance(Feed(np.array([60.0]), np.zeros(1)), members, 0.01)

    assert found["completeness"][0] == 47 / 48
    assert found["members"][0] == 47.0
    assert np.isnan(found["imbalance"][0])


def test_a_dead_line_is_not_summed_although_it_has_a_value():
    """Its pulses are evidence, no consumption."""
    quality = np.array([[Quality.GOOD], [Quality.BAD_SENSOR]], np.uint8)
    members = members_over(np.array([[3.0], [4.0]]), quality, np.array([0, 1]), 0.01, np.zeros(2))

    assert members.energy[0] == 3.0
    assert members.present[0] == 1


def test_a_group_without_members_has_no_balance():
    """Its feed is not a loss of 100 %."""
    members = members_over(np.empty((0, 1)), np.empty((0, 1), np.uint8), np.array([0, 1]), 0.01, np.empty(0))
    found = balance(Feed(np.array([60.0]), np.zeros(1)), members, 0.01)

    assert found["completeness"][0] == 0.0
    assert np.isnan(members.energy[0])
    assert found["feed"][0] == 60.0


def test_no_feed_at_all_is_no_percentage():
    """An hour in which nothing flowed has an imbalance, and no share of it."""
    members = members_over(np.array([[0.0]]), np.array([[0]], np.uint8), np.array([0, 1]), 0.01, np.zeros(1))
    found = balance(Feed(np.array([0.0]), np.zeros(1)), members, 0.01)

    assert found["imbalance"][0] == 0.0
    assert np.isnan(found["imbalance_percent"][0])
