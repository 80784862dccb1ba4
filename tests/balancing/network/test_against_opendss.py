"""Losses and voltages against OpenDSS, which is given true four wires and knows nothing of our reduced impedances."""

import attrs
import numpy as np
import pytest

from scada.balancing.network import contributions, feeder, losses, node_voltages, powers, solve
from scada.bench.balance.feeders import KINDS, loads, made
from scada.bench.balance.opendss import OpenDss

CASES = [(kind, seed) for kind in KINDS for seed in (1, 2)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}", scope="module")
def computed(request):
    kind, seed = request.param
    network = made(kind, 20, 11, seed)
    power = powers(network, loads(network, 4, seed))
    model = feeder(network)
    return model, solve(model, power), OpenDss(network).run(power)


def test_the_loss_of_every_section_is_that_of_opendss(computed):
    """To 0.1 mW and a millionth, in chains, stars, combs and random trees, with one, two and three phases, unbalanced."""
    model, flow, answer = computed
    lost = losses(model, flow, table=True)

    np.testing.assert_allclose(lost.section, answer.section, rtol=1e-6, atol=1e-4)
    assert answer.section.sum() > 200


def test_the_loss_of_the_transformer_is_that_of_opendss(computed):
    """The load loss; the no-load loss is added as the constant it is."""
    model, flow, answer = computed
    lost = losses(model, flow)

    np.testing.assert_allclose(lost.transformer - 400, answer.transformer, rtol=1e-6, atol=1e-4)


def test_every_voltage_is_that_of_opendss(computed):
    """From phase to the neutral beside it, at every node and phase, within 10 µV."""
    model, flow, answer = computed

    np.testing.assert_allclose(np.abs(node_voltages(model, flow)), answer.voltage, rtol=0, atol=1e-5)


def test_voltages_at_the_service_points_are_those_of_the_nodes(computed):
    """Two ways to the same voltage."""
    model, flow, _ = computed
    nodes = node_voltages(model, flow)

    np.testing.assert_allclose(flow.voltage, nodes[:, model.network.point_node[model.point], model.phase], atol=1e-6)


def test_contributions_sum_to_the_loss(computed):
    """To 1e-9, lines and transformer apart."""
    model, flow, _ = computed
    lost = losses(model, flow)
    lines, transformer = contributions(model, flow)

    np.testing.assert_allclose(lines.sum(axis=1), lost.lines.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(transformer.sum(axis=1) + 400, lost.transformer, rtol=1e-9)


def test_what_is_lost_is_what_is_fed_and_not_taken(computed):
    """The energy balance of the feeder, from voltages at the root and currents, beside any resistance."""
    model, flow, _ = computed
    at_root = node_voltages(model, flow)[:, model.network.root]
    by_phase = np.stack([flow.current[:, model.phase == phase].sum(axis=1) for phase in range(3)], axis=1)
    fed = (at_root * by_phase.conj()).real.sum(axis=1)
    taken = (flow.voltage * flow.current.conj()).real.sum(axis=1)

    np.testing.assert_allclose(losses(model, flow).lines.sum(axis=1), fed - taken, rtol=1e-6)


def test_a_service_point_at_the_transformer_loses_nothing_in_lines():
    """Its path is empty; OpenDSS agrees on what it costs the transformer."""
    network = made("comb", 4, 3, 5)
    network = attrs.evolve(network, point_node=np.array([network.root, *network.point_node[1:]]))
    power = powers(network, loads(network, 3, 1))
    model = feeder(network)
    flow = solve(model, power)
    answer = OpenDss(network).run(power)

    assert (contributions(model, flow)[0][:, 0] == 0).all()
    np.testing.assert_allclose(losses(model, flow).transformer - 400, answer.transformer, rtol=1e-6)
