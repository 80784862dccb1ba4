"""The live heat is what `thermal` says of the same load, whatever the steps; gaps make it uncertain, not wrong."""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.heat import OUTPUTS, shown, stepped, unknown
from scada.balancing.overload import HORIZON_MIN, minutes_left
from scada.balancing.thermal import temperatures
from scada.tags import Quality

MINUTE = 60 * 10**9
GOOD = np.zeros(1, dtype=np.uint8)
HOT, OIL, AGEING, LEFT = range(4)


def lived(loads, minutes=1.0, heat=None, start=1000):
    heat = heat or unknown(1)
    for n, load in enumerate(loads):
        heat = stepped(heat, np.array([load]), 20.0, int((start + n * minutes) * MINUTE))
    return heat


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 1.8), min_size=2, max_size=40), st.floats(0.05, 30.0))
def test_steps_lead_where_the_whole_series_leads(loads, minutes):
    """From the second step on the load of a step acts over it: top oil and hot spot to a millionth."""
    whole = temperatures(np.array([loads[0], *loads[1:]]), 20.0, minutes)

    heat = lived(loads, minutes)

    assert heat.oil[0] == pytest.approx(whole.top_oil[-1], rel=1e-6)
    assert heat.hot_spot[0] == pytest.approx(whole.hot_spot[-1], rel=1e-6)


def test_a_step_may_be_any_length():
    """One step of an hour is sixty of a minute while the load is the same."""
    warm = lived([0.5])
    long = stepped(warm, np.array([1.4]), 20.0, (1000 + 60) * MINUTE)

    assert lived([1.4] * 61, heat=warm).oil[0] == pytest.approx(long.oil[0])
    assert stepped(long, np.array([0.1]), 20.0, 5).oil == pytest.approx(long.oil)     # a clock that went back


def test_an_unknown_past_is_uncertain_until_the_oil_forgets_it():
    """Nine hours after the first start the figures are good; a gap of half an hour makes them uncertain again."""
    young, old = lived([0.8] * 60), lived([0.8] * 560)
    gap = lived([np.nan] * 30, heat=old, start=1560)

    assert shown(young, 20.0, GOOD)[1][0, HOT] == Quality.UNCERTAIN_ESTIMATED
    assert shown(old, 20.0, GOOD)[1][0, HOT] == Quality.GOOD
    assert shown(gap, 20.0, GOOD)[1][0, HOT] == Quality.UNCERTAIN_ESTIMATED
    assert gap.oil == pytest.approx(old.oil)                                          # the last load goes on


def test_what_is_bad_stays_bad_and_nothing_known_is_waiting():
    """A silent meter's quality is kept; a transformer never heard of has no temperature at all."""
    stale = np.array([Quality.BAD_STALE], dtype=np.uint8)
    values, quality = shown(unknown(1), 20.0, GOOD)

    assert shown(lived([0.8]), 20.0, stale)[1][0, HOT] == Quality.BAD_STALE
    assert np.isnan(values[0, HOT])
    assert quality[0, HOT] == Quality.BAD_WAITING


def test_a_motors_start_does_not_shorten_the_time_left():
    """Five seconds of four times the rated current leave more than half an hour; half an hour of 1.8 does not."""
    calm = lived([0.6] * 600)
    start = stepped(calm, np.array([4.0]), 20.0, int((1599 + 5 / 60) * MINUTE))

    assert shown(calm, 20.0, GOOD)[0][0, LEFT] == HORIZON_MIN
    assert shown(start, 20.0, GOOD)[0][0, LEFT] > 30
    assert shown(lived([1.8] * 30, heat=calm, start=1600), 20.0, GOOD)[0][0, LEFT] < 30


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0, 2.0), st.floats(-20, 40), st.floats(0, 110), st.floats(0, 60))
def test_minutes_left_are_those_of_a_look_at_every_minute(load, ambient, oil, rise):
    """Halving finds the minute that going through two days minute by minute finds, overshoots included."""
    from scada.balancing.thermal import Constants, oil_rise
    of, minute = Constants(), np.arange(HORIZON_MIN + 1.0)
    ends, rises = ambient + oil_rise(np.array(load), of), of.winding_rise * load**of.winding_exponent
    oils = ends + (oil - ends) * np.exp(-minute / of.oil_min)
    spots = oils + rises + (rise - rises) * np.exp(-minute / (of.k22 * of.winding_min))
    over = (oils > 105.0) | (spots > 120.0)

    left = float(minutes_left(np.array(load), ambient, np.array(oil), np.array(oil + rise)))

    if over.any():
        assert left == pytest.approx(over.argmax(), abs=1.1)
    else:
        assert left == np.inf or min(spots.max() - 120.0, 0) > -0.05 or oils.max() > 104.95


def test_a_thousand_transformers_take_no_time():
    """State and figures of a thousand in well under the loop's patience of 20 ms."""
    from time import perf_counter
    heat = attrs.evolve(stepped(unknown(1000), np.linspace(0.1, 1.9, 1000), 20.0, 1))
    began = perf_counter()
    for n in range(10):
        heat = stepped(heat, np.linspace(0.1, 1.9, 1000), 20.0, n * 10**9)
        values, _ = shown(heat, 20.0, np.zeros(1000, dtype=np.uint8))
    assert (perf_counter() - began) / 10 < 0.02
    assert values.shape == (1000, len(OUTPUTS))
