"""The radio model: trees are trees, levels are right, and commands take as long as the design of the radio says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.drivers.dmesh.simulator import radio
from scada.drivers.dmesh.simulator import tree as trees
from scada.drivers.dmesh.simulator.mesh import ARCHIVE_WINDOW_S, Mesh, grow
from scada.drivers.dmesh.simulator.radio import TEMPLATES

QUIET = 1_767_261_600.0 + 1800.0            # s, half past the hour: no archive traffic


def mesh(seed: int, n: int = 240, template: str = "panel", period_s: float = 12.0) -> Mesh:
    return grow(np.arange(1, n + 1), np.random.default_rng(seed), None, TEMPLATES[template], period_s)


def waves(one: Mesh, seed: int = 1, count: int = 60, at: float = QUIET) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([one.multicast(rng, at + 7.3 * number) for number in range(count)])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 80), st.floats(0.05, 1.0), st.integers(1, 30))
def test_a_tree_has_no_cycle_and_every_level_is_one_below_its_parents(
    seed: int, n: int, density: float, most_levels: int
) -> None:
    """Whatever the links are, also when it grew over an older tree."""
    rng = np.random.default_rng(seed)
    odds = rng.random((n, n)) * (rng.random((n, n)) < density)
    tree = trees.grow(odds, trees.grow(rng.random((n, n))), most_levels)

    assert tree.level.max() <= most_levels
    assert tree.parent[0] == -1
    for node in range(1, n):
        if not tree.reached[node]:
            assert (tree.parent[node], tree.level[node]) == (-1, 0)
            continue
        steps, at = 0, node
        while at:
            assert odds[tree.parent[at], at] >= trees.WORST_LINK
            assert tree.level[at] == tree.level[tree.parent[at]] + 1
            at, steps = int(tree.parent[at]), steps + 1
        assert steps == tree.level[node]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_the_way_of_each_node_is_the_cheapest_there_is(seed: int, n: int) -> None:
    """Compared with all-pairs shortest ways, without hysteresis and without a limit that bites."""
    odds = np.random.default_rng(seed).random((n, n))
    cost = np.where(odds >= trees.WORST_LINK, 1.0 / odds, np.inf)
    best = np.full(n, np.inf)
    best[0] = 0.0
    for _ in range(n):
        best = np.minimum(best, (best[:, None] + cost).min(axis=0))

    assert np.allclose(trees.grow(odds).expected, best)


def test_a_parent_is_kept_until_another_is_clearly_better() -> None:
    """Node 2 sends through node 1, for 2.0 transmissions: 1.67 are not worth a move, 1.05 are."""
    odds = np.zeros((3, 3))
    odds[0, 1] = odds[1, 2] = 0.999
    odds[0, 2] = 0.6
    held = trees.Tree(np.array([-1, 0, 1]), np.array([0, 1, 2]), np.array([0.0, 1.0, 2.0]))

    assert trees.grow(odds).parent[2] == 0
    assert trees.grow(odds, held).parent[2] == 1
    odds[0, 2] = 0.95
    assert trees.grow(odds, held).parent[2] == 0


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("seed", range(4))
def test_every_module_of_a_new_subnet_is_heard_within_thirty_levels(template: str, seed: int) -> None:
    """Fitters do not leave before; and with 240 modules nobody needs more relays than there may be."""
    one = mesh(seed, template=template)

    assert (one.level >= 1).all()
    assert one.level.max() <= 30
    assert one.below[one.level == 1].sum() + (one.level == 1).sum() == 240


def test_a_multicast_takes_as_long_as_the_radio_design_says() -> None:
    """Levels x W of 60-120 s: mean 30-60 s, the slow twentieth about twice the mean, 0.6-10 % never reached."""
    subnets = [one for seed in range(12) for one in (mesh(seed),) if 7 <= one.level.max() <= 9]
    seconds = [waves(one, seed) for seed, one in enumerate(subnets)]
    reached = np.concatenate([one[np.isfinite(one)] for one in seconds])
    missed = [float(np.isnan(one).mean()) for one in seconds]

    assert len(subnets) >= 5
    assert 30.0 < reached.mean() < 60.0
    assert 1.7 < np.percentile(reached, 95) / reached.mean() < 2.4
    assert 0.006 < np.mean(missed) < 0.10


def test_what_a_relay_misses_its_whole_subtree_misses() -> None:
    """A multicast goes through the tree, not to each by itself."""
    one = mesh(3)
    for wave in waves(one, count=20):
        for row in np.flatnonzero(np.isnan(wave)):
            below = [int(np.flatnonzero(one.index == index)[0]) for index in one.subtree(int(one.index[row]))]
            assert np.isnan(wave[below]).all()


def test_a_hop_waits_for_the_meeting_of_its_own_phase() -> None:
    """With perfect links and no other traffic every arrival falls on the module's phase, 80 ms later."""
    one = mesh(5, n=30)
    one.delivery = np.ones(30)
    one.below = np.full(30, -1)                 # nothing of its own or of others is under way
    arrived = QUIET + one.multicast(np.random.default_rng(1), QUIET)

    off = (arrived - 0.08 - one.phase + 1e-6) % one.period_s
    assert off.max() < 1e-3


def test_archive_traffic_slows_commands_and_loses_none() -> None:
    """The same dice in the minutes after the hour and at half past: later, but not fewer."""
    one = mesh(2)
    quiet, busy = waves(one), waves(one, at=QUIET - 1800.0)

    assert np.nanmean(busy) > 1.15 * np.nanmean(quiet)
    assert np.isnan(busy).sum() == np.isnan(quiet).sum()
    assert (one.busy(ARCHIVE_WINDOW_S) < 0.1).all()


def test_a_relay_pays_for_what_it_passes_on() -> None:
    """38 µA at 600 packets a day is six years on 2 Ah; the nodes near the concentrator drain first."""
    one = mesh(4)
    one.below = np.where(one.below == one.below.max(), 23, one.below)        # 598 packets a day
    loaded = np.flatnonzero(one.below == 23)

    assert one.current_a[loaded] == pytest.approx(38e-6, rel=0.02)
    assert one.life_years[loaded] == pytest.approx(6.0, abs=0.15)
    assert one.life_years[one.level == 1].mean() < one.life_years[one.level >= 5].mean()


def test_the_loss_of_a_relay_moves_its_subtree_and_a_partition_cuts_it_off() -> None:
    """Children find other parents where there are any; who is walled in hears nobody."""
    one = mesh(6)
    hot = int(one.index[np.argmax(one.below)])
    children = one.subtree(hot)
    own = int((one.parent == hot).sum())
    moved = one.replant(silent=frozenset({hot}))

    assert len(children) > 10
    assert moved >= own > 0
    assert hot not in one.parent
    assert (one.level[np.isin(one.index, list(children))] > 0).mean() > 0.5
    walled = frozenset(range(200, 241))
    one.replant(apart=walled)
    assert (one.level[np.isin(one.index, list(walled))] == 0).all()
    one.replant()
    assert (one.level > 0).all()


def test_the_path_loss_is_that_of_the_design() -> None:
    """25 dB at 1 m and 10 n log10 d, the same both ways, with a shadowing of 6 dB that stays."""
    template = radio.Template(1, 1, 1, wall_db=0.0, outside_db=0.0, floor_db=0.0, cabinet_db=0.0, exponent=3.5)
    places = radio.settle(200, template, np.random.default_rng(1))
    loss = radio.path_loss(places, template, np.random.default_rng(2))
    apart = np.sqrt(((places.metres[:, None] - places.metres[None]) ** 2).sum(axis=2))
    upper = np.triu_indices(201, 1)
    left = loss[upper] - 25.0 - 35.0 * np.log10(np.maximum(apart[upper], 1.0))

    assert np.array_equal(loss, loss.T)
    assert abs(left.mean()) < 0.2
    assert left.std() == pytest.approx(6.0, abs=0.2)
    assert radio.delivery(np.array([radio.SENSITIVITY_DBM + radio.HALF_MARGIN_DB]))[0] == pytest.approx(0.5)
