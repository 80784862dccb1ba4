"""Which balance groups a commit or a change of the registry touches, and the tags a group shows."""

from collections.abc import Iterable, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.clock import HOUR_S, NS
from scada.intervals import Mark, News
from scada.ports import IntervalReader
from scada.site import UNIT_OF_MEDIUM, BalanceGroup, Directory, MeterPeriod
from scada.tags import Device, Limits, TagDef

STALE_AFTER: Final = 26 * HOUR_S * NS   # a day's archive, and two hours for the radio to bring it


@attrs.frozen(eq=False)
class Membership:
    """Every meter that counts in a group, as columns: a point in two groups has two rows."""

    groups: tuple[BalanceGroup, ...]
    meters: tuple[tuple[MeterPeriod, ...], ...]            # of each group: what its past is computed from
    eui: NDArray[np.uint64]                 # (m,)
    channel: NDArray[np.uint8]              # (m,)
    group: NDArray[np.intp]                 # (m,) index into `groups`

    def touched(self, slots: NDArray[np.int64], mark: Mark) -> NDArray[np.intp]:
        """The groups whose members or feed a commit brought; `slots` are those of the m meters."""
        return distinct(self.group[np.isin(slots, mark.slots) & (slots >= 0)])

    def changed_since(self, before: "Membership") -> tuple[BalanceGroup, ...]:
        """Groups that are new, or whose members, feed or meters are others than before."""
        old = {group.name: (group, meters) for group, meters in zip(before.groups, before.meters, strict=True)}
        return tuple(
            group for group, meters in zip(self.groups, self.meters, strict=True) if old.get(group.name) != (group, meters)
        )


def membership(directory: Directory) -> Membership:
    """Return who counts where."""
    groups = directory.site.balance_groups
    meters = tuple(
        tuple(
            period
            for point in (*group.members, *filter(None, [group.feed_point]))
            for period in directory.meters_of_point.get(point, ())
        )
        for group in groups
    )
    flat = [(period.eui, period.channel, index) for index, periods in enumerate(meters) for period in periods]
    return Membership(
        groups, meters,
        np.array([row[0] for row in flat], dtype=np.uint64),
        np.array([row[1] for row in flat], dtype=np.uint8),
        np.array([row[2] for row in flat], dtype=np.intp),
    )


def due_by(
    intervals: IntervalReader, membership: Membership, news: Iterable[News]
) -> dict[str, list[NDArray[np.int64]]]:
    """Return the hours of each group that news touches. [h since 1970]"""
    slots = intervals.slots(membership.eui, membership.channel)
    found: dict[str, list[NDArray[np.int64]]] = {}
    for one in news:
        for mark in one.marks:
            for index in membership.touched(slots, mark).tolist():
                found.setdefault(membership.groups[index].name, []).append(hours_of(mark))
    return {name: [single_hours(parts)] for name, parts in found.items()}


def hours_of(mark: Mark) -> NDArray[np.int64]:
    """The full hours a commit touched. [h since 1970]"""
    first = mark.first * mark.interval_s // HOUR_S
    last = ((mark.first + mark.intervals) * mark.interval_s - 1) // HOUR_S
    return np.arange(first, last + 1, dtype=np.int64)


def device(directory: Directory, group: BalanceGroup) -> Device:
    """The tags of the newest whole hour; only the completeness speaks of the newest closed one."""
    unit = UNIT_OF_MEDIUM[group.medium]
    limits = Limits(low=-group.limit_percent, high=group.limit_percent, hysteresis=group.limit_percent / 20)
    transformer = directory.transformer.get(group.transformer)
    tags: Sequence[TagDef] = (
        TagDef("feed", unit, "Fed in", digits=2),
        TagDef("members", unit, "Sum of the members", digits=2),
        TagDef("imbalance", unit, "Imbalance", digits=2),
        TagDef("imbalance_percent", "%", "Imbalance, share of the feed", limits=limits),
        TagDef("uncertainty", unit, "Uncertainty of the imbalance (half-width)", digits=2),
        TagDef("completeness", "%", "Completeness of the latest closed hour"),
    )
    return Device(
        group.name,
        tuple(attrs.evolve(tag, stale_after=STALE_AFTER) for tag in tags),
        ("Balance",),
        group.title or group.name,
        transformer.area if transformer is not None else "",
    )


def single_hours(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Several lists of hours as one, ascending, each hour once."""
    return distinct(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)
