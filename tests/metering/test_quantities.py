"""Pulses become kWh and m³ with the constant valid in each hour, and say how far they may be believed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scada.intervals import MISSING, IntervalStatus
from scada.metering.quantities import DEAD_LINE, installed, interval_quality, quantities, reading
from scada.site import MeterPeriod
from scada.tags import BAD, UNCERTAIN, Quality
from tests.metering.world import HOUR

ONE = np.ones(1, dtype=bool)


def periods(*meters: MeterPeriod) -> dict[str, tuple[MeterPeriod, ...]]:
    found: dict[str, tuple[MeterPeriod, ...]] = {}
    for meter in meters:
        found[meter.point] = (*found.get(meter.point, ()), meter)
    return found


def computed(points, meters, counts, status=None, now=HOUR + 100):
    chosen = installed(points, periods(*meters), HOUR, len(counts[0]))
    counts = np.array(counts)
    status = np.zeros(counts.shape, np.uint8) if status is None else np.array(status, np.uint8)
    return quantities(chosen, counts, status, np.ones(len(counts), bool), HOUR, now)


def test_pulses_are_divided_by_the_meters_constant():
    """1000 pulses at 3200 a kWh are 0.3125 kWh; the hour next to it keeps its own count."""
    values, quality = computed(["P"], [MeterPeriod("s", "P", 1, 0, 3200.0, HOUR - 1)], [[1000, 3200]])

    assert values.tolist() == [[0.3125, 1.0]]
    assert quality.tolist() == [[Quality.GOOD, Quality.GOOD]]


def test_a_meter_changed_within_the_range_counts_with_its_own_constant_in_its_own_hours():
    """The old meter's channel goes on pulsing on the shelf: nothing of that is consumption."""
    old = MeterPeriod("old", "P", 1, 0, 1000.0, HOUR - 10, HOUR + 2)
    new = MeterPeriod("new", "P", 2, 0, 500.0, HOUR + 2)

    values, quality = computed(["P"], [old, new], [[1000, 2000, 9000, 9000], [7000, 7000, 500, 1500]])

    assert values.tolist() == [[1.0, 2.0, 1.0, 3.0]]
    assert (quality == Quality.GOOD).all()


def test_an_hour_without_a_meter_or_with_two_at_once_has_no_quantity():
    """Neither zero nor a guess: the registry has to be put right."""
    first = MeterPeriod("a", "P", 1, 0, 1000.0, HOUR, HOUR + 3)
    second = MeterPeriod("b", "P", 2, 0, 1000.0, HOUR + 2, HOUR + 4)

    values, quality = computed(["P"], [first, second], [[1000] * 5, [1000] * 5])

    assert np.isnan(values[0, [2, 4]]).all()
    assert quality[0].tolist() == [Quality.GOOD, Quality.GOOD, Quality.BAD_CONFIG, Quality.GOOD, Quality.BAD_CONFIG]


def test_a_point_without_any_meter_is_answered_with_nothing():
    """A planned point is asked for like any other."""
    values, quality = computed(["P", "planned"], [MeterPeriod("s", "P", 1, 0, 1000.0, HOUR)], [[1000, 1000]])

    assert values[0].tolist() == [1.0, 1.0]
    assert np.isnan(values[1]).all()
    assert (quality[1] == Quality.BAD_CONFIG).all()


def test_a_missing_hour_is_nan_and_says_whether_it_may_still_come():
    """Over and not delivered is stale; not over yet, or never seen at all, is waiting. Never 0."""
    chosen = installed(
        ["P", "Q"], periods(MeterPeriod("s", "P", 1, 0, 1.0, HOUR), MeterPeriod("t", "Q", 2, 0, 1.0, HOUR)), HOUR, 2
    )
    counts = np.full((2, 2), MISSING)

    values, quality = quantities(chosen, counts, np.zeros((2, 2), np.uint8), np.array([True, False]), HOUR, HOUR + 1)

    assert np.isnan(values).all()
    assert quality.tolist() == [[Quality.BAD_STALE, Quality.BAD_WAITING], [Quality.BAD_WAITING, Quality.BAD_WAITING]]


@pytest.mark.parametrize(("status", "expected"), [
    (IntervalStatus.OPEN_CIRCUIT, Quality.BAD_SENSOR),
    (IntervalStatus.SHORT_CIRCUIT | IntervalStatus.MAGNET, Quality.BAD_SENSOR),
    (IntervalStatus.MAGNET, Quality.UNCERTAIN_LAST_KNOWN),
    (IntervalStatus.CLOCK_INVALID, Quality.UNCERTAIN_LAST_KNOWN),
    (IntervalStatus.CLOCK_ADJUSTED, Quality.UNCERTAIN_LAST_KNOWN),
    (IntervalStatus.POWER_DOWN, Quality.UNCERTAIN_LAST_KNOWN),
    (IntervalStatus.COVER | IntervalStatus.BATTERY_LOW, Quality.GOOD),
])
def test_what_the_module_noticed_decides_the_quality(status, expected):
    """The table at the head of the module, row by row."""
    quality = interval_quality(np.array([[5]]), np.array([[int(status)]], np.uint8), ONE, ONE)

    assert quality[0, 0] == expected


@given(status=st.integers(0, 255))
def test_a_magnet_never_takes_an_hour_out_of_a_balance_but_a_dead_line_always_does(status):
    """Whatever else was noticed: a thief must not be able to hide by making the balance incomplete."""
    quality = interval_quality(np.array([[5]]), np.array([[status]], np.uint8), ONE, ONE)[0, 0]

    assert (quality >= BAD) == bool(status & DEAD_LINE)
    if status & IntervalStatus.MAGNET:
        assert quality >= UNCERTAIN


@given(
    counts=hnp.arrays(np.int64, (3, 5), elements=st.integers(MISSING, 10**6)),
    per_unit=st.floats(1.0, 10_000.0),
)
def test_no_value_is_invented_and_none_is_lost(counts, per_unit):
    """A value is there exactly where a count is, and turning it back gives the pulses."""
    meters = [MeterPeriod(f"s{n}", f"P{n}", n, 0, per_unit, HOUR) for n in range(3)]

    values, quality = computed(["P0", "P1", "P2"], meters, counts)

    assert (np.isnan(values) == (counts == MISSING)).all()
    assert (np.rint(values * per_unit)[counts != MISSING] == counts[counts != MISSING]).all()
    assert not (np.isnan(values) & (quality < BAD)).any()


def test_a_register_turns_over_at_two_to_the_32_and_unknown_stays_unknown():
    """The base of the day plus the pulses since may pass the module's 32 bits; the module itself starts again at 0."""
    found = reading(np.array([2**32 + 500, 2**32 - 1000, MISSING]), np.array([1000.0, 1000.0, 1000.0]))

    assert found[0] == 0.5
    assert found[1] == (2**32 - 1000) / 1000
    assert np.isnan(found[2])
