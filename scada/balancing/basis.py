"""What a group's balances are computed from in the registry, and which hours a change of it touches. Pure."""

import itertools
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import attrs

from scada.clock import DAY_H
from scada.site import BalanceGroup, Directory
from scada.site_groups import EVER, Span, joined, sum_of

LOOK_BACK_H: Final = 7 * DAY_H          # at least, of a group that is new: its feed may be older than its members' hours
LOSSES_BACK_H: Final = 31 * DAY_H       # of a network that is new or has changed; further back somebody has to ask
Period: TypeAlias = tuple[int, int, float, int, int]        # EUI, channel, pulses per unit, and its span


@attrs.frozen
class Basis:
    """Two groups that have the same one have the same balances."""

    medium: str
    feed_tag: str
    feed_point: str
    members: tuple[str, ...]            # points that always count as consumption, sorted
    meters: tuple[tuple[str, tuple[Period, ...]], ...]      # of the feed and the members that have any, sorted
    parts: tuple[tuple[str, str, int, str, tuple[Span, ...]], ...] = ()     # what counts otherwise, sorted
    own: tuple[tuple[float, float, tuple[Span, ...]], ...] = ()             # own consumption [W], [W a meter]
    classes: tuple[tuple[str, int, float], ...] = ()        # point, first hour, of meters that are not of class 1
    network: str = ""                   # digest of the network whose losses are deducted; "" = none is

    @classmethod
    def of(cls, directory: Directory, group: BalanceGroup, network: str = "") -> "Basis":
        whole = sum_of(directory, group)
        points = sorted({*whole.points, *filter(None, [group.feed_point])} & directory.point.keys())
        meters = tuple(
            (point, tuple(sorted(
                (one.eui, one.channel, one.pulses_per_unit, one.valid_from, EVER if one.valid_to is None else one.valid_to)
                for one in periods
            )))
            for point in points if (periods := directory.meters_of_point.get(point, ()))
        )
        return cls(
            group.medium.value, group.feed_tag, group.feed_point,
            tuple(sorted(part.point for part in whole.parts if part.plain)), meters,
            tuple(sorted(
                (*part.key, part.sign, part.role.value, part.counting) for part in whole.parts if not part.plain
            )),
            tuple(sorted(
                (one.metering_w, one.metering_w_each, spans) for one, spans in whole.own
                if one.metering_w or one.metering_w_each
            )),
            tuple(
                (point, one.valid_from, one.accuracy_class)
                for point in points for one in directory.meters_of_point.get(point, ()) if one.accuracy_class != 1.0
            ),
            network,
        )

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Basis":
        return cls(**{name: _frozen(value) for name, value in found.items()})


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
    found: list[Span] = [(now - LOSSES_BACK_H, now)] if before.network != after.network else []
    for point in old.keys() | new.keys():
        if old.get(point) != new.get(point):
            found += _differing(old.get(point, ()), new.get(point, ()))
    return _within(found, begin, now)


# ---------------------------------------------------------------------- private
def _of_every_hour(basis: Basis) -> tuple[object, ...]:
    """What enters each hour's balance: of a point's meters the coarsest pulse, whenever it hung there."""
    pulses = tuple((point, min(one[2] for one in periods)) for point, periods in basis.meters)
    return (
        basis.medium, basis.feed_tag, basis.feed_point, basis.members, pulses, basis.parts, basis.own, basis.classes,
    )


def _frozen(value: Any) -> Any:
    """What JSON has as lists."""
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value


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
