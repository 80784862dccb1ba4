"""Which balance groups a commit or a change of the registry touches, and the tags a group shows."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.clock import HOUR_S, NS
from scada.intervals import Mark, News
from scada.ports import IntervalReader
from scada.site import UNIT_OF_MEDIUM, BalanceGroup, Directory, MeterPeriod
from scada.site_groups import Sum, sum_of
from scada.tags import Device, Limits, TagDef

STALE_AFTER: Final = 26 * HOUR_S * NS   # a day's archive, and two hours for the radio to bring it


@attrs.frozen(eq=False)
class Membership:
    """Every meter that counts in a group, as columns: a point that counts in two groups, or in a parent, has two rows."""

    groups: tuple[BalanceGroup, ...]
    sums: tuple[Sum, ...]                   # of each group: who counts
    meters: tuple[tuple[MeterPeriod, ...], ...]            # of each group: what its past is computed from
    eui: NDArray[np.uint64]                 # (m,)
    channel: NDArray[np.uint8]              # (m,)
    group: NDArray[np.intp]                 # (m,) index into `groups`
    places: "Places"

    @cached_property
    def size(self) -> dict[str, int]:
        """How many points count in each group, by name."""
        return {group.name: len(one.points) for group, one in zip(self.groups, self.sums, strict=True)}

    def touched(self, intervals: IntervalReader, marks: Sequence[Mark]) -> list[NDArray[np.intp]]:
        """Of each commit the groups whose members or feed it brought."""
        slots, group = self.places.of(intervals, self.eui, self.channel, self.group)
        found = []
        for mark in marks:
            brought = distinct(mark.slots)
            first, last = np.searchsorted(slots, brought), np.searchsorted(slots, brought, side="right")
            sizes = last - first
            rows = np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
            found.append(distinct(group[rows]))
        return found


class Places:
    """Where meters stand in the store: slots are permanent, so those that were found are not looked for again."""

    def __init__(self) -> None:
        self._slots = np.full(0, -1, dtype=np.int64)
        self._sorted = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.intp)

    def of(
        self, intervals: IntervalReader, eui: NDArray[np.uint64], channel: NDArray[np.uint8], group: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Slots of the meters that have one, ascending, and the group of each."""
        if len(self._slots) != len(eui):
            self._slots = np.full(len(eui), -1, dtype=np.int64)
        unseen = np.flatnonzero(self._slots < 0)
        if len(unseen):
            slots = intervals.slots(eui[unseen], channel[unseen])
            if (slots >= 0).any():
                self._slots[unseen] = slots
                order = np.argsort(self._slots, kind="stable")
                order = order[np.searchsorted(self._slots[order], 0):]
                self._sorted = self._slots[order], group[order]
        return self._sorted


def membership(directory: Directory) -> Membership:
    """Return who counts where."""
    groups = directory.site.balance_groups
    sums = tuple(sum_of(directory, group) for group in groups)
    meters = tuple(
        tuple(
            period
            for point in (*whole.points, *filter(None, [group.feed_point]))
            for period in directory.meters_of_point.get(point, ())
        )
        for group, whole in zip(groups, sums, strict=True)
    )
    flat = [(period.eui, period.channel, index) for index, periods in enumerate(meters) for period in periods]
    return Membership(
        groups, sums, meters,
        np.array([row[0] for row in flat], dtype=np.uint64),
        np.array([row[1] for row in flat], dtype=np.uint8),
        np.array([row[2] for row in flat], dtype=np.intp),
        Places(),
    )


def due_by(
    intervals: IntervalReader, membership: Membership, news: Iterable[News]
) -> dict[str, list[NDArray[np.int64]]]:
    """Return the hours of each group that news touches. [h since 1970]"""
    marks = [mark for one in news for mark in one.marks]
    found: dict[int, list[int]] = {}                        # by group, which of the marks
    for number, groups in enumerate(membership.touched(intervals, marks)):
        for index in groups.tolist():
            found.setdefault(index, []).append(number)
    hours = [hours_of(mark) for mark in marks]
    lists: dict[tuple[bytes, ...], NDArray[np.int64]] = {}  # groups that are touched in the same hours share one list
    due: dict[str, list[NDArray[np.int64]]] = {}
    for index in sorted(found):
        key = tuple(dict.fromkeys(hours[number].tobytes() for number in found[index]))
        if key not in lists:
            lists[key] = single_hours([hours[number] for number in found[index]])
        due[membership.groups[index].name] = [lists[key]]
    return due


def hours_of(mark: Mark) -> NDArray[np.int64]:
    """The full hours a commit touched. [h since 1970]"""
    first = mark.first * mark.interval_s // HOUR_S
    last = ((mark.first + mark.intervals) * mark.interval_s - 1) // HOUR_S
    return np.arange(first, last + 1, dtype=np.int64)


def device(directory: Directory, group: BalanceGroup) -> Device:
    """The tags of the newest whole hour; only the completeness speaks of the newest closed one."""
    unit = UNIT_OF_MEDIUM[group.medium]
    # the whole imbalance: what is lost as usual is in it
    limits = Limits(low=-group.limit, high=group.limit + 100 * group.normal_share, hysteresis=group.limit / 20)
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
