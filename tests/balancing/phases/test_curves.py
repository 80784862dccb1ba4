"""The least curve lies below every allocation, the largest above, in every hour and on every day."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.phases.curves import best_split, curves
from scada.balancing.phases.likeness import deducted, position, similarity
from scada.balancing.phases.uneven import allocated, loss_shape, unevenness
from tests.balancing.phases.world import households


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 24), seed=st.integers(0, 10_000), daily=st.booleans(),
       measure=st.sampled_from([unevenness, loss_shape]))
def test_least_random_and_largest_keep_their_order(n, seed, daily, measure):
    """MIN <= p5 <= p50 <= p95 <= MAX, hourly and daily, for consumers of any kind; a random allocation that was drawn lies
    between, too."""
    rng = np.random.default_rng(seed)
    profiles = rng.gamma(0.3, 900.0, (n, 72)) * (rng.random((n, 72)) < 0.7)
    days = np.repeat(np.arange(3), 24) if daily else None

    found = curves(profiles, np.random.default_rng(seed), measure, draws=30, days=days)

    slack = 1e-9 * found.maximum.max() + 1e-9
    order = [found.minimum, found.low, found.middle, found.high, found.maximum]
    assert all((lower <= upper + slack).all() for lower, upper in pairwise(order))
    assert found.minimum.shape == ((3,) if daily else (72,))
    drawn = measure(allocated(profiles, np.random.default_rng(seed).integers(3, size=(30, n))))
    if not daily:
        assert (found.minimum <= drawn.min(axis=0) + slack).all()
        assert (drawn.max(axis=0) <= found.maximum + slack).all()


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_few_consumers_are_split_as_evenly_as_can_be(n, seed):
    """Every split tried by hand leaves no less."""
    profiles = np.random.default_rng(seed).gamma(0.5, 900.0, (n, 5))
    every = allocated(profiles, np.array(list(product(range(3), repeat=n))))

    found = unevenness(best_split(profiles))

    assert found == pytest.approx(unevenness(every).min(axis=0), rel=1e-9, abs=1e-9)


def test_all_on_one_phase_is_the_whole_load_and_an_even_split_leaves_nothing():
    """Six equal consumers: two for each phase."""
    profiles = np.full((6, 4), 500.0)

    found = curves(profiles, np.random.default_rng(1))

    assert found.maximum == pytest.approx(np.full(4, 3000.0))
    assert found.minimum == pytest.approx(np.zeros(4), abs=1e-9)


def test_hours_and_days_with_a_hole_are_not_presented_as_whole():
    """One consumer silent for an hour: that hour and its day are unknown, the others stand."""
    profiles = households(12, 2)
    profiles[3, 30] = np.nan
    hourly = curves(profiles, np.random.default_rng(1), draws=20)
    daily = curves(profiles, np.random.default_rng(1), draws=20, days=np.repeat([0, 1], 24))

    for found, where in ((hourly, 30), (daily, 1)):
        for curve in (found.minimum, found.low, found.high, found.maximum):
            assert np.flatnonzero(np.isnan(curve)).tolist() == [where]


def test_the_position_orders_feeders_from_well_to_badly_spread():
    """Even, two to one, all on one phase: and the middle of random allocations between the first two."""
    profiles = households(45, 7)
    found = curves(profiles, np.random.default_rng(1), draws=60)
    by = [np.arange(45) % 3, np.where(np.arange(45) < 15, 0, 1), np.zeros(45, dtype=int)]

    even, bad, one = (float(position(unevenness(allocated(profiles, phase)), found)) for phase in by)

    assert even < bad < one == pytest.approx(1.0)
    assert 0 < float(position(found.middle, found)) < bad
    assert float(position(found.minimum, found)) == 0
    assert np.isnan(position(np.full(168, np.nan), found))


def test_the_likeness_knows_a_shape_and_cannot_know_a_size():
    """The trap that the docstring names: the loss of everybody on one phase has the shape of the least one."""
    profiles = households(45, 14)
    least = curves(profiles, np.random.default_rng(1), loss_shape, draws=30)
    even, one = (loss_shape(allocated(profiles, phase)) for phase in (np.arange(45) % 3, np.zeros(45, dtype=int)))

    alike, factor = similarity(even, least.minimum)

    assert 0.85 < alike < similarity(one, least.minimum)[0]
    assert similarity(even, least.scaled(factor).minimum) == pytest.approx((alike, 1.0))
    assert similarity(one, least.minimum)[1] > 5 * factor / 1.5


def test_the_likeness_of_nothing_is_not_a_number():
    """Two hours, or a flat line, have no shape."""
    assert np.isnan(similarity(np.array([1.0, np.nan, 2.0]), np.arange(3.0))[0])
    assert np.isnan(similarity(np.ones(50), np.arange(50.0))[0])


def test_losses_and_own_consumption_are_deducted_by_a_switch():
    """Each, both or none; the input stays as it was."""
    imbalance = np.array([10.0, 12.0])

    assert deducted(imbalance).tolist() == [10.0, 12.0]
    assert deducted(imbalance, np.array([3.0, 4.0])).tolist() == [7.0, 8.0]
    assert deducted(imbalance, np.array([3.0, 4.0]), np.array([0.5, 0.5])).tolist() == [6.5, 7.5]
    assert imbalance.tolist() == [10.0, 12.0]


def test_unevenness_is_what_the_neutral_carries():
    """One phase alone: all of it; equal phases: nothing; the formula of the sum of squares less the products."""
    power = np.array([[900.0, 0, 0], [300.0, 300.0, 300.0], [500.0, 200.0, 100.0]])

    expected = [900.0, 0.0, np.sqrt(25e4 + 4e4 + 1e4 - 10e4 - 2e4 - 5e4)]
    assert unevenness(power) == pytest.approx(expected, abs=1e-9)
    assert loss_shape(power)[0] == pytest.approx(2 * 900.0**2)
    with pytest.raises(ValueError, match="0, 1, 2"):
        allocated(np.ones((2, 3)), np.array([0, 3]))
    with pytest.raises(ValueError, match="one phase for each"):
        allocated(np.ones((2, 3)), np.array([0, 1, 2]))
