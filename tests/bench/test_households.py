"""The generator is believable: what it makes has the properties of real homes, so figures measured on it mean something."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bench import meters, water
from tests.bench.feeders import feeder
from tests.bench.households import make
from tests.bench.thefts import Theft, registered

DAYS = 28


@pytest.fixture(scope="module")
def hours() -> NDArray[np.float64]:
    """Four hundred homes for four weeks from a Monday in March, by the hour. [kWh]"""
    return make(400, DAYS, 11).energy()


def coincidence(hours: NDArray[np.float64], size: int) -> float:
    """Mean of peak of the sum over sum of the peaks, over draws of `size` homes."""
    rng = np.random.default_rng(5)
    draws = [hours[rng.choice(len(hours), size, replace=False)] for _ in range(150)]
    return float(np.mean([draw.sum(axis=0).max() / draw.max(axis=1).sum() for draw in draws]))


def missed(days: NDArray[np.float64]) -> float:
    """Median over rows of the error over the mean of forecasts by the seven days before, of (n, d, 24)."""
    forecast = np.stack([np.median(days[:, day - 7 : day], axis=1) for day in range(DAYS - 7, DAYS)], axis=1)
    last = days[:, -7:]
    return float(np.median(np.abs(forecast - last).sum(axis=(1, 2)) / np.maximum(last.sum(axis=(1, 2)), 0.1)))


def test_peaks_of_many_homes_do_not_coincide(hours: NDArray[np.float64]) -> None:
    """g(10) and g(50) as on real ones."""
    assert coincidence(hours, 10) == pytest.approx(0.43, abs=0.03)
    assert coincidence(hours, 50) == pytest.approx(0.30, abs=0.025)


def test_days_have_a_morning_and_an_evening_and_weekends_are_others(hours: NDArray[np.float64]) -> None:
    """Night low, a morning's peak on working days, the evening's higher; weekends begin later, and noon is busy."""
    form = hours.mean(axis=0).reshape(DAYS, 24) / hours.mean()
    weekend = np.arange(DAYS) % 7 >= 5
    work, free = form[~weekend].mean(axis=0), form[weekend].mean(axis=0)

    assert work[2:5].max() < 0.6 < 0.9 < work[7:10].max() < work[18:21].max() < 2.0
    assert work[7:9].mean() > 1.3 * work[12:15].mean()
    assert free[11:14].mean() > 1.5 * work[11:14].mean()
    assert free[6:8].mean() < work[6:8].mean()


def test_homes_are_of_many_sizes(hours: NDArray[np.float64]) -> None:
    """Kilowatt-hours a day."""
    daily = hours.sum(axis=1) / DAYS

    assert np.percentile(daily, [5, 50, 95]) == pytest.approx([4.0, 7.5, 15.7], rel=0.2)


def test_homes_are_regular_and_yet_miss_their_forecast(hours: NDArray[np.float64]) -> None:
    """As real ones: by half alone, by an eighth or so fifty together; resemblance to the day before is there, and weak."""
    days = hours.reshape(-1, DAYS, 24)
    day_before = np.median([np.corrcoef(home[:-24], home[24:])[0, 1] for home in hours])

    assert missed(days) == pytest.approx(0.5, abs=0.07)
    assert missed(days.reshape(40, 10, DAYS, 24).sum(axis=1)) == pytest.approx(0.235, abs=0.04)
    assert missed(days.reshape(8, 50, DAYS, 24).sum(axis=1)) == pytest.approx(0.12, abs=0.04)
    assert 0.22 < day_before < 0.5


def test_some_are_away_and_a_few_homes_stand_empty(hours: NDArray[np.float64]) -> None:
    """A day without anybody is a tenth of the usual or a fridge; an empty home has hardly that."""
    daily = hours.reshape(-1, DAYS, 24).sum(axis=2)
    quiet = (daily < 0.4 * np.median(daily, axis=1, keepdims=True)).mean()
    empty = (daily.mean(axis=1) < 1.5).mean()

    assert 0.015 < quiet < 0.08
    assert 0.003 < empty < 0.04


def test_things_are_switched_on_and_off() -> None:
    """Minutes: most are near the least, some are kilowatts, and steps are steep."""
    minute = make(100, 1, 3).energy(1) * 60

    assert np.median(minute.max(axis=1)) == pytest.approx(3.4, rel=0.2)
    assert np.median(minute.std(axis=1) / minute.mean(axis=1)) > 1.1
    assert (np.abs(np.diff(minute, axis=1)) > 0.8).sum(axis=1).mean() > 10


def test_hours_are_the_sums_of_their_minutes_and_a_clock_ahead_sees_them_earlier() -> None:
    """The same uses, counted exactly."""
    homes = make(20, 2, 4)
    minute = homes.energy(1)

    assert homes.energy() == pytest.approx(minute.reshape(20, 48, 60).sum(axis=2), abs=1e-9)
    assert homes.energy(skew=1.0)[:, 1:] == pytest.approx(
        np.roll(minute, 1, axis=1).reshape(20, 48, 60).sum(axis=2)[:, 1:], abs=1e-9
    )


def test_the_same_seed_makes_the_same_homes() -> None:
    """And another seed others."""
    assert np.array_equal(make(5, 3, 8).energy(), make(5, 3, 8).energy())
    assert not np.array_equal(make(5, 3, 8).energy(), make(5, 3, 9).energy())


@pytest.mark.parametrize("kind", list(Theft)[1:])
def test_every_theft_counts_less(kind: Theft) -> None:
    """From its first hour on, and before that all; a fifth to four fifths or so."""
    energy = make(200, 20, 6).energy()
    counted = registered(np.random.default_rng(1), np.full(200, int(kind)), energy, since=240)
    share = counted[:, 240:].sum() / energy[:, 240:].sum()

    assert np.array_equal(counted[:, :240], energy[:, :240])
    assert counted.min() >= 0.0
    assert 0.3 < share < 0.8
    if kind != Theft.MEAN:
        assert (counted <= energy).all()


def test_a_register_counts_whole_steps_and_loses_nothing() -> None:
    """Over the whole span within one step."""
    rng = np.random.default_rng(2)
    energy = rng.exponential(0.3, (30, 200))
    counted = meters.counted(rng, energy, 0.01)

    assert counted * 100 == pytest.approx(np.round(counted * 100), abs=1e-6)
    assert np.abs(counted.sum(axis=1) - energy.sum(axis=1)).max() <= 0.01 + 1e-9


def test_a_feeder_is_its_members_and_what_is_lost_and_stolen() -> None:
    """The truth adds up, within the meters' errors; the loss goes with the square of the load."""
    group = feeder(3, 50, 20, (Theft.CONSTANT, Theft.WINDOW), taps=1)
    known = group.loss + group.tap + group.stolen.sum(axis=0)
    taken = group.members.sum(axis=0) + group.stolen.sum(axis=0)

    assert (group.kind > 0).sum() == 2
    assert group.imbalance.sum() == pytest.approx(known.sum(), abs=0.006 * group.feed.sum())
    assert np.abs(group.imbalance - known).mean() < 0.02 * group.feed.mean()
    assert group.loss.sum() == pytest.approx(0.04 * taken.sum(), rel=0.02)
    assert np.corrcoef(group.loss, taken**2)[0, 1] > 0.9


def test_water_stops_at_night_and_a_leak_does_not() -> None:
    """Litres an hour of some homes with and without a leak of 8 l/h, registers of a litre."""
    night = np.arange(20 * 24) % 24 == 3
    dry = water.homes(1, 200, 20, resolution=1.0)
    wet = water.homes(1, 200, 20, leak=8.0, resolution=1.0)

    assert 150 < np.median(dry.sum(axis=1)) / 20 < 400
    assert (dry[:, night] == 0).mean() > 0.5
    assert (wet[:, night] >= 7).all()
