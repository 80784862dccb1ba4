"""Sums over balance groups: the same as adding up member by member, hour by hour."""

from functools import partial

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.intervals import MISSING
from scada.metering import sums
from scada.metering.hourly import consumption
from scada.metering.sums import group_sums, members_of
from scada.site import BalanceGroup, BalanceMember, Directory, Medium, MemberRole, MeterPeriod, Site
from scada.tags import BAD
from tests.metering.world import HOUR, MemoryIntervals, house

HOURS = 6


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Directory, MemoryIntervals]:
    """Flats in groups (also empty ones, and members nobody knows), meters changed in between, holes and dead lines."""
    site = house(5)
    meters = list(site.meters)
    for number in range(5):
        if draw(st.booleans()):
            change = HOUR + draw(st.integers(0, HOURS))
            old = meters[number]
            meters[number] = MeterPeriod(old.serial, old.point, old.eui, 0, 1000.0, old.valid_from, change)
            meters.append(MeterPeriod(f"N{number}", old.point, old.eui, 1, 100.0, change))
    names = [f"P{number}" for number in range(5)] + ["nobody"]
    groups = tuple(
        BalanceGroup(f"G{number}", Medium.ELECTRICITY, members=tuple(
            draw(st.lists(st.sampled_from(names), unique=True, max_size=6))
        ))
        for number in range(draw(st.integers(1, 4)))
    )
    store = MemoryIntervals()
    for eui in range(1, 6):
        for channel in (0, 1):
            pulses = draw(st.lists(st.sampled_from((MISSING, 0, 7, 400)), min_size=HOURS, max_size=HOURS))
            store.deliver(eui, channel, HOUR, pulses, draw(st.sampled_from((0, 1, 4))))
    return Directory(Site(site.transformers, concentrators=site.concentrators, modules=site.modules,
                          consumers=site.consumers, points=site.points, meters=tuple(meters),
                          balance_groups=groups)), store


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(1, 40))
def test_a_sum_is_what_adding_up_the_members_gives(world: tuple[Directory, MemoryIntervals], cells: int) -> None:
    """Over swaps, holes and dead lines; also where a range is read in parts; unknown members are expected too."""
    directory, store = world
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "MOST_CELLS", cells)
        found = group_sums(members_of(directory), store, HOUR, HOURS)

    for row, group in enumerate(directory.site.balance_groups):
        known = [one for one in group.members if one in directory.point]
        taken = consumption(directory, store, known, HOUR, HOURS, HOUR + HOURS)
        usable = np.isfinite(taken.values) & (taken.quality < BAD)
        present = usable.sum(axis=0)
        total = np.where(usable, taken.values, 0).sum(axis=0)
        assert found.present[row].tolist() == present.tolist()
        assert found.sums[row] == pytest.approx(np.where(present > 0, total, np.nan), nan_ok=True)
        assert found.expected[row].tolist() == [len(group.members)] * HOURS
        if group.members:
            assert found.completeness[row] == pytest.approx(present / len(group.members))


def test_groups_are_answered_in_the_order_asked() -> None:
    """Also one asked for alone, and all in another order."""
    site = house(3)
    directory = Directory(Site(
        concentrators=site.concentrators, modules=site.modules, consumers=site.consumers, points=site.points,
        meters=site.meters, balance_groups=tuple(
            BalanceGroup(name, Medium.ELECTRICITY, members=members)
            for name, members in (("A", ("P0",)), ("B", ()), ("C", ("P1", "P2")))
        ),
    ))
    store = MemoryIntervals()
    for eui, pulses in ((1, 100), (2, 20), (3, 4)):
        store.deliver(eui, 0, HOUR, [pulses])
    every = members_of(directory)

    assert group_sums(every.of(("C", "A")), store, HOUR, 1).sums[:, 0] == pytest.approx([0.024, 0.1])
    assert group_sums(every.of(("C",)), store, HOUR, 1).groups == ("C",)
    empty = group_sums(every.of(("B",)), store, HOUR, 1)
    assert np.isnan(empty.sums[0, 0])
    assert np.isnan(empty.completeness[0, 0])
    with pytest.raises(KeyError):
        every.of(("D",))


def test_a_meter_that_comes_later_is_found_then() -> None:
    """Known slots are kept; one that nobody had yet is asked for again."""
    site = house(2)
    directory = Directory(Site(
        concentrators=site.concentrators, modules=site.modules, consumers=site.consumers, points=site.points,
        meters=site.meters, balance_groups=(BalanceGroup("A", Medium.ELECTRICITY, members=("P0", "P1")),),
    ))
    store = MemoryIntervals()
    store.deliver(1, 0, HOUR, [100])
    before = members_of(directory).found(store)
    store.deliver(2, 0, HOUR, [20])
    after = before.found(store)

    assert group_sums(before, store, HOUR, 1).sums[0, 0] == pytest.approx(0.12)
    assert after.slots is not None
    assert after.slots.tolist() == [0, 1]
    assert after.found(store) is after


def test_generation_is_negative_a_child_counts_by_its_feed_and_who_left_is_not_expected() -> None:
    """A child that is fed by a register on the bus is expected and never there: such a sum is not called whole."""
    site = house(5)
    group = partial(BalanceGroup, medium=Medium.ELECTRICITY)
    directory = Directory(attrs.evolve(
        site, balance_groups=(
            group("TOP", members=("P0", "HOUSE")), group("HOUSE", feed_point="P3", members=("P1",)),
            group("ALL", members=("P0", "T")), group("T", feed_tag="T01/energy", members=("P1",)),
        ),
        balance_members=(
            BalanceMember("TOP", "P2", HOUR + 1, HOUR + 2), BalanceMember("TOP", "P4", role=MemberRole.GENERATION),
        ),
    ))
    store = MemoryIntervals()
    for eui in range(1, 6):
        store.deliver(eui, 0, HOUR, [1000 * eui] * 3)
    found = group_sums(members_of(directory).of(("ALL", "TOP")), store, HOUR, 3)

    assert found.sums[1] == pytest.approx([1 + 4 - 5, 1 + 4 - 5 + 3, 1 + 4 - 5])
    assert found.expected[1].tolist() == found.present[1].tolist() == [3, 4, 3]
    assert found.completeness[0].tolist() == [0.5] * 3
