"""What a content of the registry means for the balances: who counts where, which registers feed, which tags are shown.

Made in a thread, for a city is a million members. Nothing of it is made anew where only modules or other things changed.
"""

from collections.abc import Mapping

import attrs

from scada.balancing.feeds import Feed, feeds_of
from scada.balancing.groups import Membership, device, membership
from scada.site import BalanceGroup, Directory, Site
from scada.tags import Device

COUNTS: tuple[str, ...] = ("balance_groups", "balance_members", "points", "meters")          # of a site
FEEDS: tuple[str, ...] = (*COUNTS[:2], "transformers")
SHOWS: tuple[str, ...] = ("balance_groups", "transformers")


@attrs.frozen(eq=False)
class Learned:
    """What is known since the last look at the registry."""

    directory: Directory
    membership: Membership
    feeds: Mapping[str, list[Feed]] | None = None           # by device; None: those that were known before
    devices: tuple[Device, ...] = ()                        # whose tags are new, or others than before

    @classmethod
    def nothing(cls) -> "Learned":
        return cls(Directory(Site()), membership(Directory(Site())))


def learned(before: Learned, directory: Directory, known: Mapping[str, Device]) -> Learned:
    """Look at the registry; `known`: the devices on the bus."""

    def same(kinds: tuple[str, ...]) -> bool:
        return all(getattr(before.directory.site, kind) is getattr(directory.site, kind) for kind in kinds)

    who = before.membership if same(COUNTS) else membership(directory)
    feeds = None if same(FEEDS) else feeds_of(directory, known)
    changed: tuple[BalanceGroup, ...] = () if same(SHOWS) else directory.site.balance_groups
    shown = (device(directory, group) for group in changed)
    return Learned(directory, who, feeds, tuple(one for one in shown if known.get(one.name) != one))
