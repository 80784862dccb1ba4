"""What the feed's meter has beyond the members stays on its phase, and moves are reckoned with it."""

import numpy as np
import pytest

from scada.balancing.phases.checked import Check, with_rest
from scada.balancing.phases.inputs import Given, Inputs
from scada.balancing.phases.study import Asked, study
from scada.balancing.phases.uneven import allocated, unevenness
from scada.phase_study import Lack, Unchecked
from tests.balancing.phases.world import households

N, DAYS = 30, 7
T = 24 * DAYS
PHASE = np.repeat([0, 1, 2], [16, 9, 5])
POWER = households(N, DAYS)
HEATER = np.array([0.0, 0.0, 9000.0])           # without a meter, and on the phase that has the fewest homes


def asked(feed, registered=PHASE, moves=4):
    hours = np.arange(T)
    of = Inputs(
        tuple(f"P{n}" for n in range(N)), ("",) * N, registered, hours, hours, POWER, POWER, np.zeros((T, 3)), 0.0, {})
    nothing = np.full(T, np.nan)
    return Asked("BG", 0, T, Given(
        of, feed, nothing, nothing, np.zeros(T, bool), None, np.zeros((T, 0)), Unchecked.NO_NETWORK), moves)


def after(found):
    phase = PHASE.copy()
    for one in found.order:
        phase[int(one.point[1:])] = int(one.to[1]) - 1
    return phase


def test_nobody_is_moved_to_a_phase_that_carries_a_load_without_a_meter():
    """The moves make the real neutral current smaller, by as much as is said; without it they would make it larger."""
    found, blind = study(asked(allocated(POWER, PHASE) + HEATER)), study(asked(None))
    uneven = [unevenness(allocated(POWER, phase) + HEATER) for phase in (PHASE, after(found), after(blind))]

    assert all(one.to != "L3" for one in found.order)
    assert uneven[1].sum() / uneven[0].sum() == pytest.approx(found.points[-1].left)
    assert found.points[-1].left < 0.9
    assert uneven[2].mean() > uneven[0].mean()


def test_what_is_with_no_member_is_said_as_a_share_and_by_phase_and_without_a_feed_it_is_not_known():
    """Where the meter has its phases exchanged, in the registry's names all the same."""
    feed = allocated(POWER, PHASE) + HEATER
    straight, turned, blind = study(asked(feed)), study(asked(feed[:, [2, 0, 1]])), study(asked(None))

    assert straight.rest == pytest.approx(9000 * T / feed.sum())
    assert straight.staying == pytest.approx(tuple(HEATER), abs=1e-6)
    assert turned.renamed == ("L3", "L1", "L2")
    assert turned.staying == pytest.approx(tuple(HEATER), abs=1e-6)
    assert [one.to for one in turned.order] == [one.to for one in straight.order]
    assert np.isnan(blind.rest)
    assert (blind.together.sizes[-1], blind.together.mean[0]) == (N, 1.0)
    assert blind.staying == ()
    assert Lack.NO_FEED in blind.lacks


def test_hours_without_the_feed_are_left_out_of_the_score():
    """Half of them: the moves are those of the other half."""
    feed = allocated(POWER, PHASE) + HEATER
    feed[T // 2:] = np.nan
    found = study(asked(feed))
    half = [unevenness(allocated(POWER[:, :T // 2], phase) + HEATER) for phase in (PHASE, after(found))]

    assert found.points[-1].left == pytest.approx(half[1].sum() / half[0].sum())


def test_the_checked_neutral_current_is_the_metered_one_and_what_the_moves_change():
    """Members give 3 A before and 1 A after, in phase with the rest of 2 A; an hour that was not metered is not counted."""
    ten = np.full(3, 230.0)
    today = Check(1.0, 3.0, 3.0, 230.0, 0, np.full(3, 3.0 + 0j), np.stack([3 * ten, 0 * ten, 0 * ten], axis=1))
    moved = Check(0.5, 1.0, 1.0, 230.0, 0, np.full(3, 1.0 + 0j), None)
    feed = np.stack([5 * ten, 0 * ten, 0 * ten], axis=1)
    feed[2] = np.nan

    got = with_rest({(0, 0): today, (1, 0): moved}, today, feed, 230.0)

    figures = [(round(one.neutral, 9), round(one.neutral_peak, 9), one.loss) for one in got.values()]
    assert figures == [(5, 5, 1), (3, 3, 0.5)]
    assert np.isnan(with_rest({(0, 0): today}, today, feed * np.nan, 230.0)[0, 0].neutral)
