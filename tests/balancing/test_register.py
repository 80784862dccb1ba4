"""What a register says an hour brought, and how sure that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.balancing.register import ANY, NS_PER_HOUR, Edges, Rates, at_edges, broken, feed_between

S = 10**9


def edge(before, after, at=0, resolution=0.0, longest=NS_PER_HOUR, rates=ANY):
    earlier, later = ((np.array([t]), np.array([float(r)])) for t, r in (before, after))
    return at_edges(np.array([at]), *earlier, *later, resolution, longest, rates)


@given(share=st.floats(0.0, 1.0), r0=st.floats(0, 1e6), step=st.floats(0, 100))
def test_the_true_reading_is_never_farther_away_than_the_doubt(share, r0, step):
    """Whatever happened between two readings of a register that only climbs, it stood between them."""
    gap = 3600 * S
    t0 = -round(share * gap)
    found = edge((t0, r0), (t0 + gap, r0 + step), resolution=0.01)

    slack = 1e-9 * max(r0, 1.0)
    assert found.reading[0] - found.doubt[0] <= r0 + slack or t0 + gap == 0
    assert found.reading[0] + found.doubt[0] >= r0 + step - slack or t0 == 0
    assert r0 - slack <= found.reading[0] <= r0 + step + slack


def test_the_doubt_grows_with_the_gap():
    """One second between the readings, ten minutes, an hour: at the same power the doubt follows."""
    doubts = [edge((-half * S, 100 - half / 60), (half * S, 100 + half / 60)).doubt[0] for half in (1, 300, 1800)]

    assert doubts == pytest.approx([1 / 60, 5.0, 30.0])


def test_a_reading_on_the_hour_is_known_to_its_last_digit():
    """No interpolation, no doubt but the resolution."""
    found = edge((0, 512.34), (0, 512.34), resolution=0.01)

    assert (found.reading[0], found.doubt[0]) == (512.34, 0.01)


def test_beyond_the_longest_gap_nothing_is_said():
    """A night without readings is no balance of its hours."""
    found = edge((-2 * NS_PER_HOUR, 100), (2 * NS_PER_HOUR, 200), longest=3 * NS_PER_HOUR)

    assert np.isnan(found.reading[0])
    assert np.isnan(found.doubt[0])


def test_a_register_that_was_reset_is_no_flow_backwards():
    """12,000 kWh back in two seconds is a new meter, not generation."""
    found = edge((-S, 12_000), (S, 3), rates=Rates(10_000, 10_000))

    assert np.isnan(found.reading[0])


def test_a_register_that_runs_back_slowly_is_generation():
    """A net register falls while the sun shines, and the feed of the hour is negative."""
    start = edge((-S, 100.002), (S, 99.998))
    end = edge((-S, 90.002), (S, 89.998))

    feed = feed_between(start, end, np.array([1]), Rates(10_000, 10_000))

    assert feed.energy[0] == pytest.approx(-10.0)


def test_an_hour_with_an_unknown_edge_has_no_feed():
    """Neither zero nor the neighbour's."""
    known, unknown = Edges(np.array([5.0]), np.array([0.1])), Edges(np.array([np.nan]), np.array([np.nan]))

    assert np.isnan(feed_between(known, unknown, np.array([1])).energy[0])
    assert np.isnan(feed_between(unknown, known, np.array([1])).energy[0])


def test_an_exchanged_register_between_two_good_edges_is_no_feed():
    """Both edges are sure, and 50,000 kWh in an hour are impossible all the same."""
    start, end = Edges(np.array([60_000.0]), np.zeros(1)), Edges(np.array([10_000.0]), np.zeros(1))
    feed = feed_between(start, end, np.array([1]), Rates(10_000, 10_000))

    assert np.isnan(feed.energy[0])


def test_an_edge_outside_its_readings_is_a_programming_error():
    """Extrapolation is nobody's intention."""
    with pytest.raises(ValueError, match="outside"):
        edge((S, 1.0), (2 * S, 2.0), at=0)


def test_a_counter_never_falls():
    """What may be generation on a net register is a reset on a counter; its last digit may flicker."""
    counter = Rates(320.0, 0.0)
    fell = edge((-S, 98.0), (S, 0.0), resolution=0.01, rates=counter)
    flickered = edge((-S, 98.008), (S, 98.0), resolution=0.01, rates=counter)

    assert np.isnan(fell.reading[0])
    assert not np.isnan(flickered.reading[0])


def test_a_coarse_register_may_tick_between_two_polls() -> None:
    """0.1 kWh in a second would be 360 kW: on a 160 kVA transformer that is a tick of a coarse register, no reset."""
    assert not np.isnan(edge((0, 100.0), (S, 100.1), rates=Rates(320.0, 0.0)).reading[0])
    assert np.isnan(edge((0, 100.0), (S, 150.0), rates=Rates(320.0, 0.0)).reading[0])


def test_a_day_in_which_the_register_began_anew_is_broken_though_its_ends_look_well():
    """500 kWh until the exchange, then from 400 on: the ends of the day say 350, which nobody used."""
    reading = np.array([500.0, 550.0, np.nan, 400.0, 850.0, 900.0, 950.0])
    edges = Edges(reading, np.full(7, 0.01))

    assert broken(edges, np.array([0, 4, 6]), Rates(500.0, 0.0)).tolist() == [True, False]
    assert broken(edges, np.array([0, 4, 6]), ANY).tolist() == [False, False]
