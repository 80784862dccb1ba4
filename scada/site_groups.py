"""What counts in the sum of a balance group: points and child feeds, each once, with hours and sign. Pure.

A member that is a group counts with what went into it where it has a feed, else with its own members. Whatever has been
measured by another meter that counts (the feed of a group it is in, or the meter it is a sub-meter of) does not count
again in those hours.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final, TypeAlias

import attrs

from scada.site import BalanceGroup, BalanceMember, Directory, MemberRole, MeterPeriod

EVER: Final = 2**40                     # hour; the end of a period that has none
Span: TypeAlias = tuple[int, int]       # first hour and the one behind the last [h since 1970]
Key: TypeAlias = tuple[str, str]        # (metering point, "") or ("", tag of an energy register)
ALWAYS: Final[tuple[Span, ...]] = ((0, EVER),)


@attrs.frozen
class Part:
    """One meter of a sum."""

    key: Key
    spans: tuple[Span, ...]             # hours in which it is a member, ascending
    role: MemberRole
    sign: int                           # -1: generation
    group: str = ""                     # the child group whose feed it is
    hidden: tuple[Span, ...] = ()       # hours in which another meter has it in its count
    hidden_by: tuple[str, ...] = ()     # their points or tags
    ways: int = 1                       # so many memberships lead to it in one hour
    clash: bool = False                 # and they disagree: it consumes and generates

    @property
    def point(self) -> str:
        """"" for a register."""
        return self.key[0]

    @property
    def name(self) -> str:
        return self.key[0] or self.key[1]

    @property
    def counting(self) -> tuple[Span, ...]:
        """The hours in which it counts."""
        return tuple(without(self.spans, self.hidden)) if self.hidden else self.spans

    @property
    def plain(self) -> bool:
        """A point that always counts as consumption."""
        return bool(self.point) and not self.group and self.counting == ALWAYS and self.role is MemberRole.CONSUMPTION


@attrs.frozen
class Sum:
    """The sum of one group."""

    parts: tuple[Part, ...]
    own: tuple[tuple[BalanceGroup, tuple[Span, ...]], ...]      # it and the groups in it without a feed of their own

    @cached_property
    def points(self) -> tuple[str, ...]:
        """Metering points that count in some hour, also unknown ones."""
        return tuple(part.point for part in self.parts if part.point and part.counting)


def sum_of(directory: Directory, group: BalanceGroup) -> Sum:
    """Return what counts in a group; worked out once for each content of the registry, and kept with its look-ups."""
    if directory.balance_group.get(group.name) is not group:        # one that is only being thought of
        return _Walk(directory, group).result()
    found: Sum | None = directory.sums.get(group.name)
    if found is None:
        found = directory.sums[group.name] = _Walk(directory, group).result()
    return found


def points_of(directory: Directory, group: BalanceGroup) -> tuple[str, ...]:
    """The metering points that count in a group in some hour: its members, theirs, or what feeds them."""
    return sum_of(directory, group).points


def metered(directory: Directory, whole: Sum) -> list[tuple[MeterPeriod, int, int, int]]:
    """The meters of the points of a sum, each with the hours in which it counts (first, behind the last) and its sign."""
    return [
        (period, first, last, part.sign)
        for part in whole.parts if part.point
        for period in directory.meters_of_point.get(part.point, ())
        for first, last in common(
            part.counting, [(period.valid_from, EVER if period.valid_to is None else period.valid_to)]
        )
    ]


def feed_key(group: BalanceGroup) -> Key:
    return (group.feed_point, "") if group.feed_point else ("", group.feed_tag)


def parents(directory: Directory, group: str) -> set[str]:
    """The groups in whose sums a group's feed may count: up to and with the next one that has a feed of its own."""
    found: set[str] = set()
    climb = [group]
    while climb:
        for one in directory.memberships.get(climb.pop(), ()):
            above = directory.balance_group.get(one.group)
            if above is not None and above.name not in found:
                found.add(above.name)
                if not above.fed:
                    climb.append(above.name)
    return found


def cycle_through(directory: Directory, group: str) -> tuple[str, ...]:
    """The way from a group through its members back to itself; () if there is none."""
    seen: set[str] = set()
    trail: list[tuple[str, ...]] = [(group,)]
    while trail:
        way = trail.pop()
        for one in directory.members_of_group.get(way[-1], ()):
            if one.member == group:
                return (*way, group)
            if one.member in directory.balance_group and one.member not in seen:
                seen.add(one.member)
                trail.append((*way, one.member))
    return ()


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same hours in as few spans as possible, ascending."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        elif first < last:
            found.append((first, last))
    return found


def common(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The hours that are in both."""
    if len(one) == len(other) == 1:                         # nearly always, and asked a million times in a city
        first, last = max(one[0][0], other[0][0]), min(one[0][1], other[0][1])
        return [(first, last)] if first < last else []
    return joined((max(a, c), min(b, d)) for a, b in one for c, d in other if max(a, c) < min(b, d))


def without(spans: Sequence[Span], gone: Sequence[Span]) -> list[Span]:
    """The hours of some spans that are in none of others."""
    left = joined(spans)
    for begin, end in gone:
        if begin >= end:
            continue
        cut = [part for first, last in left for part in ((first, min(last, begin)), (max(first, end), last))]
        left = [(first, last) for first, last in cut if first < last]
    return left


# ---------------------------------------------------------------------- private
def _span(member: BalanceMember) -> Span:
    return member.valid_from, EVER if member.valid_to is None else member.valid_to


class _Walk:
    """One way down from a group to what counts in it, then up from each of these to what may have counted it already."""

    def __init__(self, directory: Directory, group: BalanceGroup) -> None:
        self._of, self._root = directory, group
        self._found: dict[Key, Part] = {}
        self._own: dict[str, list[Span]] = {}
        self._hiding: dict[str, list[tuple[Key, Span]]] = {}        # by group: the feeds above its members, and its own

    def result(self) -> Sum:
        self._down(self._root, list(ALWAYS), MemberRole.CONSUMPTION, 1, frozenset({self._root.name}))
        parts = tuple(self._hidden(part) for part in self._found.values())
        own = tuple((self._of.balance_group[name], tuple(joined(spans))) for name, spans in self._own.items())
        return Sum(parts, own)

    def _down(
        self, group: BalanceGroup, spans: list[Span], role: MemberRole, sign: int, path: frozenset[str]
    ) -> None:
        self._own.setdefault(group.name, []).extend(spans)
        for one in self._of.members_of_group.get(group.name, ()):
            during = common(spans, [_span(one)])
            if not during:
                continue
            its = role if one.role is MemberRole.CONSUMPTION else one.role
            its_sign = -sign if one.role is MemberRole.GENERATION else sign
            child = None if one.member in self._of.point else self._of.balance_group.get(one.member)
            if child is None:
                self._count(Part((one.member, ""), tuple(during), its, its_sign))
            elif child.fed:
                self._count(Part(feed_key(child), tuple(during), its, its_sign, child.name))
            elif child.name not in path:                    # the import refuses a circle; a walk must end all the same
                self._down(child, during, its, its_sign, path | {child.name})

    def _count(self, part: Part) -> None:
        before = self._found.get(part.key)
        if before is not None:
            part = attrs.evolve(
                before, spans=tuple(joined((*before.spans, *part.spans))),
                ways=before.ways + bool(common(before.spans, part.spans)),
                group=before.group or part.group, clash=before.clash or before.sign != part.sign,
            )
        self._found[part.key] = part

    def _hidden(self, part: Part) -> Part:
        over = self._over_point(part.point, frozenset()) if part.point else self._over_group(part.group, frozenset())
        if part.point and part.group:
            over = [*over, *self._over_group(part.group, frozenset())]
        over = [(key, span) for key, span in over if key != part.key]
        if not over:
            return part
        spans = tuple(joined(span for _, span in over))
        names = tuple(sorted({key[0] or key[1] for key, span in over if common(part.spans, [span])}))
        return attrs.evolve(part, hidden=spans, hidden_by=names)

    def _over_point(self, name: str, path: frozenset[str]) -> list[tuple[Key, Span]]:
        """Which counted meters have this point in their count, and when."""
        if name in path:
            return []
        found = self._above(name)
        point = self._of.point.get(name)
        if point is not None and point.sub_meter_of:
            main = self._found.get((point.sub_meter_of, ""))
            found += [(main.key, span) for span in main.spans] if main is not None else []
            found += self._over_point(point.sub_meter_of, path | {name})
        return found

    def _over_group(self, name: str, path: frozenset[str]) -> list[tuple[Key, Span]]:
        """The same of a group: of its feed, if that counts, and of the groups it is in."""
        group = self._of.balance_group.get(name)
        if group is None or name == self._root.name or name in path:
            return []
        if name not in self._hiding:
            its = self._found.get(feed_key(group)) if group.fed else None
            found = [(its.key, span) for span in its.spans] if its is not None else []
            self._hiding[name] = found + self._above(name, path | {name})
        return self._hiding[name]

    def _above(self, member: str, path: frozenset[str] = frozenset()) -> list[tuple[Key, Span]]:
        return [
            (key, both)
            for one in self._of.memberships.get(member, ())
            for key, span in self._over_group(one.group, path)
            for both in common([span], [_span(one)])
        ]
