"""Consumption that never stops: found as coarse registers allow, and nobody is frightened without need."""

import numpy as np
import pytest

from scada.balancing.suspects.leaks import leaks, standby
from tests.bench import water
from tests.bench.households import make

PULSE = 0.010                           # [m3]


def test_a_leak_of_five_litres_an_hour_is_found_within_three_nights_of_ten_litre_pulses() -> None:
    """Every one, with its flow within a step over the window."""
    leak = np.repeat([5.0, 6.0, 12.0], 60)
    found = leaks(water.homes(1, 180, 3, leak=leak) / 1000, np.full(180, PULSE), 0.005)

    assert found.found.all()
    assert (found.since == 0).all()
    assert (np.abs(found.rate * 1000 - leak) <= 1000 * found.doubt + 1e-9).mean() > 0.95


def test_homes_without_a_leak_are_left_in_peace_for_a_month() -> None:
    """Ten in a thousand at most."""
    found = leaks(water.homes(2, 1000, 30) / 1000, np.full(1000, PULSE), 0.005)

    assert found.found.mean() <= 0.01
    assert found.enough.all()


def test_a_finer_register_finds_a_smaller_leak_and_a_coarse_one_says_that_it_cannot() -> None:
    """A litre: 2 l/h. A hundred litres: the window would be longer than a day."""
    resolution = np.array([0.001, 0.100])
    wet = np.concatenate([water.homes(3, 1, 4, leak=2.0, resolution=1000 * step) for step in resolution]) / 1000
    found = leaks(wet, resolution, 0.002)

    assert found.found.tolist() == [True, False]
    assert found.enough.tolist() == [True, False]
    assert found.window[0] == 3
    assert np.isnan(found.rate[1])


def test_a_leak_that_begins_later_has_its_day_and_missing_hours_are_no_silence() -> None:
    """Since the fifth day; an hour that is missing is in no window."""
    hours = water.homes(4, 1, 12)[0] / 1000
    hours[96:] += np.diff(np.floor(np.arange(len(hours) - 96 + 1) * 0.8)) * 0.01
    hours[130:134] = np.nan
    found = leaks(hours[None], np.array([PULSE]), 0.005)

    assert found.found[0]
    assert found.since[0] == 4


def test_too_few_nights_are_not_enough() -> None:
    """Two days, or holes everywhere."""
    wet = water.homes(5, 2, 3, leak=20.0) / 1000
    holes = wet.copy()
    holes[:, ::2] = np.nan

    assert not leaks(wet[:, :48], np.full(2, PULSE), 0.005).enough.any()
    assert not leaks(holes, np.full(2, PULSE), 0.005).found.any()
    with pytest.raises(ValueError, match="whole days and more than 0 expected"):
        leaks(wet[:, :47], np.full(2, PULSE), 0.005)


def test_standby_is_what_is_always_on_and_its_share() -> None:
    """About what was put in, with the refrigerator's mean; a third of a home or so."""
    homes = make(100, 14, 8)
    power, share = standby(homes.energy(), np.full(100, 0.01))
    lived_in = homes.energy().sum(axis=1) > 20

    assert (power > homes.constant * 0.95).all()
    assert (power - homes.constant)[lived_in].max() < 0.25
    assert 0.2 < np.median(share[lived_in]) < 0.45
    assert np.isnan(standby(np.full((1, 72), np.nan), np.array([0.01]))[0]).all()
