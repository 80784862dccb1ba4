"""Networks with loops, by power-grid-model; and our own power flow against it, an engine that works quite differently."""

import sys

import attrs
import numpy as np
import pytest

from scada.balancing.network import (
    NoConvergence,
    Supply,
    feeder,
    losses,
    network_of,
    powers,
    solve,
    solve_meshed,
)
from scada.balancing.phases.checked import by_power_flow
from scada.bench.balance.feeders import KINDS, loads, made, tables
from scada.bench.balance.opendss import OpenDss
from scada.errors import StartError


def ring():
    """A chain of one cable whose end is tied back to the transformer."""
    right = tables("chain", 12, 7, 3)
    sections = right.sections
    return network_of(attrs.evolve(right, sections=attrs.evolve(
        sections, names=(*sections.names, "tie"), ends=(*sections.ends, ("n12", "n0")), linecode=("main70",) * 13,
        length=np.append(sections.length, 80.0), ohm_per_km=np.full((13, 4), np.nan),
    )), meshed=True)


@pytest.mark.parametrize("kind", KINDS)
def test_our_losses_are_those_of_power_grid_model(kind):
    """Of sections, conductors and the transformer; voltages too."""
    network = made(kind, 25, 12, 7)
    power = powers(network, loads(network, 5, 7))
    model = feeder(network)
    flow = solve(model, power)
    ours, theirs = losses(model, flow, table=True), solve_meshed(network, power, table=True)

    np.testing.assert_allclose(ours.section, theirs.losses.section, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(ours.conductor, theirs.losses.conductor, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(ours.lines, theirs.losses.lines, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(ours.transformer, theirs.losses.transformer, rtol=1e-7)
    np.testing.assert_allclose(flow.voltage, theirs.voltage, atol=1e-6)


def test_a_transformer_with_another_zero_sequence_agrees_too():
    """As a Yyn has; OpenDSS is not asked, for it derives its own."""
    network = made("tree", 15, 8, 2)
    supply = network.supply
    network = attrs.evolve(network, supply=Supply(
        supply.voltage, supply.rated, supply.grid, supply.impedance, 8 * supply.impedance + 0.01, 300.0))
    power = powers(network, loads(network, 4, 3))
    model = feeder(network)
    theirs = solve_meshed(network, power)
    ours = losses(model, solve(model, power))

    np.testing.assert_allclose(ours.transformer, theirs.losses.transformer, rtol=1e-7)
    np.testing.assert_allclose(ours.lines, theirs.losses.lines, rtol=1e-7, atol=1e-6)


def test_a_ring_of_one_cable_loses_what_opendss_says():
    """True four wires there."""
    network = ring()
    power = powers(network, loads(network, 4, 5))
    answer = OpenDss(network).run(power)
    found = solve_meshed(network, power, table=True)

    np.testing.assert_allclose(found.losses.section, answer.section, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(found.losses.transformer - 400, answer.transformer, rtol=1e-6)


def test_hours_without_an_answer_are_named_there_too():
    """And gaps stay unknown."""
    network = ring()
    power = powers(network, loads(network, 5, 5))
    power[3] *= 5000
    power[1, 0] = np.nan
    with pytest.raises(NoConvergence) as raised:
        solve_meshed(network, power)
    found = solve_meshed(network, power, strict=False, table=True)

    assert raised.value.hours.tolist() == [3]
    assert found.converged.tolist() == [True, False, True, False, True]
    assert np.isnan(found.losses.total).tolist() == [False, True, False, True, False]
    assert np.isfinite(found.losses.conductor).all()


def test_a_missing_engine_is_named_with_its_remedy(monkeypatch):
    """Not an ImportError in the middle of a page."""
    monkeypatch.setitem(sys.modules, "power_grid_model", None)
    network = ring()

    with pytest.raises(StartError, match=r"-e .\.\[network\]"):
        solve_meshed(network, powers(network, loads(network, 1, 5)))


def test_a_section_of_no_length_is_carried():
    """Such stand in real tables."""
    network = made("chain", 6, 3, 1)
    network = attrs.evolve(network, phase_ohm=network.phase_ohm * 0, neutral_ohm=network.neutral_ohm * 0)
    power = powers(network, loads(network, 2, 1))

    assert solve_meshed(network, power).losses.lines.sum() < 0.5
    assert losses(feeder(network), solve(feeder(network), power)).lines.sum() == 0


def test_moves_are_checked_in_a_network_with_loops_too():
    """By that engine in a tree it is the same as by ours; in a ring, less is lost than with the tie cut."""
    network = made("chain", 12, 7, 3)
    active = np.random.default_rng(1).gamma(0.5, 900.0, (4, 7))
    one = np.flatnonzero(network.point_phases.sum(axis=1) == 1)
    phase = np.roll(network.point_phases[one].argmax(axis=1), 1)
    tied = ring()
    cut = attrs.evolve(tied, phase_ohm=np.append(tied.phase_ohm[:-1], 1e7), neutral_ohm=np.append(tied.neutral_ohm[:-1], 0))
    open_ring = attrs.evolve(tied, sections=tied.sections[:-1], **{
        name: getattr(tied, name)[:-1] for name in ("ends", "length", "phase_ohm", "neutral_ohm")})

    ours, theirs, closed = (
        by_power_flow(which, active, one, 1.0)(phase) for which in (open_ring, cut, tied)
    )
    for name in ("loss", "neutral", "neutral_peak", "lowest"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=1e-4), name
    assert closed.loss < 0.95 * ours.loss
    assert closed.lowest > ours.lowest
