"""Power flow: what it does with hours that have no answer, with gaps, with many hours; and what losses are made of."""

import numpy as np
import pytest

from scada.balancing.network import NoConvergence, contributions, feeder, flow, losses, powers, solve, technical
from scada.bench.balance.feeders import loads, made


@pytest.fixture(scope="module")
def network():
    return made("tree", 30, 12, 4)


@pytest.fixture(scope="module")
def model(network):
    return feeder(network)


def test_hours_that_the_feeder_cannot_carry_are_named(network, model):
    """Voltage collapse in two of six hours."""
    power = powers(network, loads(network, 6, 2))
    power[[1, 4]] *= 500

    with pytest.raises(NoConvergence) as raised:
        solve(model, power)

    assert raised.value.hours.tolist() == [1, 4]
    assert "2 hours (rows 1, 4)" in str(raised.value)


def test_hours_without_an_answer_do_not_spoil_the_others(network, model):
    """When asked not to raise: NaN there, and marked; the others as if they were alone."""
    power = powers(network, loads(network, 6, 2))
    alone = losses(model, solve(model, power), table=True)
    power[4] *= 500
    found = solve(model, power, strict=False)
    lost = losses(model, found, table=True)

    others = [0, 1, 2, 3, 5]
    assert found.converged.tolist() == [True, True, True, True, False, True]
    assert np.isnan(lost.total[4])
    assert np.isnan(lost.section[4]).all()
    np.testing.assert_allclose(lost.section[others], alone.section[others], rtol=1e-8, atol=1e-9)


def test_a_gap_in_one_profile_makes_the_hour_unknown_and_not_zero(network, model):
    """It is no collapse, so nothing is raised."""
    watts = loads(network, 3, 2)
    watts[1, 5] = np.where(network.point_phases[5], np.nan, 0)
    found = solve(model, powers(network, watts))
    lost = losses(model, found, table=True)

    assert found.converged.tolist() == [True, False, True]
    assert np.isnan(lost.total).tolist() == [False, True, False]
    assert np.isfinite(lost.conductor).all()
    np.testing.assert_allclose(lost.conductor.sum(), lost.lines[[0, 2]].sum(axis=1).mean())


def test_chunks_of_hours_change_nothing(network, model, monkeypatch):
    """Bounded memory is no other result."""
    power = powers(network, loads(network, 50, 3))
    whole = losses(model, solve(model, power), table=True)
    monkeypatch.setattr(flow, "CHUNK", 100)
    monkeypatch.setattr(technical, "CHUNK", 100)
    parts = losses(model, solve(model, power), table=True)

    np.testing.assert_allclose(parts.section, whole.section, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(parts.conductor, whole.conductor, rtol=1e-7, atol=1e-9)


def test_sections_and_conductors_sum_to_the_same_loss(network, model):
    """Two tables of one thing."""
    lost = losses(model, solve(model, powers(network, loads(network, 9, 3))), table=True)

    np.testing.assert_allclose(lost.section.sum(axis=1), lost.lines.sum(axis=1))
    np.testing.assert_allclose(lost.conductor.sum(axis=1), lost.section.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(lost.conductor.sum(axis=0), lost.lines.mean(axis=0))


def test_balanced_loads_leave_the_neutral_alone():
    """What three equal phases return cancels."""
    network = made("chain", 5, 2, 1)
    network = network.on_phases(np.ones((2, 3), dtype=bool))
    model = feeder(network)
    lost = losses(model, solve(model, powers(network, np.full((1, 2), 9000.0))))

    assert lost.lines[0, 3] < 1e-9 * lost.lines[0, 0]
    np.testing.assert_allclose(lost.lines[0, :3], lost.lines[0, 0])


def test_one_phase_at_the_end_of_a_line_loses_what_ohm_says():
    """By hand: a current there and back, through phase and neutral."""
    network = made("chain", 3, 1, 1)
    network = network.on_phases(np.array([[True, False, False]]))
    model = feeder(network)
    flow = solve(model, powers(network, np.array([[4000.0]])))
    lost = losses(model, flow)
    on_path = model.behind[model.branch, 0]
    ohm = network.phase_ohm.real[on_path].sum(), network.neutral_ohm.real[on_path].sum()
    ampere = np.abs(flow.current[0, 0])

    np.testing.assert_allclose(lost.lines[0], [ohm[0] * ampere**2, 0, 0, ohm[1] * ampere**2])
    np.testing.assert_allclose((flow.voltage * flow.current.conj()).real, 4000)


def test_a_consumer_who_relieves_the_feeder_has_a_negative_contribution():
    """Generation of one beside the consumption of another on one phase; kept negative, for it helps."""
    network = made("chain", 4, 2, 3).on_phases(np.array([[True, False, False]] * 2))
    model = feeder(network)
    lines, _ = contributions(model, solve(model, powers(network, np.array([[-800.0, 5000.0]]))))

    assert lines[0, 0] < 0 < lines[0, 1]


def test_power_on_a_phase_that_is_not_there_is_refused(network):
    """It would vanish otherwise."""
    watts = loads(network, 2, 1)
    watts[0, ~network.point_phases] = 5.0

    with pytest.raises(ValueError, match="not connected"):
        powers(network, watts)


def test_power_without_phases_is_spread_evenly_with_its_reactive_part(network):
    """Lagging draws positive var; the apparent power is that of the power factor."""
    power = powers(network, np.full((1, len(network.points)), 600.0))[0]
    model = feeder(network)
    share = 600.0 / network.point_phases.sum(axis=1)[model.point]
    factor = network.power_factor[model.point]

    np.testing.assert_allclose(power.real, share)
    np.testing.assert_allclose(np.abs(power), share / np.abs(factor))
    assert (np.sign(power.imag) == np.where(np.abs(factor) == 1, 0, np.sign(factor))).all()
