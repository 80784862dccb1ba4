"""Who takes part in a study: the homes below a group, for the hours they count, and what never moves but counts."""

import numpy as np
import pytest

from scada.balancing.phases.homes import homes
from scada.balancing.phases.inputs import feed_tags, inputs
from scada.phase_study import Lack
from scada.ports import Consumption
from scada.site import BalanceGroup, BalanceMember, Consumer, Directory, Medium, MemberRole, Point, Site, Transformer
from tests.balancing.phases.world import households

FIRST, HOURS = 490_896, 72
E = Medium.ELECTRICITY


def group(name, *members, **other):
    return BalanceGroup(name, E, members=members, **other)


def directory(*groups, members=(), points=8, phases="L1"):
    return Directory(Site(
        transformers=(Transformer("T", meter="M"),),
        consumers=(Consumer("K", phases=phases), Consumer("K3", phases="L1L2L3")),
        points=(*(Point(f"P{n}", E, "K") for n in range(points)), Point("FEED", E, ""), Point("LIFT", E, "K3")),
        balance_groups=groups, balance_members=members,
    ))


def found(of, name="G"):
    return {one.point: one for one in homes(of, of.balance_group[name], FIRST, HOURS, 100)}


def studied(of, values, name="G"):
    members = homes(of, of.balance_group[name], FIRST, HOURS, 100)
    rows = np.array([values[int(one.point[1:])] if one.point[1:].isdigit() else np.ones(HOURS) for one in members])
    power = Consumption(
        tuple(one.point for one in members), FIRST, rows / 1e3, np.zeros(rows.shape, np.uint8), ("kWh",) * len(rows))
    return inputs(of, members, power, np.zeros(HOURS, np.int64))


def test_homes_are_found_through_groups_of_groups_whether_these_have_a_feed_or_not():
    """A street of two houses, one with a meter of its own, and of a home; each once, and no house beside its homes."""
    of = directory(
        group("G", "A", "B", "P4"), group("A", "P0", "P1", feed_point="FEED"), group("B", "P2", "P3", "C"),
        group("C", "P5", feed_tag="X/energy_import"),
    )

    assert sorted(found(of)) == ["P0", "P1", "P2", "P3", "P4", "P5"]
    assert all(one.spans == ((FIRST, FIRST + HOURS),) for one in found(of).values())


def test_a_house_in_which_nobody_is_metered_is_one_consumer_of_several_phases():
    """What feeds it counts, evenly; an energy register has no hours to read, and is left to the rest of the feed."""
    of = directory(group("G", "A", "B", "P0"), group("A", feed_point="FEED"), group("B", feed_tag="X/energy_import"))
    of_study = studied(of, households(8, 3))

    assert sorted(found(of)) == ["FEED", "P0"]
    assert of_study.points == ("P0",)
    assert of_study.fixed == pytest.approx(np.full((HOURS, 3), 1 / 3))
    assert of_study.lacks[Lack.THREE_PHASE] == (1,)


def test_a_member_since_long_ago_takes_part_and_one_that_comes_within_the_period_counts_while_it_is_there():
    """The first is one of the consumers; the second is never moved, and is on its phase in its own hours alone."""
    members = (
        BalanceMember("G", "P1", FIRST - 500), BalanceMember("G", "P2", FIRST + 48),
        BalanceMember("G", "P3", 0, FIRST + 1), BalanceMember("G", "P4", FIRST + HOURS), BalanceMember("G", "P5", 0, FIRST),
    )
    of, values = directory(group("G", "P0"), members=members), households(8, 3)
    got = studied(of, values)
    expected = np.zeros((HOURS, 3))
    expected[48:, 0] += values[2, 48:]
    expected[:1, 0] += values[3, :1]

    assert got.points == ("P0", "P1")
    assert got.fixed == pytest.approx(expected)
    assert got.lacks == {Lack.PASSING: (2,)}


def test_generation_counts_negatively_on_its_phase_and_common_needs_as_any_other():
    """Neither the sun nor a lift of three phases is moved; a cellar's light on one phase may be."""
    members = (
        BalanceMember("G", "P1", role=MemberRole.GENERATION), BalanceMember("G", "P2", role=MemberRole.COMMON),
        BalanceMember("G", "LIFT", role=MemberRole.COMMON),
    )
    of, values = directory(group("G", "P0"), members=members, phases="L2"), households(8, 3)
    got = studied(of, values)
    expected = np.full((HOURS, 3), 1 / 3)
    expected[:, 1] -= values[1]

    assert got.points == ("P0", "P2")
    assert got.fixed == pytest.approx(expected)
    assert got.lacks == {Lack.THREE_PHASE: (1,), Lack.GENERATION: (1,)}


def test_nobody_looks_for_more_homes_than_a_study_may_have():
    """Of a city the first few, and one more, so that it can be said."""
    of = directory(group("G", "A", "B"), group("A", *(f"P{n}" for n in range(5))), group("B", "P5", "P6", "P7"))

    assert len(homes(of, of.balance_group["G"], FIRST, HOURS, 3)) == 4


def test_members_that_nobody_knows_and_groups_that_contain_each_other_do_not_break_it():
    """The import refuses both; a page must answer all the same."""
    of = directory(group("G", "A", "P0", "NOBODY"), group("A", "G", "P1", feed_point="FEED"))

    assert sorted(found(of)) == ["P0", "P1"]


def test_a_feed_has_phases_only_where_its_own_meter_has():
    """A house under a transformer is not fed with all of what the transformer gives."""
    assert feed_tags(group("G", feed_tag="M/energy_import", transformer="T"))[0] == "M/power_active_l1"
    assert feed_tags(group("G", transformer="T")) == ()
    assert feed_tags(group("G", transformer="T", feed_point="FEED")) == ()
