"""When a meter is worth replacing."""

import numpy as np
import pytest

from scada.balancing.suspects.failures import FailureCurve
from scada.balancing.suspects.recalibration import Terms, recalibration

TERMS = Terms(tariff=0.15, cost=40.0)


def test_old_meters_with_much_behind_them_come_first() -> None:
    """By gain; a new meter and one that nothing passes are left where they are."""
    found = recalibration(np.array([2000.0, 2000.0, 20000.0, 0.0]), np.array([1.0, 20.0, 20.0, 20.0]), TERMS)

    assert found.order[:2].tolist() == [2, 1]
    assert (found.gain > 0).tolist() == [False, True, True, False]
    assert found.interval[2] < found.interval[0]


def test_replacing_at_the_best_age_costs_least_a_year() -> None:
    """At that age the loss of the year around it is the mean yearly cost."""
    curve = FailureCurve((0.0, 10.0, 30.0), (0.005, 0.005, 0.3))
    terms = Terms(tariff=0.15, cost=40.0, curve=curve, drift=0.0)
    yearly = np.full(300, 2500.0)
    ages = np.linspace(0.5, 30.0, 300)
    found = recalibration(yearly, ages, terms)
    best = found.interval[0]
    at_best = np.interp(best - 0.5, ages, found.loss)

    assert 5 < best < 25
    assert found.bearable[0] == pytest.approx(at_best, rel=0.10)
    assert np.sign(found.gain).tolist() == np.sign(found.loss - found.bearable).tolist()


def test_the_briefs_rule_is_where_what_it_lost_is_what_it_costs() -> None:
    """A constant loss of 2 % of 300 a year has lost 40 after 6.7 years; nothing lost is never."""
    curve = FailureCurve((0.0, 40.0), (10.0, 10.0))
    terms = Terms(tariff=0.15, cost=40.0, curve=curve, lost=0.02, noticed=0.0, drift=0.0)
    found = recalibration(np.array([2000.0, 0.0]), np.zeros(2), terms)

    assert found.paid[0] == pytest.approx(6.77, abs=0.05)
    assert found.paid[1] == np.inf


def test_a_meter_that_is_known_to_lose_is_reckoned_by_what_it_loses() -> None:
    """Way 1's k in the place of the expectation."""
    plain = recalibration(np.full(2, 2000.0), np.full(2, 3.0), TERMS)
    known = recalibration(np.full(2, 2000.0), np.full(2, 3.0), TERMS, np.array([0.4, np.nan]))

    assert known.loss[0] == pytest.approx(0.4 * 2000 * 0.15)
    assert known.loss[1] == plain.loss[1]
    assert known.order[0] == 0


def test_failures_that_are_noticed_do_not_pile_up() -> None:
    """At a constant rate they come to rate / (rate + noticed); without notice to all."""
    curve = FailureCurve((0.0, 1.0), (0.1, 0.1))
    age, noticed = curve.failed(0.3, 60.0)
    _, never = curve.failed(0.0, 60.0)

    assert noticed[-1] == pytest.approx(0.25, abs=1e-6)
    assert never == pytest.approx(1 - np.exp(-0.1 * age), abs=1e-9)


def test_a_bathtub_falls_stays_and_rises() -> None:
    """Early faults, service, ageing."""
    rate = FailureCurve.bathtub().rate(np.array([0.0, 4.0, 20.0]))

    assert rate[0] > 2 * rate[1]
    assert rate[2] > 5 * rate[1]


@pytest.mark.parametrize(
    ("ages", "rates", "said"),
    [
        ((1.0, 2.0), (0.1, 0.1), "ascending from 0 expected"),
        ((0.0, 2.0, 2.0), (0.1, 0.1, 0.1), "ascending from 0 expected"),
        ((0.0, 2.0), (0.1,), "2 of 0 to 10 expected"),
        ((0.0, 2.0), (0.1, -0.1), "2 of 0 to 10 expected"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(ages: tuple[float, ...], rates: tuple[float, ...], said: str) -> None:
    """With what it was."""
    with pytest.raises(ValueError, match=said):
        FailureCurve(ages, rates)


def test_quantities_and_terms_that_cannot_be_are_refused() -> None:
    """By number of the meter, and by name of the term."""
    with pytest.raises(ValueError, match=r"meters \[1, 2\]"):
        recalibration(np.array([1.0, -1.0, np.nan]), np.zeros(3), TERMS)
    with pytest.raises(ValueError, match="cost"):
        Terms(tariff=0.1, cost=0.0)
