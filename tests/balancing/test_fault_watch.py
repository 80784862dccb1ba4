"""Each fault begins once and ends; ordinary days, motor starts, single-phase loads and bad readings begin nothing."""

import numpy as np
import pytest

from scada.balancing.fault_watch import FAULTS, FaultWatch
from scada.balancing.findings import Fault
from scada.clock import NS
from tests.balancing.test_safety import floating, healthy

START = 1_700_000_000


def watched(voltage, current=None, good=None, watch=None, start=START, period=1):
    """(fault, begins or ends, second) of one meter that is read every `period` seconds."""
    watch = watch or FaultWatch(np.zeros((1, len(FAULTS)), dtype=bool))
    before, changes = watch.holding[0].copy(), []
    for n, row in enumerate(voltage):
        amps = np.full((1, 3), np.nan) if current is None else current[n:n + 1]
        fine = np.array([True if good is None else good[n]])
        now = watch.look(row[None], amps, fine, np.array([(start + n * period) * NS]))[0].copy()
        changes += [(FAULTS[k], bool(now[k]), n) for k in np.flatnonzero(now != before)]
        before = now
    return changes


def broken(t):
    return floating(np.array([[1.0, 0.5, 0.2]]) * np.random.default_rng(2).uniform(0.9, 1.1, (t, 3)))


def motors(seed, t=900):
    """Starts of a second to twenty that pull all phases, or one, down to 0.82."""
    rng = np.random.default_rng(seed)
    kettle = rng.random((t, 3)) < 0.1
    voltage = 229.0 + np.array([2.0, -3.0, 1.0]) + rng.normal(0, 0.7, (t, 3)) - 9.0 * kettle + 3.6 * kettle[:, [1, 2, 0]]
    current = 12.0 + rng.normal(0, 0.3, (t, 3)) + 10.0 * kettle
    for begin in rng.integers(0, t - 30, 12):
        phases = slice(0, 3) if rng.random() < 0.5 else slice(*(lambda p: (p, p + 1))(int(rng.integers(3))))
        length = int(rng.integers(1, 20))
        voltage[begin:begin + length, phases] = 230.0 * rng.uniform(0.9, 0.97) - rng.uniform(0, 3)
        current[begin:begin + length, phases] = 80.0
    voltage[400:415] *= 0.85                                # a heavy one, all three
    return voltage, current


@pytest.mark.parametrize("seed", range(40))
def test_ordinary_days_raise_nothing(seed):
    """Kettles, starts of motors on one phase and on three: no fault of any kind."""
    voltage, current = motors(seed)

    assert watched(voltage, current) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_load_that_is_switched_often_is_no_arc(seed):
    """A hob that cycles every three seconds: the voltage falls because the current rises."""
    on = (np.arange(600) // 3 % 2 == 0)[:, None] * np.array([1.0, 0, 0])
    voltage = healthy(600, seed) - 8.0 * on

    assert watched(voltage, 5.0 + 30.0 * on) == []


@pytest.mark.parametrize(("fault", "make"), [
    (Fault.BROKEN_NEUTRAL, broken),
    (Fault.LOST_PHASE, lambda t: np.tile([60.0, 231.0, 228.0], (t, 1))),
    (Fault.LOST_PHASE, lambda t: np.tile([2.0, 231.0, 3.0], (t, 1))),
    (Fault.HIGH_VOLTAGE, lambda t: np.tile([256.0, 255.0, 254.0], (t, 1))),
    (Fault.LOW_VOLTAGE, lambda t: np.tile([198.0, 204.0, 205.0], (t, 1))),
])
def test_each_fault_begins_once_and_ends(fault, make):
    """Two hundred seconds of it in a quiet time, three readings without it: one beginning, one end, nothing else."""
    voltage = np.vstack([healthy(100), make(200), healthy(150, 2)])
    voltage[180:300:40] = 230.0

    found = watched(voltage)

    assert [(kind, begins) for kind, begins, _ in found] == [(fault, True), (fault, False)]
    assert 100 < found[0][2] < 195
    assert found[1][2] >= 330


def test_an_arc_begins_once_though_it_pauses():
    """Voltage and current of one phase fall together, again and again, with half a minute of rest between."""
    rng = np.random.default_rng(4)
    off = np.zeros((2000, 3))
    for begin in (100, 200, 300):
        off[begin:begin + 60, 1] = rng.random(60) < 0.5
    voltage = healthy(2000, 3) - 25.0 * off

    found = watched(voltage, np.full((2000, 3), 20.0) - 8.0 * off)

    assert [(kind, begins) for kind, begins, _ in found] == [(Fault.ARCING, True), (Fault.ARCING, False)]
    assert found[0][2] < 160
    assert watched(voltage) == []                           # without currents nothing is said


def test_readings_that_are_not_good_say_nothing():
    """Nonsense marked bad begins nothing, and ends nothing: a fault outlives the silence of its meter."""
    nonsense, bad = np.tile([0.0, 400.0, 90.0], (300, 1)), np.zeros(300, dtype=bool)
    watch = FaultWatch(np.zeros((1, len(FAULTS)), dtype=bool))

    assert watched(nonsense, good=bad, watch=watch) == []
    assert watched(broken(30), watch=watch, start=START + 300) == [(Fault.BROKEN_NEUTRAL, True, 10)]
    assert watched(healthy(300), good=bad, watch=watch, start=START + 400) == []
    assert watched(np.full((30, 3), np.nan), watch=watch, start=START + 800) == []
    assert watched(healthy(100), watch=watch, start=START + 900) == [(Fault.BROKEN_NEUTRAL, False, 60)]


def test_the_same_reading_counts_once_and_far_readings_do_not_connect():
    """A snapshot that shows the old reading is no second sample; two readings ten minutes apart are no ten minutes."""
    watch = FaultWatch(np.zeros((1, len(FAULTS)), dtype=bool))
    for _ in range(30):
        watch.look(broken(1), np.full((1, 3), np.nan), np.array([True]), np.array([START * NS]))

    assert not watch.holding.any()
    assert watched(broken(5), start=START + 600, period=600, watch=watch) == []


def test_the_beginning_is_the_first_reading_with_the_sign():
    """Since when: not when it was believed."""
    watch = FaultWatch(np.zeros((1, len(FAULTS)), dtype=bool))
    watched(np.vstack([healthy(20), broken(30)]), watch=watch)

    assert watch.since[0, 0] == (START + 20) * NS


def test_what_held_before_a_restart_ends_without_beginning_again():
    """The book tells what holds; only its end is news."""
    watch = FaultWatch(np.array([[True, False, False, False, False]]))

    assert watched(healthy(100), watch=watch) == [(Fault.BROKEN_NEUTRAL, False, 60)]


def test_all_phases_gone_is_an_outage_and_not_this():
    """A meter that goes on speaking from a battery."""
    assert watched(np.full((200, 3), 1.0)) == []
