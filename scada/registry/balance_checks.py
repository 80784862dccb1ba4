"""What balance groups must fulfil: no circle, one medium, each meter counted once. Pure; names every problem at once."""

from collections.abc import Iterator

from scada.registry.findings import Finding
from scada.registry.kinds import hour_text
from scada.site import BalanceGroup, BalanceMember, Directory, Medium, Site
from scada.site_groups import EVER, cycle_through, feed_key, sum_of

MOST_NAMED = 5                          # meters in one sentence


def balances(site: Site) -> Iterator[Finding]:
    """Every error and warning about balance groups and their members; unknown names are told elsewhere."""
    directory = Directory(site)
    for position, point in enumerate(site.points):
        yield from _sub_meter(directory, position, point.name)
    for position, group in enumerate(site.balance_groups):
        yield from _group(directory, position, group)
        for member in group.members:
            yield from _fits(directory, "balance_groups", position, "members", group, member)
    yield from _members(directory, site.balance_members)


def _sub_meter(directory: Directory, position: int, name: str) -> Iterator[Finding]:
    point = directory.point[name]
    main = directory.point.get(point.sub_meter_of)
    if main is None:
        return
    way = [name]
    while main is not None and main.name not in way:
        way.append(main.name)
        main = directory.point.get(main.sub_meter_of)
    if main is not None and main.name == name:
        text = f"{' in '.join([*way, name])}: a circle; expected a meter that no sub-meter of its own measures"
        yield Finding("points", position, "sub_meter_of", text)
    main = directory.point[point.sub_meter_of]
    if main.medium is not point.medium:
        yield Finding("points", position, "sub_meter_of", f"{main.name} measures {main.medium}; expected {point.medium}")


def _group(directory: Directory, position: int, group: BalanceGroup) -> Iterator[Finding]:
    def found(field: str, text: str, *, warning: bool = False) -> Finding:
        return Finding("balance_groups", position, field, text, warning=warning)

    if group.feed_tag and group.feed_point:
        yield found("feed_point", "expected feed_tag or feed_point, not both")
    if not group.fed:
        yield found("feed_tag", "has neither feed_tag nor feed_point: no balance can be made", warning=True)
    feed = directory.point.get(group.feed_point)
    if feed is not None and feed.medium is not group.medium:
        yield found("feed_point", f"point {feed.name} measures {feed.medium}; expected {group.medium}")
    if group.medium is not Medium.ELECTRICITY and (group.metering_w or group.metering_w_each):
        yield found("metering_w", f"own consumption in W of a group of {group.medium}; expected 0")
    if circle := cycle_through(directory, group.name):
        yield found("members", f"{' > '.join(circle)}: a circle; expected groups that do not hold themselves")
        return
    whole = sum_of(directory, group)
    if group.fed and any(part.key == feed_key(group) for part in whole.parts):
        yield found("feed_point" if group.feed_point else "feed_tag", "is a member too; expected another point")
    twice = [part.name for part in whole.parts if part.ways > 1]
    hidden = [f"{part.name} (in {', '.join(part.hidden_by)})" for part in whole.parts if part.hidden_by]
    if clash := [part.name for part in whole.parts if part.clash]:
        yield found("members", f"{_some(clash)} counts both as consumption and as generation; expected one of them")
    if twice:
        yield found("members", f"{_some(twice)} is in it by more than one way: counted once", warning=True)
    if hidden:
        yield found("members", f"{_some(hidden)} is measured by another meter of the group too: counted once", warning=True)


def _fits(
    directory: Directory, kind: str, position: int, field: str, group: BalanceGroup, member: str
) -> Iterator[Finding]:
    point, child = directory.point.get(member), directory.balance_group.get(member)
    if point is not None and child is not None:
        yield Finding(kind, position, field, f"{member} is a point and a balance group; expected one of that name")
    elif point is not None and point.medium is not group.medium:
        yield Finding(kind, position, field, f"point {member} measures {point.medium}; expected {group.medium}")
    elif child is not None and child.medium is not group.medium:
        yield Finding(kind, position, field, f"balance group {member} is of {child.medium}; expected {group.medium}")


def _members(directory: Directory, members: tuple[BalanceMember, ...]) -> Iterator[Finding]:
    last: dict[tuple[str, str], BalanceMember] = {}
    for position in sorted(range(len(members)), key=lambda position: members[position].valid_from):
        one = members[position]
        if one.valid_to is not None and one.valid_to <= one.valid_from:
            yield Finding("balance_members", position, "valid_to", "expected an hour after valid_from")
        group = directory.balance_group.get(one.group)
        if group is None:
            continue
        yield from _fits(directory, "balance_members", position, "member", group, one.member)
        if one.member in group.members:
            text = f"{one.member} is always a member of {group.name}; expected it in one of the two places"
            yield Finding("balance_members", position, "member", text)
        earlier = last.get((one.group, one.member))
        if earlier is not None and _end(earlier) > one.valid_from:
            end = "open" if earlier.valid_to is None else hour_text(earlier.valid_to)
            text = f"overlaps its membership from {hour_text(earlier.valid_from)} to {end}; expected one at a time"
            yield Finding("balance_members", position, "valid_from", text)
        if earlier is None or _end(one) > _end(earlier):
            last[one.group, one.member] = one


def _end(member: BalanceMember) -> int:
    return EVER if member.valid_to is None else member.valid_to


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
