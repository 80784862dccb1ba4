"""What a content of the registry means for the balances: worked out once, and again only where it is another one."""

import attrs

from scada.balancing.feeds import feeds_of
from scada.balancing.groups import device
from scada.balancing.learning import Learned, learned
from scada.site import BalanceMember, Directory, followed
from scada.site_groups import sum_of
from tests.balancing.world import FEED, METER, World, estate
from tests.metering.world import HOUR

ON_THE_BUS = {METER.name: METER}


def first_look(site=None) -> Learned:
    return learned(Learned.nothing(), Directory(site or estate()), ON_THE_BUS)


def test_the_first_look_finds_who_counts_what_feeds_and_what_is_shown() -> None:
    found = first_look()

    assert found.membership.size == {"BG-1": 2}
    assert found.feeds is not None
    assert [feed.tag for feed in found.feeds["T01-meter"]] == [FEED]
    assert [one.name for one in found.devices] == ["BG-1"]


def test_where_only_modules_changed_nothing_is_worked_out_again() -> None:
    """A city hears of modules all day long."""
    before = first_look()
    heard = attrs.evolve(before.directory.site, modules=(*before.directory.site.modules,), generation=7)
    after = learned(before, followed(before.directory, heard), ON_THE_BUS)

    assert after.membership is before.membership
    assert after.feeds is None
    assert after.devices == ()


def test_a_member_that_comes_is_counted_and_only_devices_that_differ_are_shown_again() -> None:
    before = first_look(estate(3, members=("P0", "P1")))
    site = before.directory.site
    known = {**ON_THE_BUS, "BG-1": before.devices[0]}
    joined = attrs.evolve(site, balance_members=(BalanceMember("BG-1", "P2", valid_from=HOUR),))
    after = learned(before, followed(before.directory, joined), known)
    renamed = attrs.evolve(joined, balance_groups=(attrs.evolve(site.balance_groups[0], title="Another house"),))
    again = learned(after, followed(after.directory, renamed), known)

    assert after.membership.size == {"BG-1": 3}
    assert after.devices == ()
    assert [one.title for one in again.devices] == ["Another house"]


def test_what_counts_in_a_group_is_kept_with_the_look_ups_and_goes_with_what_it_is_made_from() -> None:
    directory = Directory(estate())
    group = directory.site.balance_groups[0]
    kept = sum_of(directory, group)
    other_modules = followed(directory, attrs.evolve(directory.site, generation=3))
    first, *others = directory.site.points
    behind = attrs.evolve(first, sub_meter_of="P1")
    sub_metered = followed(directory, attrs.evolve(directory.site, points=(behind, *others)))

    assert sum_of(directory, group) is kept
    assert sum_of(other_modules, group) is kept
    assert sum_of(sub_metered, group).points == ("P1",)


def test_a_meter_that_comes_later_or_changes_its_tags_feeds_from_then_on() -> None:
    """As if it had been there; and one that loses the register feeds no more."""
    world = World()
    assert feeds_of(world.registry.directory, {}) == {}
    world.start()
    world.until(HOUR + 1)
    world.read(100.0)
    world.bus.add_device(attrs.evolve(METER, tags=METER.tags[:-1]))
    assert world.service._feeds._feeds == {}
    world.bus.add_device(METER)
    assert [feed.tag for feed in world.service._feeds._feeds["T01-meter"]] == [FEED]


def test_a_group_that_is_added_while_the_server_runs_has_its_tags() -> None:
    world = World().start()
    group = attrs.evolve(world.site.balance_groups[0], name="BG-2", feed_tag="")
    site = attrs.evolve(world.site, balance_groups=(*world.site.balance_groups, group))
    world.registry.replace(site)
    world.settle()

    assert world.bus.devices()["BG-2"] == device(Directory(site), group)
