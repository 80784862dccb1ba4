"""Plug and play: what an announcement changes, and what it must not."""

import attrs

from scada.registry.joining import join
from scada.site import Adoption, Directory, JoinedModule, Module, ModuleState, Site
from tests.registry.sites import HIGH, a_site

LINK = 0x4A1000C1
ENGINEERED = 0x4A1000C2


def module(site: Site, eui: int) -> Module:
    return Directory(site).module_of_eui[eui]


def test_an_unknown_module_is_active_where_adoption_is_automatic_and_discovered_where_not() -> None:
    """Named by concentrator and index."""
    joined = join(a_site(), [JoinedModule(10, LINK, 17, 3, "AD12"), JoinedModule(11, ENGINEERED, 240, 1)])

    assert joined.modules == (
        Module(10, "C01-017", "C01", 17, ModuleState.ACTIVE, 3, "AD12"),
        Module(11, "C02-240", "C02", 240, ModuleState.DISCOVERED, 1),
    )
    assert joined.site.modules == (*a_site().modules, *joined.modules)


def test_a_name_that_is_taken_gets_the_end_of_the_eui() -> None:
    """By any device; longer until it is free."""
    site = a_site()
    taken = (attrs.evolve(site.modules[0], name="C01-009"), attrs.evolve(site.modules[1], name="C01-009-00AB"))
    site = attrs.evolve(site, modules=(*taken, site.modules[2]))

    assert join(site, [JoinedModule(0x1234_00CD, LINK, 9, 1)]).modules[0].name == "C01-009-00CD"
    assert join(site, [JoinedModule(0x1234_00AB, LINK, 9, 1)]).modules[0].name == "C01-009-123400AB"


def test_a_known_module_keeps_its_name_and_gets_its_new_index_and_channels() -> None:
    """An adapter that is not reported is not forgotten."""
    joined = join(a_site(), [JoinedModule(HIGH, LINK, 50, 1)])

    assert joined.modules == (attrs.evolve(a_site().modules[0], index=50, channels=1),)


def test_what_is_known_already_changes_nothing() -> None:
    """The very same site, so that nothing is written."""
    site = a_site()
    joined = join(site, [JoinedModule(HIGH, LINK, 1, 2, "AD220/50")])

    assert joined.site is site
    assert joined.modules == (site.modules[0],)


def test_a_discovered_module_becomes_active_when_its_concentrator_adopts_automatically() -> None:
    """A file from before the installation leaves modules discovered; the field brings them in."""
    site = a_site()
    automatic = tuple(attrs.evolve(one, adoption=Adoption.AUTOMATIC) for one in site.concentrators)
    site = attrs.evolve(site, concentrators=automatic)

    assert join(site, [JoinedModule(3, ENGINEERED, 1, 1)]).modules[0].state is ModuleState.ACTIVE
    assert join(a_site(), [JoinedModule(3, ENGINEERED, 1, 1)]).modules[0].state is ModuleState.DISCOVERED


def test_a_module_heard_at_another_concentrator_stays_where_it_is_registered_and_is_reported() -> None:
    """Moving it is a person's decision."""
    site = a_site()
    joined = join(site, [JoinedModule(HIGH, ENGINEERED, 7, 2)])

    assert joined.site is site
    assert joined.modules == (site.modules[0],)
    assert joined.elsewhere == ("C01-001: registered at C01, heard at C02",)


def test_an_index_given_to_another_module_is_taken_from_the_one_that_had_it() -> None:
    """The radio decides; the displaced one is lost until it speaks again, and then it is back."""
    joined = join(a_site(), [JoinedModule(10, LINK, 1, 1)])
    displaced = module(joined.site, HIGH)
    back = join(joined.site, [JoinedModule(HIGH, LINK, 99, 2)])

    assert (displaced.index, displaced.state) == (0, ModuleState.LOST)
    assert (back.modules[0].index, back.modules[0].state) == (99, ModuleState.ACTIVE)


def test_two_modules_that_swapped_their_indices_are_both_well() -> None:
    """One list of the concentrator tells both."""
    joined = join(a_site(), [JoinedModule(HIGH, LINK, 2, 2), JoinedModule(HIGH + 1, LINK, 1, 1)])

    assert [(one.index, one.state) for one in joined.modules] == [(2, ModuleState.ACTIVE), (1, ModuleState.ACTIVE)]


def test_the_epoch_of_a_group_rises_when_a_member_gets_another_index() -> None:
    """The concentrator holds the group by index; channels alone change nothing there."""
    moved = join(a_site(), [JoinedModule(HIGH, LINK, 50, 2)])
    same = join(a_site(), [JoinedModule(HIGH, LINK, 1, 1)])

    assert [moved.site.load_groups[0].epoch, same.site.load_groups[0].epoch] == [2, 1]


def test_announcements_that_cannot_be_are_refused_and_counted() -> None:
    """An unknown concentrator, an index or a channel count that no radio has."""
    site = a_site()
    joined = join(site, [JoinedModule(10, 1, 1, 1), JoinedModule(10, LINK, 0, 1), JoinedModule(10, LINK, 241, 1),
                         JoinedModule(10, LINK, 3, 9)])

    assert joined.refused == 4
    assert joined.site is site
    assert joined.modules == ()


def test_two_new_modules_at_one_index_get_two_names() -> None:
    """In one list: the later one has the index, and neither has the other's name."""
    joined = join(a_site(), [JoinedModule(10, LINK, 5, 1), JoinedModule(11, LINK, 5, 1)])

    assert [(one.name, one.index) for one in joined.modules] == [("C01-005", 0), ("C01-005-000B", 5)]


def test_the_last_of_several_announcements_of_a_module_counts() -> None:
    """And it is answered once."""
    joined = join(a_site(), [JoinedModule(10, LINK, 5, 1), JoinedModule(10, LINK, 6, 2)])

    assert [(one.index, one.channels) for one in joined.modules] == [(6, 2)]
