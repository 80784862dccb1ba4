"""Sums over the members of balance groups, hour by hour: one read of all channels, no loop over meters. Pure.

Generation counts negatively, and a child group by the pulses of what feeds it. One that is fed by a register on the bus is
expected and never present: its energy is in balances alone, so such a sum is never called whole.
"""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.intervals import MISSING
from scada.metering.quantities import DEAD_LINE
from scada.ports import GroupSums, IntervalReader
from scada.site import UNIT_OF_MEDIUM, Directory
from scada.site_groups import ALWAYS, metered, sum_of

MOST_CELLS: Final = 4_000_000           # channel-hours that are read at once: 40 MB


@attrs.frozen(eq=False)
class Members:
    """The meters of all members of some groups as columns, one group after the other."""

    groups: tuple[str, ...]
    units: tuple[str, ...]
    expected: NDArray[np.int64]             # (g,) members that always count, also those without a meter
    start: NDArray[np.int64]                # (g + 1,) where each group's rows begin
    eui: NDArray[np.uint64]                 # (s,)
    channel: NDArray[np.uint8]              # (s,)
    per_unit: NDArray[np.float64]           # (s,) pulses per kWh or m³; negative for generation
    begin: NDArray[np.int64]                # (s,) first hour
    end: NDArray[np.int64]                  # (s,) hour after the last
    slots: NDArray[np.int64] | None = None  # (s,) where they are known already; one that is -1 may come yet
    passing: NDArray[np.int64] = attrs.field(factory=lambda: np.empty((0, 3), np.int64))
    # (p, 3) members that do not always count: group, first hour and the one behind the last

    def expected_in(self, first_hour: int, hours: int) -> NDArray[np.int64]:
        """(g, hours) members there should be."""
        edges = np.zeros((len(self.groups), hours + 1), dtype=np.int64)
        edges[:, 0] = self.expected
        for column, step in ((1, 1), (2, -1)):
            np.add.at(edges, (self.passing[:, 0], np.clip(self.passing[:, column] - first_hour, 0, hours)), step)
        return np.asarray(np.cumsum(edges, axis=1)[:, :hours])

    def of(self, groups: Sequence[str]) -> "Members":
        """Those of some groups, in the order asked."""
        if tuple(groups) == self.groups:
            return self
        place = {name: number for number, name in enumerate(self.groups)}
        which = np.array([place[name] for name in groups], dtype=np.int64)
        sizes = np.diff(self.start)[which]
        start = np.concatenate(([0], np.cumsum(sizes)))
        rows = np.repeat(self.start[which] - start[:-1], sizes) + np.arange(start[-1])
        return Members(
            tuple(groups), tuple(self.units[one] for one in which.tolist()), self.expected[which], start, self.eui[rows],
            self.channel[rows], self.per_unit[rows], self.begin[rows], self.end[rows],
            None if self.slots is None else self.slots[rows],
            np.concatenate([np.empty((0, 3), np.int64), *(
                np.column_stack((np.full(len(some), number), some[:, 1:]))
                for number, one in enumerate(which.tolist()) if len(some := self.passing[self.passing[:, 0] == one])
            )]),
        )

    def found(self, intervals: IntervalReader) -> "Members":
        """With the slots of all of them: slots are permanent, so it is enough to ask again for those not seen yet."""
        if self.slots is not None and (self.slots >= 0).all():
            return self
        return attrs.evolve(self, slots=intervals.slots(self.eui, self.channel))


def members_of(directory: Directory) -> Members:
    """Of every balance group. A walk over all meters: once for each content of the registry."""
    groups = directory.site.balance_groups
    sums = [sum_of(directory, group) for group in groups]
    rows = [metered(directory, one) for one in sums]
    flat = [row for its in rows for row in its]
    return Members(
        tuple(group.name for group in groups), tuple(UNIT_OF_MEDIUM[group.medium] for group in groups),
        np.array([sum(part.counting == ALWAYS for part in one.parts) for one in sums], dtype=np.int64),
        np.concatenate(([0], np.cumsum([len(its) for its in rows], dtype=np.int64))).astype(np.int64),
        np.array([one.eui for one, *_ in flat], dtype=np.uint64),
        np.array([one.channel for one, *_ in flat], dtype=np.uint8),
        np.array([sign * one.pulses_per_unit for one, _, _, sign in flat], dtype=np.float64),
        np.array([first for _, first, _, _ in flat], dtype=np.int64),
        np.array([last for _, _, last, _ in flat], dtype=np.int64),
        passing=np.array([
            (number, *span) for number, one in enumerate(sums) for part in one.parts if part.counting != ALWAYS
            for span in part.counting
        ], dtype=np.int64).reshape(-1, 3),
    )


def group_sums(members: Members, intervals: IntervalReader, first_hour: int, hours: int) -> GroupSums:
    """
    Return what the members of groups took together, hour by hour.

    Parameters
    ----------
    members : Members
        g groups.
    intervals : IntervalReader
        Where the pulses are. Blocking.
    first_hour, hours : int
        The range. [h since 1970], [h]
    """
    slots = members.found(intervals).slots
    assert slots is not None
    sums = np.full((len(members.groups), hours), np.nan)
    present = np.zeros((len(members.groups), hours), np.int64)
    step = max(MOST_CELLS // max(len(slots), 1), 1)
    for begin in range(0, hours, step):
        part = slice(begin, min(begin + step, hours))
        sums[:, part], present[:, part] = _part(members, intervals, slots, first_hour + begin, part.stop - begin)
    return GroupSums(members.groups, members.units, first_hour, sums, present, members.expected_in(first_hour, hours))


def _part(
    members: Members, intervals: IntervalReader, slots: NDArray[np.int64], first: int, hours: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(g, hours) sums, NaN where nobody is present, and how many are."""
    series = intervals.read(slots, first, hours)
    counts = series.counts
    there = counts != MISSING
    if series.status.any():
        there &= (series.status & DEAD_LINE) == 0
    if len(slots) and (int(members.begin.max()) > first or int(members.end.min()) < first + hours):
        hour = first + np.arange(hours, dtype=np.int64)
        there &= (hour >= members.begin[:, None]) & (hour < members.end[:, None])
    every = bool(there.all())
    values = counts / members.per_unit[:, None] if every else np.where(there, counts, 0) / members.per_unit[:, None]
    sums = _by_group(values, members.start)
    if every:
        present = np.broadcast_to(np.diff(members.start)[:, None], sums.shape)
    else:
        present = _by_group(there.view(np.uint8), members.start).astype(np.int64)
    return np.where(present > 0, sums, np.nan), present


def _by_group(values: NDArray[np.float64] | NDArray[np.uint8], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of the rows of each group; 0 for one without rows, which `reduceat` alone would not give."""
    found = np.zeros((len(start) - 1, values.shape[1]))
    some = np.flatnonzero(np.diff(start))
    if len(some):
        kind = np.float64 if values.dtype == np.float64 else np.int64
        found[some] = np.add.reduceat(values, start[some], axis=0, dtype=kind)
    return found
