"""The measurements of suspects measure: small ones here, the limits are those of the figures with room for few repeats."""

import sys

import numpy as np
import pytest

from scada.bench.balance import city_suspects, suspects
from scada.bench.balance.generated import generator
from scada.bench.balance.scores import auc, interval, precision
from scada.errors import ScadaError
from tests.bench.test_historian import values

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_suspects_are_measured_with_their_spread() -> None:
    """Every id with the ends of its interval around it."""
    found = values([*suspects.measure(repeats=6, clean=4, homes=60)])

    assert {"way1_auc", "way1_p3", "way1_recall", "way1_false_groups", "way1_kwh_error"} <= set(found)
    assert {"fused_auc", "fused_p3", "tap_blamed", "leak_found", "leak_false"} <= set(found)
    for name in ("way1_auc", "fused_p3", "leak_found"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    assert found["way1_auc"] > 0.9
    assert found["fused_auc"] > 0.85
    assert found["leak_found"] == 100.0


def test_a_city_is_measured_in_processes_of_its_own() -> None:
    """A few groups, counted up to all."""
    found = values([*city_suspects.measure(groups=40)])

    assert found["city_suspects_s"] > 0
    assert found["city_suspects_cpu_s"] > 0
    assert found["city_suspects_named"] > 0


def test_outside_the_repository_it_says_where_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed server has no tests."""
    monkeypatch.setitem(sys.modules, "tests.bench.water", None)
    with pytest.raises(ScadaError, match="run `python -m scada bench` in the repository's folder"):
        generator("water")


def test_scores_are_what_they_are_called() -> None:
    """By hand."""
    score = np.array([3.0, np.nan, 2.0, 1.0, 2.0])
    guilty = np.array([True, False, True, False, False])

    assert auc(score, guilty) == pytest.approx((3 + 2.5) / 6)
    assert precision(score, guilty) == pytest.approx(2 / 3)
    assert interval(np.full(9, 0.5)) == (0.5, 0.5, 0.5)
    low, high = interval(np.arange(100.0))[1:]
    assert 43 < low < 49.5 < high < 56
