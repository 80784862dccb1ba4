"""Charts, trees, site days and folding: pure functions."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmi.charts import bars, loading_bar, nice_step
from hmi.network_drawing import drawing
from hmi.pages.meter import fold
from hmi.site_time import SiteTime
from hmi.tree import lay_out
from scada.clock import NS
from scada.ports import SectionLoss
from scada.site import MeshNode
from scada.tags import Quality

CHISINAU = SiteTime("Europe/Chisinau")


def node(index: int, parent: int, level: int = 1) -> MeshNode:
    return MeshNode(index, index, level, parent, -70, -70, 1.0, 0, 3600, 1.0, 0)


def test_the_two_half_past_threes_of_autumn_differ_in_their_offset() -> None:
    """00:30 and 01:30 UTC on the day the clocks go back are both 03:30 on the wall."""
    first, second = (SiteTime("Europe/Bucharest").stamp(1792888200 * NS + n * 3600 * NS) for n in (0, 1))

    assert first == "2026-10-25 03:30:00 +03:00"
    assert second == "2026-10-25 03:30:00 +02:00"


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)])
def test_a_site_day_has_23_24_or_25_hours(day: date, hours: int) -> None:
    assert CHISINAU.hours_of(day)[1] == hours


def test_the_days_of_a_month_touch_each_other() -> None:
    edges = CHISINAU.edges(date(2026, 10, 1), 31)

    assert len(edges) == 32
    assert int(edges[-1] - edges[0]) == 31 * 24 + 1
    assert edges[-1] == CHISINAU.midnight(date(2026, 11, 1))


def test_an_incomplete_bar_is_marked_a_missing_one_has_no_height_and_a_future_one_is_not_missing() -> None:
    chart = bars(
        np.array([1.0, 2.0, np.nan, np.nan]),
        np.array([True, False, False, False]),
        list("abcd"),
        over=np.array([True, True, True, False]),
    )

    assert [bar.whole for bar in chart.bars] == [True, False, False, False]
    assert [bar.height > 0 for bar in chart.bars] == [True, True, False, False]
    assert [bar.future for bar in chart.bars] == [False, False, False, True]
    assert (chart.incomplete, chart.missing) == (1, 1)
    assert (chart.lowest, chart.highest) == (1.0, 1.0)


def test_a_chart_of_nothing_is_still_a_chart() -> None:
    chart = bars(np.full(3, np.nan), np.zeros(3, dtype=bool), list("abc"))

    assert np.isnan(chart.lowest)
    assert len(chart.ticks) >= 2
    assert (chart.ticks[0].value, chart.ticks[-1].value, chart.digits) == (0.0, 1.0, 1)


def test_an_interval_without_its_feed_is_neither_missing_nor_drawn() -> None:
    chart = bars(np.array([1.0, np.nan, np.nan]), np.ones(3, dtype=bool), list("abc"), unfed=np.array([True, True, False]))

    assert [bar.unfed for bar in chart.bars] == [False, True, False]
    assert (chart.unfed, chart.missing) == (1, 1)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40))
def test_every_bar_and_tick_stays_inside_the_picture(values: list[float]) -> None:
    chart = bars(np.array(values), np.ones(len(values), dtype=bool), ["x"] * len(values))

    for bar in chart.bars:
        assert -1 <= bar.y <= chart.height
        assert bar.y + bar.height <= chart.height
        assert bar.x + bar.width <= chart.width + 1
    assert 2 <= len(chart.ticks) <= 9


def test_an_export_hangs_below_the_zero_line() -> None:
    chart = bars(np.array([-5.0, 5.0]), np.array([True, True]), ["a", "b"])

    assert chart.bars[0].y == chart.zero
    assert chart.bars[1].y + chart.bars[1].height == pytest.approx(chart.zero)


@given(st.floats(1e-6, 1e9))
def test_a_nice_step_is_one_two_or_five_times_a_power_of_ten(rough: float) -> None:
    step = nice_step(rough)

    assert rough * 0.999 <= step <= rough * 2.6
    assert round(step / 10 ** np.floor(np.log10(step * 1.000001)), 6) in (1.0, 2.0, 5.0)


@pytest.mark.parametrize(
    ("percent", "width", "level"),
    [
        (75.0, 50.0, "normal"),
        (95.0, 63.33, "near"),
        (120.0, 80.0, "over"),
        (400.0, 100.0, "over"),
        (-3.0, 0.0, "normal"),
        (float("nan"), 0.0, "normal"),
    ],
)
def test_a_loading_bar_ends_at_150_percent(percent: float, width: float, level: str) -> None:
    assert loading_bar(percent) == {"width": width, "level": level}


def test_a_tree_has_every_node_once_with_its_parent_to_the_left() -> None:
    tree = lay_out([node(1, 0), node(2, 1, 2), node(3, 1, 2), node(4, 2, 3)], {})

    assert [place.node.index for place in tree.placed] == [1, 2, 3, 4]
    assert all(place.parent_x < place.x for place in tree.placed)
    assert len({(place.x, place.y) for place in tree.placed}) == 4


def test_a_tree_with_a_circle_or_an_unknown_parent_still_shows_every_node() -> None:
    tree = lay_out([node(1, 2), node(2, 1), node(3, 99), node(4, 4)], {})

    assert [place.node.index for place in tree.placed] == [1, 2, 3, 4]


def test_a_tree_of_240_modules_in_one_line_is_laid_out() -> None:
    assert len(lay_out([node(n, n - 1, n) for n in range(1, 241)], {}).placed) == 240


def test_a_day_with_a_missing_hour_says_so_and_is_not_zero() -> None:
    values = np.array([1.0, 2.0, np.nan, np.nan, np.nan])
    quality = np.array(
        [Quality.GOOD, Quality.UNCERTAIN_ESTIMATED, Quality.BAD_WAITING, Quality.BAD_WAITING, Quality.BAD_SENSOR],
        dtype=np.uint8,
    )
    sums, worst, present = fold(values, quality, np.array([10, 13, 15]))

    assert sums[0] == 3.0
    assert np.isnan(sums[1])
    assert list(present) == [2, 0]
    assert list(worst) == [Quality.UNCERTAIN_ESTIMATED, Quality.BAD_WAITING]


def test_a_section_that_closes_a_loop_is_drawn_between_what_is_there() -> None:
    """Every section once, the tree as it is without it; a straight line for the tie."""
    ends = [("T", "A", 10.0), ("A", "B", 20.0), ("A", "C", 30.0), ("C", "T", 5.0), ("B", "C", 1.0)]
    sections = [SectionLoss(f"S{n}", "F", (one, other), metres, float(n), 0.0, 1.0, 230.0)
                for n, (one, other, metres) in enumerate(ends)]
    tree, ring = drawing("T", sections[:3]), drawing("T", sections)

    assert [(one.path, one.x, one.y) for one in ring.lines[:3]] == [(one.path, one.x, one.y) for one in tree.lines]
    assert (ring.width, ring.height) == (tree.width, tree.height)
    ties = ring.lines[3:]
    assert ["tie" in one.css for one in ring.lines] == [False] * 3 + [True] * 2
    assert [(one.x, one.y) for one in ties] == [(16.0, tree.lines[0].y), (tree.lines[2].x, tree.lines[2].y)]
