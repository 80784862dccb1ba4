"""Advice stays within its cap, is never worse than nothing, and is as good as the best there is where that can be known."""

from itertools import pairwise, product

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.network import connections, feeder, powers
from scada.balancing.phases.checked import Check, by_power_flow, path_resistance, phases_of
from scada.balancing.phases.exact import solve_worst_hour
from scada.balancing.phases.gram import by_loss, by_neutral, mixed, shared_resistance
from scada.balancing.phases.identify import Identified
from scada.balancing.phases.orders import work_order
from scada.balancing.phases.polish import deviations, even_worst_hour
from scada.balancing.phases.search import search
from scada.balancing.phases.several import several_phases
from scada.balancing.phases.uneven import allocated, unevenness
from scada.balancing.phases.wires import by_wires
from scada.bench.balance.feeders import made
from tests.balancing.phases.world import households, pareto


def crooked(n, seed=1):
    return np.random.default_rng(seed).choice(3, size=n, p=(0.5, 0.3, 0.2))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 10_000), holes=st.booleans())
def test_the_table_scores_as_the_hours_do(n, seed, holes):
    """Any allocation, with what stays on the phases: the sum of the squared unevenness; and every single change of it."""
    rng = np.random.default_rng(seed)
    profiles, fixed, phase = rng.gamma(0.5, 900.0, (n, 40)), rng.gamma(0.5, 2000.0, (40, 3)), rng.integers(3, size=n)
    if holes:
        profiles[0, 3], fixed[5, 1] = np.nan, np.nan
    table = by_neutral(profiles, fixed)

    def scored(of):
        return float(np.nansum(unevenness(allocated(profiles, of) + fixed) ** 2))

    assert table.score(phase) == pytest.approx(scored(phase), rel=1e-9)
    gains = table.gains(phase, table.pulls(phase))
    one, to = int(rng.integers(n)), int(rng.integers(3))
    other = phase.copy()
    other[one] = to
    assert gains[one, to] == pytest.approx(scored(other) - scored(phase), rel=1e-6, abs=1e-6 * scored(phase))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 25), cap=st.integers(0, 12), seed=st.integers(0, 1000), weekend=st.booleans())
def test_the_cap_holds_and_nobody_is_moved_for_the_worse(n, cap, seed, weekend):
    """Moves within the cap, only of those that may be moved, and the score is not above today's; the polish keeps both."""
    rng = np.random.default_rng(seed)
    profiles, start = households(n, 2, seed), rng.integers(3, size=n)
    movable = rng.random(n) < 0.7 if weekend else None
    table = by_neutral(profiles)

    found = search(table, start, cap, movable, kicks=10)
    polished = even_worst_hour(profiles, table, start, found, cap, movable=movable)

    for phase in (found, polished):
        assert np.count_nonzero(phase != start) <= cap
        assert table.score(phase) <= 1.01 * table.score(start) + 1e-6
        if movable is not None:
            assert not ((phase != start) & ~movable).any()
    assert table.score(found) <= table.score(start) * (1 + 1e-9)
    worst = [np.abs(deviations(allocated(profiles, phase))).max() for phase in (found, polished)]
    assert worst[1] <= worst[0] * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_small_feeders_get_the_best_there_is(seed):
    """Seven consumers, three moves: every allocation tried."""
    profiles, start = households(7, 3, seed), crooked(7, seed)
    table = by_neutral(profiles)
    every = [np.array(phase) for phase in product(range(3), repeat=7) if sum(np.array(phase) != start) <= 3]

    found = search(table, start, 3, kicks=60)

    assert table.score(found) == pytest.approx(min(table.score(phase) for phase in every), rel=1e-9)


@pytest.mark.parametrize(("cap", "seed"), [(30, 1), (30, 2), (30, 3), (4, 4), (4, 5), (4, 6)])
def test_where_the_descent_ends_no_change_of_one_and_no_exchange_of_two_helps(cap, seed):
    """All of them tried: swaps where the cap leaves room, one home and one out where it does not."""
    profiles, start = households(15, 4, seed), crooked(15, seed)
    table = by_neutral(profiles)
    end = search(table, start, cap, kicks=0)
    reached, moves = table.score(end), np.count_nonzero(end != start)

    for one, other in product(range(15), repeat=2):
        for to, other_to in product(range(3), repeat=2):
            trial = end.copy()
            trial[one] = to
            if cap == 30:
                trial[other], trial[one] = (end[one], end[other]) if to == other_to else (trial[other], trial[one])
            elif one != other and end[one] != start[one] and end[other] == start[other]:
                trial[one], trial[other] = start[one], other_to
            if np.count_nonzero(trial != start) <= max(cap, moves):
                assert table.score(trial) >= reached * (1 - 1e-6)


def test_the_same_question_has_the_same_answer():
    """No clock and no chance in it but a seed."""
    table, start = by_neutral(households(60, 7)), crooked(60)

    assert (search(table, start, 8, kicks=40) == search(table, start, 8, kicks=40)).all()
    with pytest.raises(ValueError, match="begins with 60 moves; the cap is 8"):
        search(table, start, 8, begin=(start + 1) % 3)


def test_the_exact_solver_agrees_on_the_worst_hour_of_a_small_group():
    """Twelve consumers, a day: the polish is not better than the proven best, and not far from it."""
    profiles, start = households(12, 1, 5), crooked(12)
    worst = lambda phase: np.abs(deviations(allocated(profiles, phase))).max()  # noqa: E731
    table = by_neutral(profiles)

    exact = solve_worst_hour(profiles, start, 4, seconds=20)
    polished = even_worst_hour(profiles, table, start, search(table, start, 4, kicks=40), 4)

    assert exact is not None
    assert exact.proven
    assert np.count_nonzero(exact.phase != start) <= 4
    assert worst(exact.phase) <= worst(polished) * (1 + 1e-6)
    assert worst(polished) <= 1.5 * worst(exact.phase)
    with pytest.raises(ValueError, match="61 consumers are too many"):
        solve_worst_hour(np.ones((61, 2)), np.zeros(61, dtype=int), 3)


def network_and_loads(points=24, seed=3):
    network = made("tree", 30, points, seed)
    network = network.on_phases(np.arange(3) == crooked(points, seed)[:, None])
    return network, households(points, 2, seed)


def test_the_loss_table_predicts_what_a_power_flow_finds():
    """A generated feeder: the change of the loss, predicted from paths in common, within a quarter of the computed one."""
    network, watts = network_and_loads()
    consumers, start = np.arange(24), network.point_phases.argmax(axis=1)
    model = feeder(network)
    table = by_loss(watts / np.abs(network.power_factor)[:, None], *path_resistance(model, consumers))
    check = by_power_flow(network, watts.T, consumers, 1.0)

    phase = search(table, start, 6, kicks=30)
    before, after = check(start), check(phase)

    assert after.loss < before.loss
    assert before.loss - after.loss == pytest.approx(table.score(start) - table.score(phase), rel=0.25)
    assert after.neutral_peak >= after.neutral > 0
    assert 150 < after.lowest < 240


def test_common_paths_are_summed_section_by_section():
    """Two consumers behind one section, one of them behind another one, too."""
    path = np.array([[True, False], [True, True]])

    assert shared_resistance(path, np.array([0.2, 0.5])).tolist() == [[0.2, 0.2], [0.2, 0.7]]


def test_every_point_of_the_curve_is_checked_by_power_flow_and_worth_its_moves():
    """Scores never rise with moves; the check is that of the allocation; a point no better than a cheaper one says so."""
    network, watts = network_and_loads()
    consumers, start = np.arange(24), network.point_phases.argmax(axis=1)
    check = by_power_flow(network, watts.T, consumers, 1.0)
    neutral = by_neutral(watts)
    loss = by_loss(watts, *path_resistance(feeder(network), consumers))
    table = mixed([neutral, loss], [0.85, 0.15], start)

    points = pareto(watts, table, start, (1, 3, 6), checker=check, kicks=20)

    assert [point.moves for point in points] == [0, 1, 3, 6]
    assert points[0].score == pytest.approx(1.0)
    assert all(one.score >= 0.98 * other.score for one, other in pairwise(points))
    assert points[-1].check == check(points[-1].phase)
    assert points[-1].check.loss < points[0].check.loss
    assert points[-1].unevenness < points[0].unevenness
    assert points[0].worth
    worse = [point for point in points if not point.worth]
    assert all(any(one.check.loss <= point.check.loss for one in points if one.moves < point.moves) for point in worse)


def test_a_point_that_is_no_better_than_a_cheaper_one_is_marked():
    """A power flow that sees no difference: only today's point is worth it; one that sees less loss each time: all are."""
    profiles, start = households(12, 3), crooked(12)
    same = lambda phase: Check(100.0, 5.0, 9.0, 228.0)  # noqa: E731
    less = lambda phase: Check(100.0 - np.count_nonzero(phase != start), 5.0, 9.0, 228.0)  # noqa: E731

    flat = pareto(profiles, by_neutral(profiles), start, (1, 2, 3), checker=same, kicks=5)
    falling = pareto(profiles, by_neutral(profiles), start, (1, 2, 3), checker=less, kicks=5)

    assert [point.worth for point in flat] == [True, False, False, False]
    assert [point.worth for point in falling] == [True, True, True, True]


def test_without_a_network_the_curve_says_that_nothing_was_checked():
    """Profiles alone, some hours missing, a cap beyond what is useful."""
    profiles, start = households(9, 3), crooked(9)
    profiles[2, 5:9] = np.nan

    points = pareto(profiles, by_neutral(profiles), start, (2, 9, 50), kicks=30)

    assert all(point.check is None for point in points)
    assert [point.moves for point in points] == sorted({point.moves for point in points})
    assert points[-1].score < points[0].score


def test_one_large_consumer_among_small_ones_is_the_one_to_get_three_phases():
    """A workshop of 15 kW on one phase: moves cannot help, a third on each phase does, exactly by what the hours say."""
    profiles, start = households(20, 3), np.arange(20) % 3
    profiles[4] = np.random.default_rng(1).gamma(3.0, 5000.0, profiles.shape[1])
    table = by_neutral(profiles)

    first, *_ = several_phases(table, profiles, start)

    assert (first.consumer, first.large) == (4, True)
    assert first.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    power = allocated(profiles, start)
    split = power.copy()
    split[:, start[4]] -= profiles[4]
    split += profiles[4][:, None] / 3
    expected = 1 - (unevenness(split) ** 2).sum() / (unevenness(power) ** 2).sum()
    assert first.gain == pytest.approx(expected)
    assert several_phases(by_neutral(np.zeros((3, 4))), np.zeros((3, 4)), np.zeros(3, dtype=int)) == []


def test_the_work_order_has_every_move_once_best_first_and_names_doubts():
    """Steps add up to the recommended allocation; half of them already bring more than half of it."""
    profiles, start = households(40, 4), crooked(40)
    table = by_neutral(profiles)
    phase = search(table, start, 8, kicks=30)
    moved = np.flatnonzero(phase != start)
    found = Identified(start.copy(), np.full(40, 0.9), np.zeros((40, 3)), 96)
    found.margin[moved[0]], found.phase[moved[1]] = 0.1, (start[moved[1]] + 1) % 3

    order = work_order("F7", table, start, phase, [f"m{one}" for one in range(40)], found=found)

    assert sorted(step.consumer for step in order.steps) == sorted(f"m{one}" for one in moved)
    assert [step.number for step in order.steps] == list(range(1, len(moved) + 1))
    assert order.left == pytest.approx(table.score(phase) / table.score(start))
    alone = [table.score(np.where(np.arange(40) == one, phase, start)) / table.score(start) for one in moved]
    assert order.steps[0].left == pytest.approx(min(alone))
    assert 1 - order.steps[len(moved) // 2].left > 0.5 * (1 - order.left)
    assert {step.consumer for step in order.steps if step.doubtful} == {f"m{moved[0]}", f"m{moved[1]}"}
    assert all(step.of != step.to for step in order.steps)
    with pytest.raises(ValueError, match="one name for each of 40"):
        work_order("F7", table, start, phase, ["m"])


def test_moved_consumers_of_a_network_are_really_elsewhere():
    """The checker's network has the consumers on the phases asked for, and everybody else where they were."""
    network, watts = network_and_loads(points=6)
    phase = np.array([2, 1])
    check = by_power_flow(network, watts[:6].T, np.array([0, 5]), 1.0)

    moved = network.on_phases(phases_of(network, np.array([0, 5]), phase))

    assert moved.point_phases[[0, 5]].argmax(axis=1).tolist() == [2, 1]
    assert (moved.point_phases[1:5] == network.point_phases[1:5]).all()
    assert len(connections(moved)[0]) == powers(moved, watts[:6].T).shape[1]
    assert check(phase).loss > 0


def test_the_wires_score_knows_the_neutral_current_and_the_loss_of_those_who_hang_in_the_network():
    """A change of it is the weighted change of both, as shares of today's; the loss with those who stay in their places."""
    network, watts = network_and_loads()
    start, some = network.point_phases.argmax(axis=1), np.array([2, 5, -1, 9, 17])
    profiles = np.vstack([watts[some[:2]], watts[3] * 0.5, watts[some[3:]]])
    moving = np.append(start[some[:2]], [1, *start[some[3:]]])
    table = by_wires(network, watts.T, some, moving, profiles, np.zeros((48, 3)))
    after = (moving + 1) % 3

    neutral = by_neutral(profiles)
    whole = by_loss(watts / np.abs(network.power_factor)[:, None], *path_resistance(feeder(network), np.arange(24)))
    elsewhere = start.copy()
    elsewhere[some[some >= 0]] = after[some >= 0]
    expected = 0.7 * neutral.score(after) / neutral.score(moving) + 0.3 * whole.score(elsewhere) / whole.score(start)

    assert table.score(moving) == pytest.approx(1.0)
    assert table.score(after) == pytest.approx(expected)
    assert by_wires(network, watts.T, np.array([-1]), moving[2:3], profiles[2:3], np.zeros((48, 3))) is None
    looped = attrs.evolve(network, sections=(*network.sections, "tie"))
    assert by_wires(looped, watts.T, some, moving, profiles, np.zeros((48, 3))) is None
