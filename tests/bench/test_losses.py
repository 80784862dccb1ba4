"""`scada bench losses`, small: it measures what it says, and what does not depend on the machine is within its bounds."""

import numpy as np
import pytest

from scada.bench.balance import losses
from scada.bench.balance.minutes import minutes
from scada.bench.balance.shared import VARIABLE, european
from scada.errors import ConfigError


def test_losses_are_right_and_hourly_means_are_corrected(monkeypatch):
    """Without any data of others: generated feeders and consumers."""
    monkeypatch.delenv(VARIABLE, raising=False)
    figures = {figure.id: figure.value for figure in losses.measure(year=48, batch=4, draws=5)}

    assert figures["loss_error"] < 0.05
    assert figures["loss_error_section_share"] < 1
    assert figures["loss_error_voltage"] < 1
    assert figures["hourly_bias"] < 10 < -figures["hourly_bias_without"]
    assert figures["loss_year_s"] > 0
    assert figures["loss_ratio_to_pgm"] > 0
    assert not [name for name in figures if "shared" in name]


def test_a_folder_that_is_named_and_wrong_is_an_error(monkeypatch, tmp_path):
    """Rather than figures of something else under the same name."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))

    with pytest.raises(ConfigError, match="no such file"):
        european()


def test_generated_consumers_are_spiky_alone_and_even_together():
    """As dwellings are: much less at their common peak than the sum of their own."""
    power = minutes(50, 3, 1)
    peak = power.max(axis=0)

    assert 0.05 < power.sum(axis=1).max() / peak.sum() < 0.4
    assert 150 < power.mean() < 900
    assert (power > 0).all()
    assert np.array_equal(power, minutes(50, 3, 1))
