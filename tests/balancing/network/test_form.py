"""What hourly means hide: the formula against the definition, and losses with it against losses of every minute."""

import attrs
import numpy as np
import pytest

from scada.balancing.network import DEFAULTS, FormFactor, calibrate, contributions, feeder, losses, powers, solve
from scada.balancing.phases.advice import CheckJob, check_of
from scada.balancing.phases.checked import form_used
from scada.bench.balance.feeders import made
from scada.phase_study import FormUsed


def minutes(hours, consumers, seed):
    """Appliances that are on for some minutes, and a base load."""
    rng = np.random.default_rng(seed)
    on = rng.random((60 * hours, consumers)) < rng.uniform(0.02, 0.1, consumers)
    return 80 + 2500 * np.apply_along_axis(lambda column: np.convolve(column, np.ones(4))[:len(column)] > 0, 0, on)


def test_the_formula_is_the_mean_over_random_groups():
    """k² of groups, by the definition, against the three numbers of the fit."""
    power = minutes(24, 12, 1)
    form = calibrate(power)
    rng = np.random.default_rng(2)
    for count in (1, 2, 5, 9):
        groups = np.stack([power[:, rng.choice(12, count, replace=False)].sum(axis=1) for _ in range(1500)], axis=1)
        fine = groups.reshape(24, 60, -1)
        expected = (fine**2).mean(axis=1).sum() / (fine.mean(axis=1)**2).sum() - 1

        assert form.excess(count) == pytest.approx(expected, rel=0.02)


def test_with_the_factor_hourly_losses_come_near_those_of_every_minute():
    """Calibrated on others of the same kind; without it a good part is missing, without doubt."""
    network = made("tree", 25, 14, 6)
    network = network.on_phases(np.eye(3, dtype=bool)[np.arange(14) % 3])
    model = feeder(network)
    power = minutes(24, 14, 5)
    truth = losses(model, solve(model, powers(network, power)))
    hourly = solve(model, powers(network, power.reshape(24, 60, 14).mean(axis=1)))
    form = calibrate(minutes(24, 14, 8))
    plain, better = losses(model, hourly), losses(model, hourly, form)

    assert plain.lines.sum() * 60 < 0.8 * truth.lines.sum()
    assert better.lines.sum() * 60 == pytest.approx(truth.lines.sum(), rel=0.06)
    assert better.lines[:, 3].sum() * 60 == pytest.approx(truth.lines[:, 3].sum(), rel=0.1)
    assert better.transformer.sum() * 60 == pytest.approx(truth.transformer.sum(), rel=0.01)


def test_contributions_sum_to_the_loss_with_a_factor_too():
    """To 1e-9, with several phases, and so does the table of sections."""
    network = made("comb", 25, 14, 6)
    model = feeder(network)
    flow = solve(model, powers(network, minutes(1, 14, 5)))
    lost = losses(model, flow, DEFAULTS[60], table=True)
    lines, transformer = contributions(model, flow, DEFAULTS[60])

    np.testing.assert_allclose(lines.sum(axis=1), lost.lines.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(lost.section.sum(axis=1), lost.lines.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(transformer.sum(axis=1) + 400, lost.transformer, rtol=1e-9)


@pytest.mark.parametrize("form", DEFAULTS.values(), ids=str)
def test_the_default_falls_with_the_number_of_consumers(form):
    """One dwelling hides most, and nobody hides nothing."""
    excess = form.excess(np.arange(200))

    assert excess[0] == 0
    assert (np.diff(excess[1:]) < 0).all()
    assert 0 < excess[-1] < 0.05


def test_longer_means_hide_more():
    """A quarter of an hour less than half an hour less than an hour, for any number of consumers."""
    count = np.arange(1, 100)

    assert (DEFAULTS[15].excess(count) < DEFAULTS[30].excess(count)).all()
    assert (DEFAULTS[30].excess(count) < DEFAULTS[60].excess(count)).all()


@pytest.mark.parametrize("power", [
    np.ones((60, 1)), np.ones((59, 3)), np.full((60, 3), np.nan), np.zeros((60, 3)), np.ones(60),
], ids=["one consumer", "no whole hour", "gaps", "no power", "no consumers"])
def test_what_cannot_be_calibrated_on_is_refused(power):
    """Rather than a factor of nothing."""
    with pytest.raises(ValueError, match="expected"):
        calibrate(power)


def test_steady_power_hides_nothing():
    """k² is one."""
    assert calibrate(np.ones((120, 3))).excess([1, 5]).tolist() == [0, 0]


def test_the_doubt_is_the_spread_over_other_consumers_of_the_same_many():
    """The jackknife against 200 sets of 40 that are really others; within a factor of two."""
    sets = [calibrate(minutes(24, 40, seed), doubt=0.0) for seed in range(100, 140)]
    spread = np.std([form.excess(5) for form in sets]) / np.mean([form.excess(5) for form in sets])
    doubt = np.mean([calibrate(minutes(24, 40, seed)).doubt for seed in (1, 2, 3)])

    assert 0.5 < doubt / spread < 2
    assert isinstance(sets[0], FormFactor)


def test_the_check_of_moves_takes_the_form_factor_of_the_network():
    """Its own for hours; one for quarters of an hour is none for hours."""
    network = made("chain", 12, 8, 3)
    active = np.random.default_rng(4).gamma(0.5, 900.0, (5, 8))
    one = np.flatnonzero(network.point_phases.sum(axis=1) == 1)
    phase = network.point_phases[one].argmax(axis=1)

    def lost(form):
        return check_of(CheckJob((0, 0), attrs.evolve(network, form=form), active, one, phase))[1].loss

    steady, shipped = lost(FormFactor(0.0, 0.0, 0.0, 0.0)), lost(None)
    double = attrs.evolve(DEFAULTS[60], alone=2 * DEFAULTS[60].alone, together=2 * DEFAULTS[60].together)
    assert lost(double) - steady == pytest.approx(2 * (shipped - steady))
    assert shipped > 1.02 * steady
    assert lost(attrs.evolve(double, minutes=15)) == shipped
    assert [form_used(attrs.evolve(network, form=form)) for form in (None, double, attrs.evolve(double, minutes=15))] == [
        FormUsed.SHIPPED, FormUsed.FITTED, FormUsed.SHIPPED,
    ]
    looped = attrs.evolve(network, sections=(*network.sections, "tie"), form=double)
    assert form_used(looped) is FormUsed.NONE
