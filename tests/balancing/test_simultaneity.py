"""Consumers never peak higher together than alone, and the fit says how well it fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.simultaneity import coincidence, rusck
from tests.balancing.phases.world import households


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), seed=st.integers(0, 10_000), holes=st.booleans())
def test_a_group_never_peaks_above_the_sum_of_its_peaks(n, seed, holes):
    """One consumer coincides fully with itself; more do not exceed that, nor fall below one n-th."""
    rng = np.random.default_rng(seed)
    profiles = rng.gamma(0.5, 500.0, (n, 48))
    if holes:
        profiles[rng.random(profiles.shape) < 0.02] = np.nan
    sizes = np.arange(1, n + 1)

    found = coincidence(profiles, sizes, rng, draws=20)

    assert found.mean[0] == pytest.approx(1.0)
    known = np.isfinite(found.mean)
    assert (found.mean[known] <= 1 + 1e-12).all()
    if not holes:
        assert (found.mean >= 1 / sizes - 1e-12).all()
        assert (found.low <= found.high).all()


def test_consumers_that_do_the_same_coincide_fully_and_those_that_take_turns_by_one_nth():
    """Both ends of the scale, exactly."""
    same = np.tile(np.array([1.0, 5.0, 2.0, 3.0]), (4, 1))
    turns = np.eye(4) * 800.0
    rng = np.random.default_rng(1)

    assert coincidence(same, np.array([2, 4]), rng).mean == pytest.approx([1.0, 1.0])
    assert coincidence(turns, np.array([2, 4]), rng).mean == pytest.approx([0.5, 0.25])


def test_the_fit_has_one_at_one_and_its_limit_far_out_and_says_how_well_it_fits():
    """Households that also do something together keep a higher limit; the misfit is the distance from the fit."""
    sizes, alone = np.array([1, 2, 5, 10, 20, 40]), households(60, 14)
    found = coincidence(alone, sizes, np.random.default_rng(3))
    together = coincidence(alone + alone.mean(axis=0), sizes, np.random.default_rng(3))

    assert rusck(np.array([1, 4, 10**12]), 0.2) == pytest.approx([1.0, 0.6, 0.2], abs=1e-5)
    assert together.limit > found.limit + 0.05
    assert found.misfit == pytest.approx(np.sqrt(np.mean((found.mean - found.fitted(sizes)) ** 2)))
    assert 0 < found.misfit < 0.06
    assert (np.diff(found.mean) < 0).all()


def test_a_size_that_there_is_not_is_refused():
    """Eleven of ten consumers."""
    with pytest.raises(ValueError, match="1 to the 10"):
        coincidence(households(10, 1), np.array([2, 11]), np.random.default_rng(1))
