"""Groups of groups: every meter counts once, whoever comes and goes, and late data reaches exactly who counts it."""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.balancing.compute import KIND, Stores, compute
from scada.clock import DAY_H, HOUR_S
from scada.site import BalanceGroup, BalanceMember, Directory, Medium, MemberRole, Site
from scada.site_groups import points_of, sum_of
from tests.balancing.test_service import hour_passes
from tests.balancing.world import World, estate
from tests.metering.world import HOUR, house

PULSES = 100                            # per m³


def water(name, feed="", members=(), **changes):
    return BalanceGroup(name, Medium.WATER, feed_point=feed, members=tuple(members), **changes)


def site_of(points, *groups, members=(), **changes):
    site = house(points, float(PULSES), Medium.WATER)
    return attrs.evolve(site, balance_groups=groups, balance_members=members, **changes)


def running(site, cubes, hours=1):
    """A site whose meters delivered so many m³ in each of the hours from HOUR on."""
    world = World(site).start()
    world.until(HOUR + hours, 60)
    for n, one in enumerate(cubes):
        world.intervals.deliver(n + 1, 0, HOUR, [round(one * PULSES)] * hours)
    world.settle(10)
    return world


def row(world, group, hour=HOUR, span=HOUR_S):
    table = world.service.table(group, span, hour * HOUR_S, hour * HOUR_S + HOUR_S)
    assert len(table.start) == 1, (group, hour)
    return {name: float(column[0]) for name, column in table.columns.items()}


# A tree as the parent of each group but the first, the group of each flat, and what is lost behind each feed.
@st.composite
def trees(draw):
    groups = draw(st.integers(1, 5))
    parents = [draw(st.integers(0, n - 1)) for n in range(1, groups)]
    flats = draw(st.lists(st.tuples(st.integers(0, groups - 1), st.integers(0, 500)), min_size=groups, max_size=8))
    flats += [(n, 100) for n in range(groups)]
    return parents, flats, draw(st.lists(st.integers(0, 50), min_size=groups, max_size=groups))


@settings(max_examples=15, deadline=None)
@given(trees())
def test_what_is_unexplained_at_the_top_is_the_sum_of_the_levels(tree):
    """All metered: the top against all flats is the sum of each level against the next, and sees each flat once."""
    parents, flats, lost = tree
    groups = len(parents) + 1
    members = [[f"P{groups + n}" for n, (group, _) in enumerate(flats) if group == which] for which in range(groups)]
    took = [sum(pulses for group, pulses in flats if group == which) for which in range(groups)]
    for child in range(groups - 1, 0, -1):
        members[parents[child - 1]].append(f"G{child}")
        took[parents[child - 1]] += took[child] + lost[child]
    feeds = [taken + loss for taken, loss in zip(took, lost, strict=True)]
    site = site_of(
        groups + len(flats), *(water(f"G{n}", f"P{n}", members[n]) for n in range(groups)),
        water("ALL", "P0", [f"P{groups + n}" for n in range(len(flats))]),
    )
    world = running(site, [one / PULSES for one in (*feeds, *(pulses for _, pulses in flats))])
    levels = [row(world, f"G{n}")["unexplained"] for n in range(groups)]

    assert levels == pytest.approx([loss / PULSES for loss in lost], abs=1e-9)
    assert row(world, "ALL")["unexplained"] == pytest.approx(sum(levels), abs=1e-9)
    world.stop()


def test_a_child_without_a_feed_counts_with_its_members():
    """And one with a feed counts with that, not with what its members make of it."""
    site = site_of(
        6, water("STREET", "P5", ["HOUSE", "RISER"]), water("HOUSE", "P4", ["P0", "P1"]), water("RISER", "", ["P2", "P3"])
    )
    world = running(site, (1, 1, 2, 3, 2.5, 8))

    assert row(world, "STREET")["members"] == 2.5 + 2 + 3
    assert row(world, "STREET")["imbalance"] == pytest.approx(0.5)
    assert row(world, "HOUSE")["imbalance"] == pytest.approx(0.5)


def test_a_child_fed_by_a_register_counts_by_it():
    """The transformer's register is what went into its group, by hour and, over its two ends, by day."""
    town = BalanceGroup("TOWN", Medium.ELECTRICITY, feed_point="P2", members=("BG-1",))
    site = attrs.evolve(house(3), **{
        name: getattr(estate(), name) for name in ("transformers",)
    }, balance_groups=(*estate().balance_groups, town))
    world = World(site).start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))
    world.intervals.deliver(3, 0, HOUR + 1, [10_500])
    world.settle()

    found = row(world, "TOWN", HOUR + 1)
    assert (found["members"], found["imbalance"]) == (pytest.approx(10.0), pytest.approx(0.5))
    assert found["uncertainty"] > 0.01 * 10.0               # the class of the register counts


@pytest.mark.parametrize(("groups", "points", "counted"), [
    # P0 is in the house that has a feed, and once more beside it
    ((water("TOP", "P3", ["HOUSE", "P0", "P1"]), water("HOUSE", "P2", ["P0"])), {}, {"P1", "P2"}),
    # the feed of a house is a member itself, beside the flats
    ((water("TOP", "P3", ["P2", "P0", "P1"]), water("HOUSE", "P2", ["P0"])), {}, {"P1", "P2"}),
    # by two branches without a feed
    ((water("TOP", "P3", ["A", "B"]), water("A", "", ["P0", "P1"]), water("B", "", ["P1", "P2"])), {}, {"P0", "P1", "P2"}),
    # P0 hangs behind P1
    ((water("TOP", "P3", ["P0", "P1"]),), {"P0": "P1"}, {"P1"}),
    # and behind a meter in a house with a feed
    ((water("TOP", "P3", ["P0", "HOUSE"]), water("HOUSE", "P2", ["P1"])), {"P0": "P1"}, {"P2"}),
])
def test_each_meter_counts_once(groups, points, counted):
    """Every way to it is known, and what another meter has counted is not counted again."""
    site = site_of(4, *groups)
    site = attrs.evolve(site, points=tuple(attrs.evolve(one, sub_meter_of=points.get(one.name, "")) for one in site.points))
    directory = Directory(site)

    assert set(points_of(directory, groups[0])) == counted
    assert len(points_of(directory, groups[0])) == len(counted)


def test_members_come_and_go():
    """Before and after, its hours are neither expected nor summed; the day is whole without them."""
    site = site_of(3, water("G", "P2", ["P0"]), members=(BalanceMember("G", "P1", HOUR + 1, HOUR + 2),))
    world = running(site, (1, 4, 2), hours=3)

    assert [row(world, "G", HOUR + n)["members"] for n in range(3)] == [1, 5, 1]
    assert [row(world, "G", HOUR + n)["completeness"] for n in range(3)] == [1, 1, 1]


def test_a_meter_that_is_exchanged_inside_the_day_is_one_member():
    """As ever: periods belong to the point, and each hour has the meter that hung then."""
    site = site_of(3, water("G", "P2", ["P0", "P1"]))
    first, *others = site.meters
    site = attrs.evolve(site, meters=(
        attrs.evolve(first, valid_to=HOUR + 1),
        attrs.evolve(first, serial="NEW", valid_from=HOUR + 1, pulses_per_unit=10.0),
        *others,
    ))
    world = running(site, (1, 4, 15), hours=2)

    assert [row(world, "G", HOUR + n)["members"] for n in range(2)] == [1 + 4, 10 + 4]


def test_generation_counts_negatively_and_common_needs_are_shown_apart():
    """Fed in and generated is what members took and what is lost."""
    site = site_of(
        4, water("G", "P3", ["P0"]),
        members=(BalanceMember("G", "P1", role=MemberRole.COMMON), BalanceMember("G", "P2", role=MemberRole.GENERATION)),
    )
    found = row(running(site, (3, 1, 2, 2.5)), "G")

    assert (found["members"], found["common"], found["generation"]) == (3 + 1 - 2, 1, 2)
    assert found["imbalance"] == pytest.approx(0.5)


def test_own_consumption_is_deducted_not_hidden():
    """Constant power of the group and of each meter that hangs in it; the imbalance stays what it was."""
    world = World(estate(metering_w=300.0, metering_w_each=100.0)).start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))
    found = row(world, "BG-1", HOUR + 1)

    assert found["own"] == pytest.approx(0.5)
    assert (found["imbalance"], found["unexplained"]) == (pytest.approx(1.0), pytest.approx(0.5))
    assert np.isnan(found["technical"])                     # nobody computes it: it is not said to be zero


def test_late_data_recalculates_who_counts_it_and_nobody_else():
    """Behind a feed a flat touches its house alone; without one it touches the parent too, and only its day."""
    site = site_of(
        6, water("STREET", "P5", ["HOUSE", "RISER"]), water("HOUSE", "P4", ["P0", "P1"]), water("RISER", "", ["P2", "P3"])
    )
    world = running(site, (1, 1, 2, 3, 2.5, 8), hours=3)
    asked = len(world.results.puts)
    world.intervals.deliver(1, 0, HOUR + 1, [200])
    world.settle()
    behind_a_feed = {name for kind, name, _, table in world.results.puts[asked:] if kind == KIND and len(table.start)}
    asked = len(world.results.puts)
    world.intervals.deliver(3, 0, HOUR + 1, [300])
    world.settle()
    puts = [(name, span, table.start // HOUR_S) for _, name, span, table in world.results.puts[asked:]]

    assert behind_a_feed == {"HOUSE"}
    assert {name for name, *_ in puts} == {"RISER", "STREET"}
    assert all(list(start) == [HOUR + 1] for _, span, start in puts if span == HOUR_S)
    assert row(world, "STREET", HOUR + 1)["version"] == 2.0
    assert row(world, "STREET", HOUR)["version"] == 1.0


def test_a_member_of_a_child_that_is_missing_leaves_the_parent_incomplete():
    """What is not whole below is not whole above."""
    site = site_of(4, water("TOP", "P3", ["A"]), water("A", "", ["P0", "P1"]))
    world = running(site, (1,))
    world.intervals.deliver(4, 0, HOUR, [300])
    world.settle()

    assert row(world, "TOP")["completeness"] == 0.5
    assert np.isnan(row(world, "TOP")["imbalance"])
    assert np.isnan(row(world, "TOP")["unexplained"])


def test_the_class_of_a_meter_is_in_the_uncertainty():
    """Class 2 doubles what one member adds; a class that is not written down is 1."""
    plain = site_of(2, water("G", "P1", ["P0"]))
    coarse = attrs.evolve(plain, meters=(attrs.evolve(plain.meters[0], accuracy_class=2.0), plain.meters[1]))
    pulse = 1 / PULSES
    one, two = (row(running(site, (30, 40)), "G")["uncertainty"] for site in (plain, coarse))

    assert one == pytest.approx(np.sqrt(0.3**2 + 0.4**2 + 2 * pulse**2))
    assert two == pytest.approx(np.sqrt(0.6**2 + 0.4**2 + 2 * pulse**2))


def test_a_circle_ends_however_it_was_entered():
    """The import refuses it; nothing hangs where one is there all the same."""
    directory = Directory(Site(balance_groups=(water("A", "", ["B", "P0"]), water("B", "", ["A"]))))

    assert points_of(directory, directory.balance_group["A"]) == ("P0",)


def test_a_technical_loss_is_deducted_where_somebody_computes_it():
    """Hour by hour; a day has it when all of its hours do."""
    world = running(site_of(2, water("G", "P1", ["P0"])), (30, 40))
    directory = world.registry.directory

    def losses(group, first, count):
        return np.where(np.arange(first, first + count) == HOUR, 2.5, np.nan)

    stores = attrs.evolve(world.service._stores, technical=losses)
    assert isinstance(stores, Stores)
    outcome = compute(stores, directory, [directory.balance_group["G"]], np.array([HOUR]), HOUR + 1)
    hours, = (rows.table for span, rows in outcome.rows if span == HOUR_S)
    assert (hours.columns["technical"].tolist(), hours.columns["unexplained"].tolist()) == ([2.5], [7.5])
    assert all(np.isnan(rows.table.columns["technical"]).all() for span, rows in outcome.rows if span == DAY_H * HOUR_S)


def test_a_plain_group_is_the_sum_of_its_points():
    """Nothing changed for who writes members as before."""
    directory = Directory(estate())
    parts = sum_of(directory, directory.balance_group["BG-1"]).parts

    assert [part.point for part in parts] == ["P0", "P1"]
    assert all(part.plain for part in parts)
