"""Moves for the mean neutral current: the best there is where all can be tried, never beyond the cap, never worse."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.phases.absolute import by_mean, least_sum
from scada.balancing.phases.gram import by_neutral
from scada.balancing.phases.search import search
from scada.balancing.phases.uneven import allocated, unevenness
from tests.balancing.phases.world import households, pareto


@pytest.mark.parametrize("seed", range(4))
def test_small_feeders_get_the_best_there_is(seed):
    """Seven consumers, three moves: every allocation tried."""
    profiles, start = households(7, 3, seed), np.random.default_rng(seed).integers(2, size=7)
    of = by_mean(profiles)
    best = min(
        of.score(np.array(one)) for one in product(range(3), repeat=7) if np.count_nonzero(np.array(one) != start) <= 3)

    assert of.score(least_sum(of, start, 3)) == pytest.approx(best)


@given(st.integers(1, 12), st.integers(0, 6), st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_the_score_is_the_sum_of_the_unevenness_and_the_cap_holds(n, cap, seed):
    """With what stays on the phases; only those are moved that may be, and the sum is not above today's."""
    rng = np.random.default_rng(seed)
    profiles, fixed = households(n, 2, seed), rng.uniform(0, 2000, (48, 3))
    start, movable = rng.integers(3, size=n), rng.random(n) < 0.7
    of = by_mean(profiles, fixed)
    phase = least_sum(of, start, cap, movable, kicks=2)

    assert of.score(phase) == pytest.approx(unevenness(allocated(profiles, phase) + fixed).sum())
    assert of.score(phase) <= of.score(start)
    assert np.count_nonzero(phase != start) <= cap
    assert (phase == start)[~movable].all()


def test_the_gain_of_every_single_change_is_the_difference_of_the_scores():
    """Of all consumers to all phases, with what stays; generation too."""
    rng = np.random.default_rng(3)
    profiles, start = households(9, 2) * np.where(np.arange(9) == 4, -1, 1)[:, None], rng.integers(3, size=9)
    of = by_mean(profiles, rng.uniform(0, 2000, (48, 3)))
    gains = of.gains(start, of.pulls(start))

    for one, to in product(range(9), range(3)):
        other = np.where(np.arange(9) == one, to, start)
        assert gains[one, to] == pytest.approx(of.score(other) - of.score(start), abs=1e-6)


def test_it_is_better_by_its_own_measure_than_least_squares_and_worse_by_theirs():
    """Two objectives, not one: else the choice would be none. The curve falls in the measure that was asked for."""
    profiles, start = households(40, 7), np.repeat([0, 1, 2], [24, 10, 6])
    mean, squares = by_mean(profiles), by_neutral(profiles)
    of_squares = search(squares, start, 8, kicks=300)
    of_mean = least_sum(mean, start, 8, begin=of_squares)
    points = pareto(profiles, mean, start, (2, 5), kicks=100)

    assert mean.score(of_mean) < mean.score(of_squares)
    assert squares.score(of_mean) > squares.score(of_squares)
    assert [one.score for one in points] == sorted((one.score for one in points), reverse=True)
    assert points[0].score == 1.0
    assert points[-1].score == pytest.approx(mean.score(points[-1].phase) / mean.score(start))


def test_a_beginning_beyond_the_cap_is_refused():
    """As by the search for squares."""
    with pytest.raises(ValueError, match="the cap is 1"):
        least_sum(by_mean(households(4, 2)), np.zeros(4, dtype=int), 1, begin=np.array([1, 1, 0, 0]))
