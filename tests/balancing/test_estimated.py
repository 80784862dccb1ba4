"""Estimates in balances: they make one possible, never measured whole, and exactly what they touch is computed anew."""

import numpy as np
import pytest

from scada.balancing.compute import DAY_S
from scada.clock import HOUR_S, NS
from scada.estimates import Method
from scada.tags import Quality
from scada.validation.daily import INCOMPLETE, days_found
from tests.balancing.test_durable import NOW, by_points, die
from tests.balancing.test_hierarchy import row, site_of, water
from tests.balancing.test_service import hour_passes
from tests.balancing.world import World
from tests.metering.world import HOUR

FIRST = HOUR - 900


@pytest.fixture
def world():
    """P0 and P1 behind P2, a day of 1, 2 and 4 m³/h; P1 lacks the third hour, and another house does not know of it."""
    site = by_points()
    one = World(site, timezone="UTC", start=NOW * HOUR_S).start()
    one.intervals.deliver(1, 0, FIRST, [100] * 24)
    one.intervals.deliver(2, 0, FIRST, [200] * 2)
    one.intervals.deliver(2, 0, FIRST + 3, [200] * 21)
    one.intervals.deliver(3, 0, FIRST, [400] * 24)
    one.settle()
    return one


def heard(world):
    world.settle(8)


def test_an_estimated_hour_is_balanced_with_its_share_and_half_of_it_as_doubt(world):
    """Known, but not complete; the day is estimated by the share of its hours."""
    assert np.isnan(world.table()[FIRST + 2]["imbalance"])
    world.estimate("P1", [FIRST + 2], 2.0)
    heard(world)
    hour, measured = world.table()[FIRST + 2], world.table()[FIRST + 1]
    day = next(one for start, one in world.table(DAY_S).items() if start <= FIRST < start + 24)

    assert (hour["imbalance"], hour["completeness"], hour["estimated"]) == (pytest.approx(1.0), 0.5, 0.5)
    assert hour["uncertainty"] == pytest.approx(np.sqrt(measured["uncertainty"] ** 2 - 0.02**2 + 1.0**2))
    assert measured["estimated"] == 0.0
    assert day["estimated"] == pytest.approx(1 / 48)


def test_exactly_the_hour_that_was_estimated_is_another_version(world):
    """And its day; taken back, it is incomplete as before."""
    before, days = world.table(), world.table(DAY_S)
    world.estimate("P1", [FIRST + 2], 2.0)
    heard(world)
    after = world.table()
    assert [hour for hour in before if before[hour]["version"] != after[hour]["version"]] == [FIRST + 2]
    assert sum(days[start]["version"] != one["version"] for start, one in world.table(DAY_S).items()) == 1

    world.estimate("P1", [FIRST + 2], float("nan"), Method.WITHDRAWN)
    heard(world)
    back = world.table()[FIRST + 2]
    assert np.isnan(back["imbalance"])
    assert (back["completeness"], back["estimated"], back["version"]) == (0.5, 0.0, after[FIRST + 2]["version"] + 1)


def test_what_is_measured_after_all_stands_and_a_persons_figure_stays(world):
    """An estimate is for what is missing; a figure somebody answers for is not undone by what it was to correct."""
    world.estimate("P1", [FIRST + 2], 2.5)
    world.estimate("P0", [FIRST + 3], 0.5, Method.VALUE)
    heard(world)
    world.intervals.deliver(2, 0, FIRST + 2, [200])
    world.settle()
    found = world.table()

    assert (found[FIRST + 2]["members"], found[FIRST + 2]["estimated"]) == (3.0, 0.0)
    assert (found[FIRST + 3]["members"], found[FIRST + 3]["estimated"]) == (2.5, 0.5)


def test_an_estimate_of_the_feed_is_one_of_the_balance(world):
    """All members are measured, and the balance is not."""
    world.intervals.deliver(1, 0, FIRST + 24, [100])
    world.intervals.deliver(2, 0, FIRST + 24, [200])
    world.settle()
    world.estimate("P2", [FIRST + 24], 4.0)
    heard(world)
    found = world.table()[FIRST + 24]

    assert (found["imbalance"], found["completeness"], found["estimated"]) == (pytest.approx(1.0), 1.0, 1.0)
    assert found["uncertainty"] > 2.0


def test_no_estimate_is_forgotten_whoever_dies_and_none_is_worked_on_twice(world):
    """Entered while nobody ran; heard, but not computed; and durable at last."""
    world.estimate("P1", [FIRST + 2], 2.0)
    die(world)
    world.results.broken = True
    world.start()
    heard(world)
    die(world)
    world.results.broken = False
    world.start()
    heard(world)
    assert world.table()[FIRST + 2]["estimated"] == 0.5

    before = world.intervals.reads
    world.restart()
    heard(world)
    assert world.intervals.reads - before == 2              # members and feed of the last day, as at any start


def test_groups_that_count_the_point_otherwise_are_touched_and_no_others():
    """Its house, and the street the house is in without a feed; not the house beside it."""
    site = site_of(
        5, water("HOUSE", "", ["P0", "P1"]), water("STREET", "P4", ["HOUSE", "P2"]), water("OTHER", "P3", ["P2"])
    )
    world = World(site).start()
    world.until(HOUR + 2, 60)
    for n in (0, 2, 3, 4):
        world.intervals.deliver(n + 1, 0, HOUR, [100, 100])
    world.settle()
    puts = len(world.results.puts)
    world.estimate("P1", [HOUR], 1.0)
    heard(world)

    assert {name for kind, name, _, _ in world.results.puts[puts:] if kind == "balance"} == {"HOUSE", "STREET"}
    assert row(world, "STREET")["estimated"] == pytest.approx(1 / 3)


def test_the_bus_says_nothing_of_estimates():
    """Alarms and control rooms see the newest hour that was measured whole."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))
    hour_passes(world, 1020.0, (5000,))
    world.estimate("P1", [HOUR + 2], 1.0)
    heard(world)

    assert world.table()[HOUR + 2]["imbalance"] == pytest.approx(4.0)
    assert world.tag("BG-1/imbalance") == (pytest.approx(1.0), Quality.GOOD, (HOUR + 2) * HOUR_S * NS)


def test_a_day_with_estimates_is_not_judged(world):
    """It is said that it is estimated, and how much of it."""
    for n in range(3):
        world.intervals.deliver(n + 1, 0, FIRST - 1, [100])
    world.estimate("P1", [FIRST + 2], 0.1)
    heard(world)
    noon = (FIRST // 24 + 1) * 24 + 12
    (found,) = days_found(world.registry.directory, world.service, world.service._stores.zone, noon)

    assert found.kind == INCOMPLETE
    assert found.detail.endswith("is estimated and not judged: 97.9 % of readings are measured, 2.1 % estimated")
