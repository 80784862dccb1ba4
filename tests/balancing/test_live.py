"""The figures of three phases hold for any load, at any scale, and say nothing where nothing can be said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scada.balancing.live import current_phasors, loading, maximum_deviation, neutral_current, sequence_ratio

POWERS = hnp.arrays(np.float64, (4, 3), elements=st.floats(-50_000, 50_000, width=32))
CURRENTS = hnp.arrays(np.float64, (4, 3), elements=st.floats(1.0, 200.0, width=32))


@given(current=CURRENTS, active=POWERS, reactive=POWERS)
def test_magnitudes_survive_and_the_neutral_never_carries_more_than_all_three(current, active, reactive):
    """A phasor has the measured length; the neutral's share lies between nothing and the sum."""
    phasors = current_phasors(current, active, reactive)

    assert np.allclose(np.abs(phasors), current)
    assert (neutral_current(phasors) <= current.sum(axis=-1) * (1 + 1e-12)).all()


@given(current=CURRENTS, active=POWERS, reactive=POWERS, scale=st.floats(0.1, 1000.0), turn=st.floats(0, 2 * np.pi))
def test_the_imbalance_does_not_change_with_scale_or_rotation(current, active, reactive, scale, turn):
    """Twice the load, or another instant of the period, is the same imbalance."""
    phasors = current_phasors(current, active, reactive)
    moved = phasors * scale * np.exp(1j * turn)
    one, other = sequence_ratio(phasors, 0.1), sequence_ratio(moved, 0.1 * scale)

    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
    np.testing.assert_allclose(maximum_deviation(current * scale), maximum_deviation(current), rtol=1e-9, atol=1e-12)


@given(current=st.floats(0.1, 500.0), angle=st.floats(-1.5, 1.5))
def test_equal_loads_are_balanced_whatever_their_power_factor(current, angle):
    """The same magnitude and angle in every phase: no negative sequence, nothing in the neutral."""
    three = np.full(3, current)
    phasors = current_phasors(three, three * np.cos(angle), three * np.sin(angle))

    assert sequence_ratio(phasors) < 1e-12
    assert maximum_deviation(three) < 1e-12
    assert neutral_current(phasors) < 1e-9 * current


@given(current=CURRENTS)
def test_ohmic_loads_are_ordered_only_by_their_sizes(current):
    """With all loads ohmic it does not matter which phase carries which: the ratio is the same."""
    power = current * 230
    zero = np.zeros_like(current)
    one = sequence_ratio(current_phasors(current, power, zero))
    other = sequence_ratio(current_phasors(current[:, ::-1], power[:, ::-1], zero))

    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_missing_phase_makes_the_figure_missing_and_leaves_the_others_alone():
    """NaN in one transformer's row; the row beside it is untouched."""
    current = np.array([[10.0, np.nan, 10.0], [10.0, 10.0, 10.0]])
    power = current * 230
    phasors = current_phasors(current, power, np.zeros((2, 3)))

    for figure in (
        sequence_ratio(phasors), maximum_deviation(current), neutral_current(phasors), loading(power, np.array([1e4, 1e4]))
    ):
        assert np.isnan(figure[0])
        assert np.isfinite(figure[1])


def test_without_load_there_is_no_imbalance_to_speak_of():
    """0/0, or three small numbers below the floor: NaN, not 0 % and not 200 %."""
    assert np.isnan(sequence_ratio(np.zeros(3, complex)))
    assert np.isnan(maximum_deviation(np.zeros(3)))
    assert np.isnan(maximum_deviation(np.array([0.3, 0.0, 0.0]), floor=0.5))


def test_a_transformer_without_a_nameplate_has_no_loading():
    """Not infinite, not an exception in the middle of all the others."""
    found = loading(np.full((2, 3), 1000.0), np.array([0.0, 3000.0]))

    assert np.isnan(found[0])
    assert found[1] == 1.0


@pytest.mark.parametrize("function", [sequence_ratio, maximum_deviation, neutral_current])
def test_anything_but_three_phases_is_refused(function):
    """A transposed array must not give a plausible number."""
    with pytest.raises(ValueError, match="three phases"):
        function(np.ones((3, 2)))
