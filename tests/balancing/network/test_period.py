"""Losses of a period as energies: the same as hour by hour, with gaps and collapses told and not hidden."""

import numpy as np
import pytest

from scada.balancing.loss_report import _extremes
from scada.balancing.network import DEFAULTS, contributions, feeder, losses, powers, solve
from scada.balancing.network import period as periods
from scada.balancing.network.period import filled, over
from scada.bench.balance.feeders import loads, made


@pytest.fixture(scope="module")
def network():
    return made("tree", 25, 10, 9)


def test_energies_are_the_sums_of_the_hours(network, monkeypatch):
    """Of half hours, in blocks of five, with a form factor."""
    monkeypatch.setattr(periods, "BLOCK", 5)
    active, model, form = loads(network, 12, 4), feeder(network), DEFAULTS[30]
    flow = solve(model, powers(network, active))
    lost, plain = losses(model, flow, form, table=True), losses(model, flow)
    shown = []
    found = over(network, active, 30, form, progress=lambda blocks: (shown.append(block) or block for block in blocks))

    assert len(shown) == 3
    np.testing.assert_allclose(found.sections.sum(axis=1), lost.section.sum(axis=0) / 2, atol=1e-9)
    np.testing.assert_allclose(found.points[:, 0], contributions(model, flow, form)[0].sum(axis=0) / 2)
    assert found.lost == pytest.approx(lost.total.sum() / 2)
    assert found.hidden == pytest.approx((lost.total - plain.total).sum() / 2)
    assert found.doubt == pytest.approx(0.3 * found.hidden)
    assert found.taken == pytest.approx(active.sum() / 2)
    at_point = [np.abs(flow.voltage[:, model.point == point]).min() for point in range(10)]
    np.testing.assert_allclose(found.lowest, at_point)


def test_unknown_and_collapsed_hours_are_left_out_and_told_apart(network):
    """Energies are those of the others alone."""
    active = loads(network, 5, 4)
    others = over(network, active[[0, 2, 4]])
    active[1, 3] = np.nan
    active[3] *= 1000
    found = over(network, active)

    assert found.known.tolist() == [True, False, True, False, True]
    assert found.collapsed.tolist() == [3]
    assert found.lost == pytest.approx(others.lost)
    assert found.taken == pytest.approx(others.taken)
    np.testing.assert_allclose(found.points, others.points)


def test_power_grid_model_gives_the_same_energies(network):
    """The way of meshed networks, which knows no shares of consumers."""
    active = loads(network, 6, 4)
    ours, theirs = over(network, active), over(network, active, meshed=True)

    assert theirs.points is None
    current, lowest = _extremes(feeder(network), active)
    np.testing.assert_allclose(theirs.currents, current, atol=1e-4)
    np.testing.assert_allclose(theirs.nodes, lowest, atol=1e-5)
    assert ours.nodes is ours.currents is None
    assert ours.lost == pytest.approx(theirs.lost, rel=1e-7)
    np.testing.assert_allclose(ours.sections, theirs.sections, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.lowest, theirs.lowest, atol=1e-5)


def test_gaps_are_filled_with_the_consumers_own_mean():
    """And who was never heard stays unknown."""
    active = np.array([[1.0, np.nan, 5.0], [np.nan, np.nan, 7.0], [3.0, np.nan, np.nan]])
    found, share = filled(active)

    np.testing.assert_array_equal(found, [[1, np.nan, 5], [2, np.nan, 7], [3, np.nan, 6]])
    assert share == pytest.approx(5 / 9)
