"""What a group's balances are computed from in the registry, and which hours a change of it touches. Pure."""

import itertools
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import attrs

from scada.clock import DAY_H
from scada.site import BalanceGroup, Directory

LOOK_BACK_H: Final = 7 * DAY_H          # at least, of a group that is new: its feed may be older than its members' hours
EVER: Final = 2**40                     # hour; the end of a period that has none
Span: TypeAlias = tuple[int, int]       # first hour and the one behind the last
Period: TypeAlias = tuple[int, int, float, int, int]        # EUI, channel, pulses per unit, and its span


@attrs.frozen
class Basis:
    """Two groups that have the same one have the same balances."""

    medium: str
    feed_tag: str
    feed_point: str
    members: tuple[str, ...]            # sorted
    meters: tuple[tuple[str, tuple[Period, ...]], ...]      # of the feed and the members that have any, sorted

    @classmethod
    def of(cls, directory: Directory, group: BalanceGroup) -> "Basis":
        points = sorted({*group.members, *filter(None, [group.feed_point])} & directory.point.keys())
        meters = tuple(
            (point, tuple(sorted(
                (one.eui, one.channel, one.pulses_per_unit, one.valid_from, EVER if one.valid_to is None else one.valid_to)
                for one in periods
            )))
            for point in points if (periods := directory.meters_of_point.get(point, ()))
        )
        return cls(group.medium.value, group.feed_tag, group.feed_point, tuple(sorted(group.members)), meters)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Basis":
        meters = tuple((point, tuple(tuple(one) for one in periods)) for point, periods in found.pop("meters"))
        return cls(**{**found, "members": tuple(found["members"]), "meters": meters})


def touched(before: Basis | None, after: Basis, since: int | None, now: int) -> list[Span]:
    """
    Return the closed hours whose balances a change may alter.

    Parameters
    ----------
    before, after : Basis
        Of one group; None before it was there.
    since : int or None
        No interval is held before this hour; None where none is held at all. [h since 1970]
    now : int
        The hour that is running. [h since 1970]
    """
    begin = min(now if since is None else since, now - LOOK_BACK_H)
    old, new = dict(before.meters if before else ()), dict(after.meters)
    if before is None or _of_every_hour(before) != _of_every_hour(after):
        first = min([one[3] for periods in (*old.values(), *new.values()) for one in periods], default=begin)
        return _within([(min(first, now - LOOK_BACK_H), now)], begin, now)
    found: list[Span] = []
    for point in old.keys() | new.keys():
        if old.get(point) != new.get(point):
            found += _differing(old.get(point, ()), new.get(point, ()))
    return _within(found, begin, now)


def joined(spans: Sequence[Span]) -> list[Span]:
    """The same hours in as few spans as possible, ascending."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        elif first < last:
            found.append((first, last))
    return found


def without(spans: Sequence[Span], gone: Span) -> list[Span]:
    """The hours of some spans that are not in another one."""
    parts = [part for first, last in spans for part in ((first, min(last, gone[0])), (max(first, gone[1]), last))]
    return joined([(first, last) for first, last in parts if first < last])


# ---------------------------------------------------------------------- private
def _of_every_hour(basis: Basis) -> tuple[object, ...]:
    """What enters each hour's balance: of a point's meters the coarsest pulse, whenever it hung there."""
    pulses = tuple((point, min(one[2] for one in periods)) for point, periods in basis.meters)
    return basis.medium, basis.feed_tag, basis.feed_point, basis.members, pulses


def _differing(old: Sequence[Period], new: Sequence[Period]) -> list[Span]:
    """Hours in which other channels measure a point, or by another constant."""
    edges = sorted({edge for one in (*old, *new) for edge in one[3:]})
    return [
        (first, last) for first, last in itertools.pairwise(edges)
        if _measuring(old, first) != _measuring(new, first)
    ]


def _measuring(periods: Sequence[Period], hour: int) -> list[tuple[int, int, float]]:
    return sorted(one[:3] for one in periods if one[3] <= hour < one[4])


def _within(spans: Sequence[Span], begin: int, end: int) -> list[Span]:
    return joined([(max(first, begin), min(last, end)) for first, last in spans])
