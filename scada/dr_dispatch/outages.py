"""The times for which loads are off, or may be: what limits are counted on, always on the safe side."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, overload

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.commands import TIMED, Action, MemberState
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.members import Terms
from scada.dr_dispatch.roll import Roll

ANSWER_MARGIN_S: Final = 120            # site time a report may still take on its way after `not_after`


@attrs.frozen
class Outage:
    """A time for which a load was off, or may have been."""

    eui: int
    command: bytes
    begin: int                          # ns, site time
    end: int                            # ns, site time, exclusive


@attrs.frozen(eq=False)
class Outages(Sequence[Outage]):
    """Those of one command, as columns."""

    command: bytes
    euis: NDArray[np.uint64]
    begin: NDArray[np.int64]            # ns, site time
    end: NDArray[np.int64]              # ns, site time, exclusive
    roll: Roll | None = None            # whose members they are,
    rows: NDArray[np.int64] | None = None   # and where they stand there

    @classmethod
    def of(cls, outages: Iterable[Outage]) -> "Outages":
        rows = tuple(outages)
        return cls(
            rows[0].command if rows else b"", np.array([one.eui for one in rows], dtype=np.uint64),
            np.array([one.begin for one in rows], dtype=np.int64), np.array([one.end for one in rows], dtype=np.int64),
        )

    def places_in(self, roll: Roll) -> NDArray[np.int64]:
        """Where the members stand in another roll; -1 for who is not in it."""
        if self.rows is not None and self.roll is not None and (self.roll is roll or self.roll.digest == roll.digest):
            return self.rows
        return roll.places_of(self.euis)

    @overload
    def __getitem__(self, at: int) -> Outage: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Outage]: ...

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(*at.indices(len(self))))
        return Outage(int(self.euis[at]), self.command, int(self.begin[at]), int(self.end[at]))

    def __iter__(self) -> Iterator[Outage]:
        return (self[at] for at in range(len(self)))

    def __len__(self) -> int:
        return len(self.euis)


@attrs.frozen(eq=False)
class Past:
    """When each member of a roll was off, or may have been, by all commands that are remembered."""

    roll: Roll
    outages: tuple[Outages, ...]

    @cached_property
    def _mine(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        found = []
        for one in self.outages:
            at = one.places_in(self.roll)
            here = at >= 0
            if here.any():
                found.append((at[here], one.begin[here], one.end[here]))
        return found

    def off(self, now: int, rest: int = 0) -> NDArray[np.bool_]:
        """Who is off, or has been back for less than `rest`. [ns]"""
        found = np.zeros(len(self.roll), dtype=bool)
        for at, begin, end in self._mine:
            found[at[(begin <= now) & (now < end + rest)]] = True
        return found

    def back(self, now: int) -> NDArray[np.int64]:
        """When each came back last; 0 = never was off. [ns, site time]"""
        found = np.zeros(len(self.roll), dtype=np.int64)
        for at, _, end in self._mine:
            over = end <= now
            np.maximum.at(found, at[over], end[over])
        return found

    def off_time(self, begin: int, end: int) -> NDArray[np.int64]:
        """How long each was off inside [begin, end). [ns]"""
        found = np.zeros(len(self.roll), dtype=np.int64)
        for at, first, last in self._mine:
            np.add.at(found, at, np.maximum(0, np.minimum(last, end) - np.maximum(first, begin)))
        return found


def outages(command: Command) -> Outages:
    """The times for which this command had loads off, or may have had: what limits are counted on."""
    members = command.members
    if command.action is not Action.SHED or command.monitor_only:
        return Outages.of(())
    span = command.off_for_s * NS
    state, executed, changed = members.flat("state"), members.flat("executed"), members.flat("changed")
    begin = np.where(executed, executed, command.made)
    end = np.full(len(state), command.not_after + span)
    off, back = state == MemberState.EXECUTED, state == MemberState.RESTORED
    end[off] = executed[off] + span
    end[back] = changed[back]
    begin[back] = np.maximum(command.made, end[back] - span)    # a report may have come long after the load went off
    rows = np.flatnonzero((state != MemberState.REFUSED) & (state != MemberState.NOT_SENT))
    return Outages(command.id, members.roll.eui[rows], begin[rows], end[rows], members.roll, rows)


class Ledger:
    """The outages of many commands, worked out again only for those that have changed."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Command, Outages]] = {}

    def of(self, commands: Iterable[Command]) -> tuple[Outages, ...]:
        before, self._known = self._known, {}
        for command in commands:
            kept = before.get(command.id)
            self._known[command.id] = kept if kept is not None and kept[0] is command else (command, outages(command))
        return tuple(found for _, found in self._known.values() if len(found))


def terms(command: Command) -> Terms:
    """What of a command decides when something ends for its members."""
    return Terms(command.action in TIMED, command.off_for_s * NS, command.not_after, deadline(command))


def deadline(command: Command) -> int:
    """When nobody waits for an answer any more. [ns, site time]"""
    return command.not_after + ANSWER_MARGIN_S * NS


def ends(command: Command) -> int:
    """When the last load is back by itself, as far as is known now. [ns, site time]"""
    if command.action not in TIMED:
        return command.not_after
    if command.monitor_only:
        return command.made
    last = int(command.members.times(terms(command)).end.max(initial=-1))
    return last if last >= 0 else command.made
