"""Thinning for drawing: fewer samples, all of them true, both ends there, and a gap that is still a gap."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.historian.lttb import extremes, line, lttb, with_silence
from scada.tags import Quality

VALUES = st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), min_size=1, max_size=120)


@given(VALUES, st.integers(4, 40), st.data())
def test_what_is_chosen_is_a_bounded_part_of_the_samples_in_order_with_both_ends(
    values: list[float], n: int, data: Any
) -> None:
    """Whatever the gaps are, and however unequal the distances."""
    steps = data.draw(st.lists(st.integers(1, 10**12), min_size=len(values), max_size=len(values)))
    chosen = lttb(np.cumsum(np.array(steps, np.int64)), np.array(values), n)

    assert len(chosen) <= max(n, 1)
    assert (np.diff(chosen) > 0).all()
    assert (chosen[0], chosen[-1]) == (0, len(values) - 1)
    if len(values) <= n:
        assert len(chosen) == len(values)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.integers(0, 60))
def test_every_gap_is_kept_when_there_is_room(runs: list[int], more: int) -> None:
    """Runs of values with three missing samples between: a NaN stands between what is chosen of one and of the next."""
    values = np.concatenate([np.append(np.ones(run), [np.nan] * 3) for run in runs])[:-3]
    chosen = values[lttb(np.arange(len(values)), values, 3 * len(runs) + 1 + more)]
    broken = np.diff(np.concatenate(([False], np.isfinite(chosen), [False])).astype(int))

    assert np.count_nonzero(broken == 1) == len(runs)


def test_the_longest_gaps_are_kept_when_there_are_too_many() -> None:
    """A hundred samples missing one by one, and one long outage: of eight points one is for the outage."""
    values = np.ones(1000)
    values[::10], values[500:600] = np.nan, np.nan
    chosen = lttb(np.arange(1000), values, 8)
    gaps = chosen[np.isnan(values[chosen])]

    assert 500 in gaps.tolist()


def test_a_peak_of_one_sample_survives() -> None:
    """A plain stride would step over it."""
    values = np.sin(np.arange(86_400) / 5000)
    values[43_217], values[60_001] = 9.0, -9.0
    chosen = lttb(np.arange(86_400) * 1_000_000_000, values, 400)

    assert len(chosen) == 400
    assert {43_217, 60_001} <= set(chosen.tolist())


def test_a_triangle_is_measured_as_the_thesis_does() -> None:
    """
    Worked by hand, of twice the areas: between (0, 0) and the mean (4, 2) of the next run, (1, 0) spans 2 and (2, 2) 4;
    between (2, 2) and the end (6, 0), (3, 4) spans 10, (4, 1) nothing and (5, 1) 2. In the second series the first
    run's higher sample lies nearly on the line to (4, 4) and the lower one is chosen.
    """
    at = np.arange(7)

    assert lttb(at, np.array([0.0, 0.0, 2.0, 4.0, 1.0, 1.0, 0.0]), 4).tolist() == [0, 2, 3, 6]
    assert lttb(at, np.array([0.0, -1.0, 2.1, 4.0, 4.0, 4.0, 0.0]), 4).tolist()[:2] == [0, 1]


def test_a_silence_longer_than_allowed_is_a_gap() -> None:
    """It begins when the value went stale, not at the sample."""
    at, values, quality = np.array([0, 10, 100, 110]), np.arange(4.0), np.zeros(4, np.uint8)
    found_at, found, marks = with_silence(at, values, quality, 30)

    assert found_at.tolist() == [0, 10, 40, 100, 110]
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]
    assert marks.tolist() == [0, 0, Quality.BAD_STALE, 0, 0]
    assert with_silence(at, values, quality, 0)[0] is at


def test_too_few_points_are_refused() -> None:
    """Nothing between the ends is no line."""
    with pytest.raises(ValueError, match="at least 4"):
        lttb(np.arange(10), np.ones(10), 3)


@given(VALUES, st.integers(6, 40))
def test_a_line_is_a_bounded_part_in_order_and_hides_no_extreme(values: list[float], n: int) -> None:
    """What people read off it as lowest and highest is so."""
    series = np.array(values)
    chosen = line(np.arange(len(series)), series, n)

    assert len(chosen) <= max(n, 1)
    assert (np.diff(chosen) > 0).all()
    assert (chosen[0], chosen[-1]) == (0, len(values) - 1)
    if np.isfinite(series).any():
        assert (np.nanmin(series[chosen]), np.nanmax(series[chosen])) == (np.nanmin(series), np.nanmax(series))


@given(VALUES, st.integers(5, 40))
def test_extremes_are_a_bounded_part_in_order_with_both_ends_and_every_peak(values: list[float], n: int) -> None:
    """The highest, the lowest and a gap are there whatever the runs are."""
    series = np.array(values)
    chosen = extremes(series, n)

    assert len(chosen) <= n or len(values) <= n
    assert (np.diff(chosen) > 0).all()
    assert (chosen[0], chosen[-1]) == (0, len(values) - 1)
    assert np.isnan(series[chosen]).any() == np.isnan(series).any()
    if np.isfinite(series).any():
        assert (np.nanmin(series[chosen]), np.nanmax(series[chosen])) == (np.nanmin(series), np.nanmax(series))
