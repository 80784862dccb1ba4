"""Phases are found from profiles, with a margin that is worth something, and nothing is said where nothing is known."""

import numpy as np
import pytest

from scada.balancing.phases.identify import SURE, UNKNOWN, bridged, disagreements, identify, relabelled
from tests.bench.phased import phased

DAYS = 10
HOURS = np.arange(24 * DAYS) + 490_896


@pytest.fixture(scope="module")
def district():
    return phased(5, 30, DAYS)


def test_all_phases_of_a_metered_feeder_are_found(district):
    """Thirty homes, real loss, meters with errors, registers of 10 Wh."""
    found = identify(district.members * 1e3, district.feed * 1e3, HOURS)

    assert (found.phase == district.phase).all()
    assert (found.margin > SURE).mean() > 0.9
    assert found.hours == len(HOURS)


def test_a_third_without_meters_costs_some_and_the_margin_knows_which():
    """Seventy of a hundred homes metered, ten days: a tenth may be wrong, few of them clear."""
    right, clear = [], []
    for seed in range(5):
        feeder = phased(100 + seed, 100, 10, metered=0.7)
        found = identify(feeder.members * 1e3, feeder.feed * 1e3, np.arange(24 * 10))
        right += list(found.phase == feeder.phase)
        clear += list(found.margin >= SURE)
    right, clear = np.array(right), np.array(clear)

    assert right.mean() >= 0.88
    assert right[clear].mean() >= 0.95
    assert right[clear].mean() > right[~clear].mean() + 0.1


def test_holes_and_gaps_do_not_stop_it(district):
    """An eighth of the readings missing, a night without the feeder, three days cut out."""
    members, feed = district.members * 1e3, district.feed * 1e3
    members[np.random.default_rng(1).random(members.shape) < 0.08] = np.nan
    feed[30:36] = np.nan
    there = np.r_[0:100, 172:240]

    found = identify(members[:, there], feed[there], HOURS[there])

    assert (found.phase == district.phase).mean() >= 0.93
    assert len(there) - 30 < found.hours <= len(there) - 6


def test_who_is_silent_counts_with_the_mean_of_that_hour_of_the_day():
    """Three days, one hour missing on the last: the mean of the two others; an hour that never was: the mean of all."""
    values = np.tile(np.arange(24.0), 3)[:, None] + np.repeat([0.0, 10.0, 20.0], 24)[:, None]
    slot = np.tile(np.arange(24), 3)
    values[2 * 24 + 7] = np.nan
    values[slot == 9] = np.nan

    filled = bridged(values, slot)

    assert filled[2 * 24 + 7, 0] == pytest.approx(12.0)
    assert filled[9, 0] == filled[33, 0] == pytest.approx(np.nanmean(values))
    assert (filled[slot == 8] == values[slot == 8]).all()


def test_three_phase_consumers_are_taken_off_first(district):
    """A workshop larger than the feeder's homes: known, it does no harm; unknown, it does."""
    shop = np.random.default_rng(2).gamma(0.5, 12_000.0, (len(HOURS), 1)) * np.array([0.2, 0.3, 0.5])
    feed = district.feed * 1e3 + shop

    with_it = identify(district.members * 1e3, feed, HOURS, known=shop)
    without = identify(district.members * 1e3, feed, HOURS)

    assert (with_it.phase == district.phase).all()
    assert (without.phase != district.phase).any()


def test_nothing_is_said_of_who_never_changes_or_was_hardly_heard(district):
    """An empty flat of constant zero, and a meter that came on the last day."""
    members = district.members * 1e3
    members[3] = 0.0
    members[7, :-20] = np.nan

    found = identify(members, district.feed * 1e3, HOURS)

    assert np.flatnonzero(found.phase == UNKNOWN).tolist() == [3, 7]
    assert np.flatnonzero(np.isnan(found.margin)).tolist() == [3, 7]
    assert not {one.consumer for one in disagreements(found, np.full(30, 2))} & {3, 7}


def test_disagreements_with_the_registry_are_listed_clearest_first(district):
    """Two wrong, one unknown in the registry: three entries; a consumer below the margin would not be there."""
    registered = district.phase.copy()
    registered[[4, 11]] = (registered[[4, 11]] + 1) % 3
    registered[20] = UNKNOWN
    found = identify(district.members * 1e3, district.feed * 1e3, HOURS)

    listed = disagreements(found, registered)

    assert {one.consumer for one in listed} == {4, 11, 20}
    assert [one.margin for one in listed] == sorted((one.margin for one in listed), reverse=True)
    assert {one.consumer: (one.registered, one.found) for one in listed}[4] == (registered[4], district.phase[4])
    assert disagreements(found, registered, least=99.0) == []
    assert relabelled(found, registered) is None


def test_exchanged_wires_at_the_transformer_are_one_finding_and_not_thirty(district):
    """L1 and L2 of the feeder's meter exchanged: the order of names that explains it."""
    found = identify(district.members * 1e3, district.feed[:, [1, 0, 2]] * 1e3, HOURS)

    assert relabelled(found, district.phase) == (1, 0, 2)
    assert len(disagreements(found, district.phase)) > 15


def test_too_little_is_refused_with_what_is_needed(district):
    """A day and a half; or shapes that do not fit."""
    with pytest.raises(ValueError, match="36 hours can be used; at least 48"):
        identify(district.members[:, :36], district.feed[:36], HOURS[:36])
    with pytest.raises(ValueError, match=r"want a feeder of \(240, 3\)"):
        identify(district.members, district.feed[:, :2], HOURS)
