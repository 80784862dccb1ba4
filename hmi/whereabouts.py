"""Which balance groups, and whose cases, are at a transformer or on a feeder: what filters of pages and API mean. Pure."""

from collections.abc import Sequence

import attrs

from scada.site import Directory


@attrs.frozen
class Whereabouts:
    """A filter: None where it leaves everything in."""

    transformer: str
    feeder: str
    groups: frozenset[str] | None           # balance groups
    members: frozenset[str] | None          # points and child groups that cases are about

    @property
    def query(self) -> dict[str, str]:
        """What a link needs to say it again."""
        said = {"transformer": self.transformer, "feeder": self.feeder}
        return {name: value for name, value in said.items() if value}

    def sought(self) -> dict[str, Sequence[str] | None]:
        """For `ports.Cases`."""
        return {
            "groups": None if self.groups is None or self.feeder else sorted(self.groups),
            "members": None if self.members is None else sorted(self.members),
        }


def whereabouts(directory: Directory, transformer: str, feeder: str) -> Whereabouts:
    """
    Return what is at a transformer or on a feeder; either may be "".

    A group is at its transformer, and wherever one of its own members is; a group of groups is where its children are only
    if it says so itself. A case is on the feeder of the point it is about.
    """
    if not transformer and not feeder:
        return Whereabouts("", "", None, None)
    feeders = {
        one.name for one in directory.site.feeders
        if (not feeder or one.name == feeder) and (not transformer or one.transformer == transformer)
    }
    if feeder and feeder not in {one.name for one in directory.site.feeders}:       # a name alone, without a network
        feeders = {feeder}
    consumers = {one.name for one in directory.site.consumers if one.feeder in feeders}
    points = {one.name for one in directory.site.points if one.consumer and one.consumer in consumers}
    there = directory.balance_group.keys()
    groups = {one.group for point in points for one in directory.memberships.get(point, ())} & there
    if not feeder:
        groups |= {one.name for one in directory.site.balance_groups if one.transformer == transformer}
    return Whereabouts(
        transformer, feeder, frozenset(groups), frozenset(points | groups) if feeder else None,
    )
