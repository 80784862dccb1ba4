"""What the moves gave is found again in what was metered afterwards, by both ways."""

import numpy as np
import pytest

from scada.balancing.phases.achieved import like_for_like, without_moves
from scada.balancing.phases.gram import by_neutral
from scada.balancing.phases.search import search
from scada.balancing.phases.uneven import allocated, unevenness
from tests.balancing.phases.world import households

HOURS = np.arange(24 * 28)
SLOT, DAY = HOURS % 168, HOURS // 24


@pytest.fixture(scope="module")
def story():
    """Eight weeks of the same consumers, moved in the middle."""
    profiles = households(40, 56)
    start = np.repeat([0, 1, 2], [22, 11, 7])
    early, late = profiles[:, :672], profiles[:, 672:]
    phase = search(by_neutral(early), start, 6, kicks=30)
    return early, late, start, phase


def test_the_same_hours_without_the_moves_give_the_gain_exactly(story):
    """Nothing but the moved consumers differs: the truth is known."""
    _, late, start, phase = story
    moved = np.flatnonzero(start != phase)
    truth = 1 - unevenness(allocated(late, phase)).mean() / unevenness(allocated(late, start)).mean()

    gain = without_moves(
        allocated(late, phase), late[moved], start[moved], phase[moved], DAY, np.random.default_rng(1)
    )

    assert gain.neutral == pytest.approx(truth)
    assert gain.neutral_low < truth < gain.neutral_high
    assert gain.squared > gain.neutral > 0.2
    assert (gain.hours, gain.left_out) == (672, 0)


def test_like_hours_before_and_after_agree_with_it(story):
    """By another way, from the feeder's meter alone: its interval holds the truth; no moves, no gain."""
    early, late, start, phase = story
    truth = 1 - unevenness(allocated(late, phase)).mean() / unevenness(allocated(late, start)).mean()
    rng = np.random.default_rng(1)

    gain = like_for_like(allocated(early, start), SLOT, allocated(late, phase), SLOT, DAY, rng)
    none = like_for_like(allocated(early, start), SLOT, allocated(late, start), SLOT, DAY, rng)

    assert gain.neutral == pytest.approx(truth, abs=0.06)
    assert none.neutral_low < 0 < none.neutral_high
    assert gain.left_out + gain.hours == 672


def test_too_little_to_compare_gives_no_figure(story):
    """A day; and a load twice that of before, to which nothing is alike."""
    early, late, start, phase = story
    before, after = allocated(early, start), allocated(late, phase)

    little = like_for_like(before, SLOT, after[:20], SLOT[:20], DAY[:20], np.random.default_rng(1))
    unlike = like_for_like(before, SLOT, 6 * after, SLOT, DAY, np.random.default_rng(1))

    assert np.isnan([little.neutral, little.squared, unlike.neutral, unlike.neutral_low]).all()
    assert unlike.left_out > 600


def test_hours_in_which_a_moved_consumer_was_silent_are_left_out(story):
    """Forty hours without one of them."""
    _, late, start, phase = story
    moved = np.flatnonzero(start != phase)
    profiles = late[moved].copy()
    profiles[0, 100:140] = np.nan

    gain = without_moves(allocated(late, phase), profiles, start[moved], phase[moved], DAY, np.random.default_rng(1))

    assert (gain.hours, gain.left_out) == (632, 40)


def test_more_load_alone_is_no_loss_of_gain_and_days_before_widen_the_interval(story):
    """The same week with a tenth more of everything: nothing gained, nothing lost. Two samples are less sure than one."""
    early, late, start, phase = story
    before, after = allocated(early, start), allocated(late, phase)
    week = before[:168]
    same = like_for_like(week, SLOT[:168], 1.1 * week, SLOT[:168], DAY[:168], np.random.default_rng(1))
    narrow, wide = (
        like_for_like(before, SLOT, after, SLOT, DAY, np.random.default_rng(1), days) for days in (None, DAY))

    assert same.neutral == pytest.approx(0.0, abs=1e-9)
    assert same.squared == pytest.approx(0.0, abs=1e-9)
    assert wide.neutral == narrow.neutral
    assert wide.neutral_high - wide.neutral_low > narrow.neutral_high - narrow.neutral_low
