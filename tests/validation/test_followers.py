"""The meter that an imbalance follows: found among many, with its factor, and nobody else with it."""

import numpy as np
import pytest

from scada.clock import HOUR_S, NS
from scada.simulate.world import UJ_PER_KWH, make_world
from scada.validation.followers import followers

KNOWN = 0.98                            # of the losses, as the power flow of hourly means finds them

START_H = 490_896
Series = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # feed less losses, true readings by member, factors, losses


@pytest.fixture(scope="module")
def district() -> Series:
    """Two and a half days of the simulated district: feed, what each meter would show if it were right, and the thief.

    What the cables lose is taken off, as the product does where it knows the network.
    """
    world = make_world(1, START_H)
    electric, per_unit = world._electric, np.array(
        [one.pulses_per_unit for module in world.district.modules for one in module.channels], dtype=np.float64
    )
    fed, lost, shown = [0.0], [0.0], []
    for hour in range(START_H, START_H + 60):
        world.advance((hour + 1) * HOUR_S * NS)
        (closed,) = world.closed_hours()
        shown.append((closed.pulses / per_unit)[electric])
        fed.append(sum(world.transformer_uj) / UJ_PER_KWH)
        lost.append(world.lost_uj / UJ_PER_KWH)
    factor = world._factor / 100.0
    known = KNOWN * np.diff(lost)
    return np.diff(fed) - known, np.array(shown).T / factor[:, None], factor, known


def named(feed: np.ndarray, members: np.ndarray, noise: float = 0.05) -> dict[int, float]:
    found = followers(feed - members.sum(axis=0), feed, members, noise)
    return {one.row: round(one.factor, 1) for one in found}


def test_a_healthy_district_names_nobody(district: Series) -> None:
    """At any hour of the day, over any window, also where nobody knows the losses."""
    net, true, _, lost = district

    for feed in (net, net + lost):
        for window in (32, 48):
            for end in range(window, len(feed) + 1, 4):
                assert named(feed[end - window:end], true[:, end - window:end]) == {}
    assert 0.01 < lost.sum() / true.sum() < 0.1             # there are losses


def test_the_thief_of_the_district_is_named_and_how_much_his_meter_shows(district: Series) -> None:
    """He lives there by design: 60 % of what he takes is counted."""
    feed, true, factor, _ = district

    assert named(feed, true * factor[:, None]) == {int(np.flatnonzero(factor < 1)[0]): 0.6}


@pytest.mark.parametrize(("row", "wrong"), [(5, 2.0), (40, 2.0), (5, 3.2), (70, 3.2), (30, 0.5)])
def test_a_meter_that_counts_wrongly_is_named_beside_the_thief(district: Series, row: int, wrong: float) -> None:
    """A bounce, a wrong constant, lost pulses: whoever is named is guilty, and he is among them."""
    feed, true, factor, _ = district
    bad = factor.copy()
    bad[row] *= wrong
    found = named(feed, true * bad[:, None])

    assert row in found
    assert abs(found[row] - bad[row]) < 0.25 * bad[row]
    assert set(found) <= set(np.flatnonzero(bad != 1.0).tolist())


def test_what_is_not_complete_is_not_judged(district: Series) -> None:
    """Too few whole hours, nobody in the group, a member that is missing: no answer, and no warning."""
    feed, true, factor, _ = district
    shown = true * factor[:, None]
    imbalance = feed - shown.sum(axis=0)
    gone = np.where(np.arange(len(feed)) % 4 == 0, imbalance, np.nan)

    assert followers(gone, feed, shown, 0.05) == ()
    assert followers(imbalance, feed, shown[:0], 0.05) == ()
    assert followers(imbalance, feed, np.where(np.arange(len(shown))[:, None] == 3, np.nan, shown), 0.05) == ()


def test_one_hour_alone_accuses_nobody() -> None:
    """A reading that came an hour late makes one great imbalance in the hour of somebody's great load."""
    dice = np.random.default_rng(3)
    members = dice.uniform(0.1, 0.5, (30, 48))
    members[4, 20] = 6.0
    feed = members.sum(axis=0) + dice.normal(0.0, 0.05, 48)
    feed[20] += 4.0

    assert named(feed, members) == {}


def test_a_balance_without_any_error_is_not_taken_for_a_sign() -> None:
    """Then rounding is all that is left of it, and may follow anybody."""
    dice = np.random.default_rng(4)
    members = dice.integers(40, 90, (24, 48)) / 1000.0

    assert named(members.sum(axis=0), members, 0.001) == {}
