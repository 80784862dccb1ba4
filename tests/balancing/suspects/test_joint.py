"""Way 1: profiles that explain the imbalance, and how sure and how large they are."""

import numpy as np
import pytest

from scada.balancing.suspects.columns import batches, stacked
from scada.balancing.suspects.joint import explained, resemblance
from tests.balancing.suspects import made
from tests.bench.feeders import feeder
from tests.bench.thefts import Theft


def test_thieves_in_proportion_are_found_and_nobody_else() -> None:
    """Nearly all of them, with what they took within some per cent; an empty home's theft cannot be seen."""
    feeders = made.steady()
    found, bad = explained(made.together(feeders)), made.thieves(feeders)
    stolen = np.array([one.stolen.sum(axis=1) for one in feeders])
    right = found.alarm & bad

    assert right.sum() >= 22
    assert not (found.alarm & ~bad).any()
    assert np.median(np.abs(found.energy[right] / stolen[right] - 1)) < 0.06
    assert (np.abs(found.energy - stolen) < found.half_width)[right].mean() > 0.75


def test_the_factor_is_known_exactly_where_nothing_disturbs() -> None:
    """k = (1 - a) / a of a meter that registers the share a, beside a constant and a square law."""
    rng = np.random.default_rng(1)
    taken = rng.gamma(0.7, 0.5, (6, 240))
    registered = taken.copy()
    registered[2] *= 0.4
    feed = taken.sum(axis=0)
    fed = feed + 0.3 + 0.01 * feed**2
    fed += 0.01 * (fed**2 - feed**2)
    group = stacked([fed], [registered])
    solved = explained(group)

    assert solved.factor[0, 2] == pytest.approx(1.5, abs=0.02)
    assert np.abs(np.delete(solved.factor[0], 2)).max() < 0.02
    assert solved.alarm[0].tolist() == [False, False, True, False, False, False]
    assert solved.energy[0, 2] == pytest.approx(0.6 * taken[2].sum(), rel=0.02)


def test_clean_groups_are_not_alarmed_even_where_much_is_lost_on_the_line() -> None:
    """At 10 % loss a home far away costs more than a tenth of what it takes: the gate follows the loss."""
    lossy = tuple(feeder(seed, 50, 20, loss=0.10, day_of_year=60) for seed in range(4))
    found = explained(made.together((*made.clean(), *lossy)))

    assert not found.alarm.any()
    assert (found.gate[:8] < 0.13).all()
    assert (found.gate[8:] > 0.18).all()
    assert (found.factor[8:] > 0.10).any()


def test_missing_hours_are_left_out_and_too_few_are_said_to_be() -> None:
    """A day without one member costs that day only; groups with too little get NaN and no alarm."""
    feeders = made.steady(2)
    members = [one.members.copy() for one in feeders]
    feeds = [one.feed.copy() for one in feeders]
    members[0][7, 100:124] = np.nan
    feeds[0][300:330] = np.nan
    members[1][3, 60:] = np.nan
    found = explained(stacked(feeds, members))
    whole = explained(made.together(feeders))

    assert found.enough.tolist() == [True, False]
    assert found.hours.tolist() == [480 - 54, 60]
    assert found.factor[0] == pytest.approx(whole.factor[0], abs=0.15)
    assert np.isnan(found.factor[1]).all()
    assert not found.alarm[1].any()


def test_groups_of_other_sizes_beside_it_change_nothing() -> None:
    """Stacked with a larger one, a small group's figures are its own."""
    small = feeder(5, 12, 20, (Theft.CONSTANT,), day_of_year=60)
    alone = explained(stacked([small.feed], [small.members]))
    large = made.steady(1)[0]
    beside = explained(stacked([large.feed, small.feed], [large.members, small.members]))

    assert beside.t[1, :12] == pytest.approx(alone.t[0], rel=1e-6)
    assert np.isnan(beside.t[1, 12:]).all()
    assert beside.energy[1, :12] == pytest.approx(alone.energy[0], rel=1e-6)


def test_loss_that_a_power_flow_gave_is_taken_off() -> None:
    """With it the gate is the least, and the square of the load is not fitted."""
    feeders = made.steady(3)
    known = stacked([one.feed for one in feeders], [one.members for one in feeders], [one.loss for one in feeders])
    found = explained(known)

    assert found.gate.tolist() == [0.10] * 3
    assert found.loss.tolist() == [0.0] * 3
    assert (found.alarm == made.thieves(feeders)).mean() > 0.98
    assert known.imbalance.sum() < made.together(feeders).imbalance.sum()


def test_a_register_that_counts_whole_kilowatt_hours_cannot_accuse() -> None:
    """Its profile is noise, so k is not sure."""
    coarse = tuple(feeder(40 + seed, 50, 20, (Theft.CONSTANT,) * 3, resolution=1.0, day_of_year=60) for seed in range(3))
    found = explained(made.together(coarse))

    assert (found.alarm & made.thieves(coarse)).sum() <= 3
    assert not (found.alarm & ~made.thieves(coarse)).any()


def test_resemblance_is_a_picture_and_no_evidence() -> None:
    """Plain correlation ranks far worse than the joint regression, and is between -1 and 1; a meter at rest has none."""
    feeders = made.steady()
    groups, bad = made.together(feeders), made.thieves(feeders)
    plain, score = resemblance(groups), explained(groups).score
    first_three = [np.take_along_axis(bad, np.argsort(-kind, axis=1)[:, :3], axis=1).mean() for kind in (plain, score)]
    still = stacked([np.arange(240.0)], [np.stack([np.full(240, 0.2), np.arange(240.0)])])

    assert (np.abs(plain) <= 1).all()
    assert first_three[0] < 0.7 < 0.9 < first_three[1]
    assert np.isnan(resemblance(still)[0, 0])


def test_what_does_not_fit_together_is_refused_by_number() -> None:
    """Which groups, and what was expected."""
    with pytest.raises(ValueError, match=r"groups \[1\] have others than the 48 hours of the first"):
        stacked([np.zeros(48), np.zeros(47)], [np.zeros((2, 48)), np.zeros((2, 47))])
    with pytest.raises(ValueError, match="1 feeds and 2 lists of members"):
        stacked([np.zeros(48)], [np.zeros((2, 48))] * 2)


def test_batches_hold_every_group_once_and_little_that_is_padded() -> None:
    """Alike in size, and within the budget."""
    sizes = np.random.default_rng(3).integers(1, 400, 500).tolist()
    parts = batches(sizes, 480)

    assert sorted(np.concatenate(parts).tolist()) == list(range(500))
    for part in parts:
        widest = max(sizes[index] for index in part)
        assert len(part) * widest * 480 <= 4_000_000 or len(part) == 1
        assert min(sizes[index] for index in part) >= 0.75 * widest - 2
