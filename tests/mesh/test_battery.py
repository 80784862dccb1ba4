"""The battery's forecast: what the domain says of the type comes out, and it never knows more than it can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.mesh.battery import forecast
from scada.network import Basis

NAN = float("nan")


def of(relayed: float, age: float = 0.0, idle: float = 3640, load: float = 3560) -> tuple[float, float, float, Basis]:
    found = forecast(np.array([relayed]), np.array([age]), np.array([idle]), np.array([load]))
    return float(found.years[0]), float(found.low[0]), float(found.high[0]), Basis(int(found.basis[0]))


def test_a_fresh_cell_lasts_the_years_that_are_stated_for_the_type() -> None:
    """Domain A2: 6-10 years, with up to 500-700 relayed packets a day."""
    quiet, busy = of(0)[0], of(700)[0]

    assert quiet == pytest.approx(10.0, abs=0.3)
    assert busy == pytest.approx(6.5, abs=0.3)
    assert of(500)[1] < 6 < of(500)[2]


def test_on_the_plateau_the_voltage_changes_nothing() -> None:
    """A flat curve: 3.64 V and 3.50 V say the same, nothing; only the count speaks."""
    assert of(300, 3, idle=3640) == of(300, 3, idle=3500)
    assert of(300, 3, idle=NAN, load=NAN) == of(300, 3)


def test_weak_under_load_alone_lowers_only_the_lower_bound() -> None:
    """Passivation, cold and the end look alike."""
    good, tired = of(300, 1), of(300, 1, load=3100)

    assert tired[0] == good[0]
    assert tired[2] == good[2]
    assert tired[1] == 0
    assert tired[3] is Basis.AMBIGUOUS


def test_an_idle_voltage_off_the_plateau_means_the_last_tenth_whatever_was_counted() -> None:
    years, low, high, basis = of(100, 1, idle=3300, load=2900)

    assert low == 0 <= years <= high < 1.1
    assert basis is Basis.VOLTAGE
    assert of(100, 1, idle=2900)[3] is Basis.EMPTY
    assert of(100, 1, idle=2900)[0] == 0


def test_what_is_not_known_is_not_made_up() -> None:
    """No traffic: no figure. No age: at best a fresh cell, at worst nothing."""
    assert np.isnan(of(NAN)[:3]).all()
    assert of(NAN)[3] is Basis.UNKNOWN
    assert np.isnan(of(9_000)[0])
    assert of(100, NAN)[0] == of(100, 0)[0]
    assert of(100, NAN)[1] == 0
    assert of(100, NAN)[3] is Basis.FRESH
    assert of(NAN, NAN, idle=3200)[3] is Basis.VOLTAGE


@given(
    st.floats(0, 5000), st.floats(0, 25), st.one_of(st.just(NAN), st.floats(1500, 4000)),
    st.one_of(st.just(NAN), st.floats(1500, 4000)), st.floats(1, 500), st.floats(0.1, 5),
)
def test_the_bounds_hold_the_estimate_and_more_work_or_age_never_helps(
    relayed: float, age: float, idle: float, load: float, more: float, older: float
) -> None:
    years, low, high, _basis = of(relayed, age, idle, load)

    assert 0 <= low <= years <= high <= 20
    if relayed + more <= 5000:
        assert of(relayed + more, age, idle, load)[0] <= years
    if age + older <= 25:
        assert of(relayed, age + older, idle, load)[0] <= years
