"""Many groups at once: what they are computed to be does not depend on whom they are computed with."""

import attrs
import numpy as np
import pytest

from scada.balancing.compute import compute
from scada.balancing.due import MOST_CELLS, Due
from scada.balancing.groups import due_by, membership
from scada.clock import DAY_H
from scada.intervals import IntervalStatus, Mark, News
from scada.site import BalanceGroup, BalanceMember, Medium, MemberRole, MeterPeriod
from tests.balancing.world import FEED, World, estate
from tests.metering.world import HOUR, house

FLATS = 12


def city():
    """Groups fed by a point, a register or nothing; members that come, go, generate; unknown ones; a parent."""
    base = house(FLATS)
    swapped = MeterPeriod("S0b", "P0", 50, 0, 500.0, HOUR + 2)
    meters = (
        attrs.evolve(base.meters[0], valid_to=HOUR + 2), swapped, attrs.evolve(base.meters[1], accuracy_class=2.0),
        attrs.evolve(base.meters[2], valid_from=HOUR + 1), *base.meters[3:10],
        attrs.evolve(base.meters[10], accuracy_class=0.5), base.meters[11],
    )

    def group(name, *members, **more):
        return BalanceGroup(name, Medium.ELECTRICITY, members=members, **more)

    return attrs.evolve(
        base, meters=meters, transformers=estate().transformers,
        balance_groups=(
            group("A", "P0", "P1", "P2", feed_point="P3"),
            group("B", "P4", "nobody", feed_point="P5"),
            group("C", transformer="T01", feed_tag=FEED),
            group("D", "P6", metering_w=5.0),
            group("E", "A", "D", "P7", feed_point="P8"),
            group("empty"),
            group("plain", "P9", "P10", feed_point="P11"),
        ),
        balance_members=(
            BalanceMember("C", "P4", HOUR + 1), BalanceMember("C", "P5", 0, HOUR + 2, MemberRole.GENERATION),
            BalanceMember("C", "P9", role=MemberRole.COMMON), BalanceMember("E", "C", HOUR),
        ),
    )


@pytest.fixture
def world():
    world = World(city()).start()
    world.until(HOUR + 6, 60)
    for n in range(FLATS - 1):                              # the last one will be heard later
        counts = [(n * 37 + 11 * h) % 90 + 1 for h in range(6)]
        world.intervals.deliver(n + 1, 0, HOUR, counts[:2] if n == 6 else counts)
    world.intervals.deliver(50, 0, HOUR + 2, [40, 50, 60, 70])
    world.intervals.deliver(8, 0, HOUR + 6, [9], int(IntervalStatus.OPEN_CIRCUIT))
    return world


def test_groups_computed_together_are_what_each_is_alone(world):
    """Every column of every hour and day, and what is shown; nothing is stored between the two."""
    world.results.rows.clear()
    world.service._stores.results = world.results
    directory, hours = world.registry.directory, np.arange(HOUR - 30, HOUR + 6)
    groups = directory.site.balance_groups
    whole = compute(world.service._stores, directory, groups, hours, HOUR + 6)
    rows = dict(whole.rows)

    for place, group in enumerate(groups):
        alone = compute(world.service._stores, directory, [group], hours, HOUR + 6)
        for span, mine in alone.rows:
            of_mine = rows[span].of(place)
            assert of_mine.start.tolist() == mine.table.start.tolist(), group.name
            for name, column in mine.table.columns.items():
                np.testing.assert_allclose(of_mine.columns[name], column, rtol=1e-13, err_msg=f"{group.name}.{name}")
        assert len(alone.rows) == sum(bool((one.which == place).any()) for one in rows.values())
        assert alone.whole.start[0] == whole.whole.start[place]
        np.testing.assert_equal(alone.latest_completeness[0], whole.latest_completeness[place])
    assert {len(rows[3600].of(place).start) > 0 for place in range(len(groups))} == {True, False}


def test_many_points_are_found_in_columns_as_few_are_one_by_one(world, monkeypatch):
    """Swaps of meters, hours that are missing, channels nobody has heard: the same quantities and qualities."""
    points = [f"P{n}" for n in (5, 0, 1, 6, 0, 11, 7)]
    few = world.metering.hourly(points, HOUR - 2, 9)
    monkeypatch.setattr("scada.metering.service.MANY", 1)
    many = world.metering.hourly(points, HOUR - 2, 9)
    world.intervals.deliver(FLATS, 0, HOUR + 6, [3])
    later = world.metering.hourly(points, HOUR - 2, 9)

    np.testing.assert_array_equal(many.values, few.values)
    np.testing.assert_array_equal(many.quality, few.quality)
    assert (many.points, many.units) == (few.points, few.units)
    assert np.isnan(few.values[5]).all()
    assert later.values[5, 8] == 3 / 1000
    assert np.isfinite(world.metering.hourly(["P2"], HOUR, 3).values).tolist() == [[False, True, True]]
    with pytest.raises(KeyError, match="stranger"):
        world.metering.hourly(["P0", "stranger"], HOUR, 1)


def test_what_is_due_in_the_same_days_is_taken_together_and_the_rest_in_its_turn():
    """Hours of a day together; another day, and a group that is too large to share, alone; nothing is left behind."""
    due, large = Due(), MOST_CELLS // DAY_H
    day = np.arange(24, 48)
    for name, hours in (("a", day), ("b", day[3:5]), ("c", day[7:]), ("late", day - 24), ("large", day), ("d", day)):
        due.add(name, hours)
    due.add("d", day[:2])
    taken = []
    while due:
        taken.append(due.take_many(lambda name: large if name == "large" else 10))

    assert [names for names, _ in taken] == [("a", "b", "c"), ("late",), ("large",), ("d",)]
    assert taken[0][1].tolist() == day.tolist()
    assert taken[1][1].tolist() == (day - 24).tolist()


def test_news_reaches_exactly_the_groups_whose_meters_it_is_of(world):
    """By slots, also of a channel that the store met only after others were looked for."""
    directory = world.registry.directory
    of = membership(directory)
    slot = {eui: int(world.intervals.slots(np.array([eui]), np.array([0]))[0]) for eui in (1, 10, 50)}

    def touched(*slots):
        mark = Mark(np.array(slots), HOUR, 2)
        return {name: parts[0].tolist() for name, parts in due_by(world.intervals, of, [News(1, (mark,))]).items()}

    both = [HOUR, HOUR + 1]
    assert touched(slot[1]) == {"A": both}
    assert touched(slot[10], slot[50], 999) == {"A": both, "C": both, "plain": both}
    assert touched(999) == {}


def test_a_disk_that_is_full_makes_all_of_them_due_again(world):
    """What was computed while the one before it could not be stored is not lost either."""
    world.settle(10)
    world.results.rows.clear()
    world.results.broken = True
    due = world.service._due
    for name in ("A", "plain"):
        due.add(name, np.arange(HOUR, HOUR + 2))
    due.add("D", np.array([HOUR - 24, HOUR]))               # of other days: it is computed by itself
    world.service._worker.poke()
    world.settle(2)
    assert [one.ok for one in world.service.health()] == [False]
    world.results.broken = False
    world.settle(15)

    assert {name for kind, name, _ in world.results.rows if kind == "balance"} >= {"A", "plain", "D"}
    assert not due
