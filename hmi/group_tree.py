"""Groups of groups as pages show them: what a group is in, what is in it, and all of them as a tree. Pure."""

from scada.site import BalanceGroup, BalanceMember, Directory


def trail(directory: Directory, name: str, hour: int) -> tuple[tuple[BalanceGroup, ...], tuple[BalanceGroup, ...]]:
    """The groups above one, the top first, by the first way that leads there at an hour; and those of other ways."""
    way: list[BalanceGroup] = []
    others: tuple[BalanceGroup, ...] = ()
    climb = name
    while True:
        above = [
            directory.balance_group[one.group] for one in directory.memberships.get(climb, ())
            if one.group in directory.balance_group and _there(one, hour)
        ]
        if climb == name:
            others = tuple(above[1:])
        if not above or above[0] in way or above[0].name == name:           # the import refuses a circle; a page must end
            return tuple(reversed(way)), others
        way.append(above[0])
        climb = above[0].name


def children(directory: Directory, name: str, hour: int) -> tuple[tuple[BalanceMember, BalanceGroup], ...]:
    """The groups directly in one at an hour."""
    return tuple(
        (one, directory.balance_group[one.member]) for one in directory.members_of_group.get(name, ())
        if one.member in directory.balance_group and one.member not in directory.point and _there(one, hour)
    )


def as_tree(directory: Directory, hour: int) -> list[tuple[BalanceGroup, int]]:
    """All groups, each once with its depth, below the first group that has it; in the registry's order."""
    below = {one.name: [child for _, child in children(directory, one.name, hour)] for one in directory.site.balance_groups}
    inner = {child.name for some in below.values() for child in some}
    found: dict[str, tuple[BalanceGroup, int]] = {}
    groups = directory.site.balance_groups
    for top in (*(one for one in groups if one.name not in inner), *groups):    # what is in a circle has no top
        left = [(top, 0)]
        while left:
            group, depth = left.pop()
            if group.name not in found:
                found[group.name] = group, depth
                left += [(child, depth + 1) for child in reversed(below[group.name])]
    return list(found.values())


def _there(member: BalanceMember, hour: int) -> bool:
    return member.valid_from <= hour and (member.valid_to is None or hour < member.valid_to)
