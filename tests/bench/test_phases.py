"""The measurements of phases measure: the figures asked for are there, and bad advice would show in them."""

import pytest

from scada.bench.balance import advice, phases
from scada.bench.balance.shared import generated

pytestmark = pytest.mark.timeout(120)


def test_identification_reports_shares_with_their_spread():
    """Nine feeders, one of each size."""
    found = {figure.id: figure.value for figure in phases.measure(repeats=9)}

    assert {"phase_id_full", "phase_id_full_p5", "phase_id_70", "phase_id_70_sure"} <= set(found)
    assert found["phase_id_full"] >= 98
    assert found["phase_id_full"] > found["phase_id_70"] >= 90
    assert found["phase_id_70_p5"] <= found["phase_id_70_p50"] <= 100


def test_advice_reports_its_time_its_distance_from_the_best_known_and_what_it_saves(monkeypatch):
    """One instance and one longer search; the generated feeder in the place of the shared one."""
    monkeypatch.delenv("SCADA_BENCH_DATA", raising=False)
    monkeypatch.setattr(advice, "CONSUMERS", 60)
    monkeypatch.setattr(advice, "DAYS", 2)
    monkeypatch.setattr(advice, "KICKS", 20)
    monkeypatch.setattr(advice, "IN_PROCESSES", 0)

    found = {figure.id: figure.value for figure in advice.measure(repeats=2, compared=1, long=2)}

    assert 0 < found["phase_advice_cpu_s"] < 10
    assert found["phase_advice_gap"] >= 0
    assert 0 < found["phase_advice_left"] < 60
    assert found["phase_advice_generated_neutral_cut"] > 40
    assert found["phase_advice_generated_loss_cut"] > 5
    assert "phase_advice_loss_cut" not in found


def test_the_feeder_in_the_place_of_the_shared_one_is_of_its_size():
    """55 one-phase consumers."""
    assert len(generated().network.points) == 55
