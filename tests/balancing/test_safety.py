"""Each fault is found from the series it makes, is not mistaken for another, and a healthy network has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.balancing.arcing import arcing
from scada.balancing.findings import Fault, runs
from scada.balancing.safety import broken_neutral, lost_phase, star_point, unusual_voltage


def healthy(t=300, seed=1):
    """Daily life at the end of a long cable: some per cent apart, a drop when a kettle is on."""
    rng = np.random.default_rng(seed)
    drop = np.where(rng.random((t, 3)) < 0.1, 9.0, 0.0)
    return 229.0 + np.array([2.0, -3.0, 1.0]) + rng.normal(0, 0.7, (t, 3)) - drop + 0.4 * drop[:, [1, 2, 0]]


def floating(loads, nominal=230.0):
    """Phase voltages behind a broken neutral: the star point settles where the currents of the loads sum to zero."""
    turn = np.exp(2j * np.pi / 3)
    phases = nominal * np.array([1, turn**2, turn])
    star = (loads * phases).sum(axis=-1) / loads.sum(axis=-1)
    return np.abs(phases - star[..., None])


@given(r=st.floats(0, 100), angle=st.floats(0, 6.28), nominal=st.floats(200, 250))
def test_the_star_point_is_found_wherever_it_is(r, angle, nominal):
    """Distances from any point well inside tell how far it is from the centre and how large the triangle is."""
    corners = nominal * np.exp(2j * np.pi * np.arange(3) / 3)
    point = r * np.exp(1j * angle)

    shift, radius = star_point(np.abs(corners - point))

    assert radius == pytest.approx(nominal, rel=1e-6)
    assert shift == pytest.approx(r, abs=0.05)


def test_a_healthy_network_has_no_findings():
    """Five minutes, an hour, a week of it: nothing."""
    for seed in range(20):
        voltage = healthy(seed=seed)

        assert broken_neutral(voltage) == []
        assert lost_phase(voltage) == []
        assert unusual_voltage(voltage) == []


def test_a_broken_neutral_is_found_with_its_first_and_last_sample():
    """A kettle on one phase, a lamp on another, from sample 100 to 179: voltages far apart, one of them dangerous."""
    voltage = healthy()
    voltage[100:180] = floating(np.array([[1.0, 0.5, 0.2]]) * np.random.default_rng(2).uniform(0.9, 1.1, (80, 3)))

    (found,) = broken_neutral(voltage)

    assert (found.fault, found.phase, found.first, found.last) == (Fault.BROKEN_NEUTRAL, None, 100, 179)
    assert found.value > 60 > found.limit
    assert found.highest > 300
    assert found.lowest < 180
    assert {one.fault for one in unusual_voltage(voltage)} == {Fault.HIGH_VOLTAGE, Fault.LOW_VOLTAGE}
    assert lost_phase(voltage) == []


@pytest.mark.parametrize("rest", [0.0, 60.0, 110.0])
def test_a_lost_phase_is_not_taken_for_a_broken_neutral(rest):
    """A blown fuse, dead or fed backwards; the other two as they were."""
    voltage = healthy()
    voltage[50:, 1] = rest

    (found,) = lost_phase(voltage)

    assert (found.fault, found.phase, found.first, found.last, found.value) == (Fault.LOST_PHASE, 1, 50, 299, rest)
    assert broken_neutral(voltage) == []


def test_an_outage_of_all_phases_is_neither():
    """All three gone."""
    voltage = healthy()
    voltage[100:] = 0.0

    assert lost_phase(voltage) == []
    assert broken_neutral(voltage) == []


def test_an_unusual_voltage_has_its_extreme_and_needs_more_than_one_sample():
    """258 V for a minute on L3, 200 V for a while on L1, and one wrong sample."""
    voltage = np.full((200, 3), 231.0)
    voltage[20:80, 2] = 256.0
    voltage[50, 2] = 258.0
    voltage[100:110, 0] = 201.0
    voltage[150, 1] = 400.0

    high, low = unusual_voltage(voltage)

    assert (high.fault, high.phase, high.first, high.last, high.value) == (Fault.HIGH_VOLTAGE, 2, 20, 79, 258.0)
    assert (low.fault, low.phase, low.first, low.last, low.value) == (Fault.LOW_VOLTAGE, 0, 100, 109, 201.0)
    assert high.limit == pytest.approx(253.0)


def test_missing_samples_are_no_fault_and_end_a_run():
    """NaN in the middle of a lost phase: two findings; NaN alone: none."""
    voltage = np.full((60, 3), 230.0)
    voltage[10:30, 0] = 5.0
    voltage[20] = np.nan

    assert [(one.first, one.last) for one in lost_phase(voltage)] == [(10, 19), (21, 29)]
    assert broken_neutral(np.full((9, 3), np.nan)) == []
    assert list(runs(np.array([True, True, False, True, True, True]), 3)) == [(3, 5)]


def flicker(current_falls, t=400):
    rng = np.random.default_rng(3)
    voltage, current = healthy(t) * 0 + 230.0 + rng.normal(0, 0.5, (t, 3)), np.full((t, 3), 12.0)
    for at in range(100, 160, 4):
        voltage[at:at + 2, 1] -= 14.0
        current[at:at + 2, 1] += -3.0 if current_falls else 8.0
    return voltage, current


def test_contacts_that_arc_are_found_on_their_phase_with_what_tells_them_from_a_load():
    """Fifteen interruptions in a minute, current and voltage together."""
    voltage, current = flicker(current_falls=True)

    (arc,) = arcing(voltage, 1.0, current)

    assert (arc.finding.fault, arc.finding.phase) == (Fault.ARCING, 1)
    assert arc.finding.first <= 100
    assert 160 <= arc.finding.last <= 220
    assert arc.finding.value >= 15
    assert arc.depth == pytest.approx(14.0, abs=1.5)
    assert arc.with_current == 1.0
    (without,) = arcing(voltage, 1.0)
    assert np.isnan(without.with_current)


def test_a_load_that_switches_often_and_a_compressor_are_not_arcs():
    """The voltage falls because the current rises; and two starts in five minutes."""
    voltage, current = flicker(current_falls=False)
    seldom = np.full((300, 3), 230.0)
    seldom[50:60], seldom[200:210] = 220.0, 220.0

    assert arcing(voltage, 1.0, current) == []
    assert arcing(seldom, 1.0) == []
    assert arcing(np.full((10, 3), np.nan), 1.0) == []
    with pytest.raises(ValueError, match="at most 5 s apart; found 60"):
        arcing(voltage, 60.0)
