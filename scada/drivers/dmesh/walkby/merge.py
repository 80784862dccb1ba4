"""Holds what a walk brought against what is here: new, known or in conflict. Nothing that is held is ever replaced.

What the store has not merged yet (blocks that are durable in its journal only) is held too: `Pending`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.drivers.dmesh.walkby import blockfile, table
from scada.drivers.dmesh.walkby.parts import MAX_FILE, MAX_FILES, Complaints, Read, in_hours
from scada.errors import Problem
from scada.intervals import HOURLY, MISSING, IntervalBlock
from scada.ports import IntervalReader, WalkbyConflict, WalkbyExamination, WalkbyReport
from scada.site import Directory

MAX_CONFLICTS: Final = 1000             # shown; the store keeps them all
Progress = Callable[[int], object]


class Pending:
    """Hours and registers that are on their way into the blocks, by channel and day."""

    def __init__(self, blocks: Iterable[IntervalBlock] = ()) -> None:
        self._days: dict[tuple[int, int, int], NDArray[np.int64]] = {}
        self._registers: dict[tuple[int, int, int], int] = {}
        for block in blocks:
            self.enter(block)

    def enter(self, block: IntervalBlock) -> None:
        first, counts = in_hours(block)
        for line, (eui, channel) in enumerate(_channels(block)):
            if block.register[line] != MISSING and not block.first % (HOURLY // block.interval_s):
                self._registers.setdefault((eui, channel, first), int(block.register[line]))
            for day, there, here in _days(first, counts.shape[1]):
                held = self._days.setdefault((eui, channel, day), np.full(DAY_H, MISSING, dtype=np.int64))
                held[there] = np.where(held[there] == MISSING, counts[line, here], held[there])

    def over(self, block: IntervalBlock, first: int, held: NDArray[np.int64]) -> NDArray[np.int64]:
        """What is held of a block's hours, with what is pending where nothing is."""
        if not self._days:
            return held
        held = held.copy()
        for line, (eui, channel) in enumerate(_channels(block)):
            for day, there, here in _days(first, held.shape[1]):
                pending = self._days.get((eui, channel, day))
                if pending is not None:
                    held[line, here] = np.where(held[line, here] == MISSING, pending[there], held[line, here])
        return held

    def registers(self, block: IntervalBlock, first: int, held: NDArray[np.int64]) -> NDArray[np.int64]:
        pending = [self._registers.get((eui, channel, first), MISSING) for eui, channel in _channels(block)]
        return np.where(held == MISSING, np.array(pending, dtype=np.int64), held)


@attrs.frozen(eq=False)
class Judged:
    """One block against what is held."""

    given: int
    new: int
    clashing: int                                           # hours held with another value
    conflicts: tuple[tuple[int, int, str, int, int], ...]   # line, hour, kind, held, given
    rows: NDArray[np.bool_]                                 # (n,) those with news for the store


def read(name: str, data: bytes, now_hour: int | None, received: int) -> Read:
    """A file of either form, told apart by its first bytes."""
    if len(data) > MAX_FILE:
        complaints = Complaints(name)
        complaints.add("", f"{len(data):,} bytes; expected at most {MAX_FILE:,}, split the file")
        return Read(name, (), complaints.all())
    if data[:4] == blockfile.MAGIC:
        return blockfile.read(name, data, now_hour, received)
    return table.read(name, data, now_hour, received)


def examine(
    files: Sequence[tuple[str, bytes]], reader: IntervalReader, directory: Directory, pending: Pending,
    now_hour: int | None, received: int, progress: Progress = lambda done: None,
) -> WalkbyExamination:
    """
    Read files and compare them with what is held. Blocking: it reads the store.

    Parameters
    ----------
    files
        (name, content) of each.
    pending
        What is durable and not readable yet; the files' own hours are entered as they are read, so that a second
        value for an hour is a conflict wherever the first one stands.
    now_hour
        None where our own time is not trusted. [h since 1970]
    received
        Site time. [ns since 1970]
    progress
        Hears of every byte that is done with.
    """
    if not 1 <= len(files) <= MAX_FILES:
        complaints = Complaints("files")
        complaints.add("", f"{len(files)} files; expected 1 to {MAX_FILES} at once")
        return WalkbyExamination(WalkbyReport((), 0, 0, 0, 0, 0, (), (), complaints.all()), ())
    euis: set[int] = set()
    given = new = clashing = conflicting = 0
    conflicts: list[WalkbyConflict] = []
    keep: list[IntervalBlock] = []
    problems: list[Problem] = []
    for name, data in files:
        found = read(name, data, now_hour, received)
        problems += found.problems
        for block in found.blocks:
            judged = _against(block, reader, pending)
            pending.enter(block)
            euis.update(block.eui.tolist())
            given, new, conflicting = given + judged.given, new + judged.new, conflicting + len(judged.conflicts)
            clashing += judged.clashing
            for line, hour, kind, held, value in judged.conflicts[: MAX_CONFLICTS - len(conflicts)]:
                eui = int(block.eui[line])
                module = directory.module_of_eui.get(eui)
                conflicts.append(WalkbyConflict(
                    name, eui, module.name if module else "", int(block.channel[line]), hour, kind, held, value
                ))
            if judged.rows.any():
                keep.append(block if judged.rows.all() else rows_of(block, judged.rows))
        progress(len(data))
    unknown = tuple(sorted(eui for eui in euis if eui not in directory.module_of_eui))
    report = WalkbyReport(
        tuple(name for name, _ in files), len(euis), given, new, given - new - clashing, conflicting, tuple(conflicts),
        unknown, tuple(problems),
    )
    return WalkbyExamination(report, tuple(keep))


def judge(
    block: IntervalBlock, hours: NDArray[np.int64], first: int, held: NDArray[np.int64], status: NDArray[np.uint8],
    registers: NDArray[np.int64],
) -> Judged:
    """
    Compare a block with what is held.

    Parameters
    ----------
    hours : ndarray of int64, shape (n, h)
        The block's whole hours from `first` on. [pulses]
    held, status
        Of the same hours; MISSING where nothing is.
    registers : ndarray of int64, shape (n,)
        Held at the start of the block; MISSING where unknown. [pulses]
    """
    told = hours != MISSING
    fresh = told & (held == MISSING)
    clash = told & (held != MISSING) & (held != hours)
    base = block.register if not block.first % (HOURLY // block.interval_s) else np.full(len(hours), MISSING)
    turned = (base != MISSING) & (registers != MISSING) & (base != registers)
    conflicts = [
        (int(line), first + int(at), "pulses", int(held[line, at]), int(hours[line, at]))
        for line, at in zip(*np.nonzero(clash), strict=True)
    ]
    conflicts += [
        (int(line), first, "register", int(registers[line]), int(base[line])) for line in np.flatnonzero(turned)
    ]
    news = fresh | clash
    if block.interval_s == HOURLY:                          # a new bit is news too: bits are joined
        news |= told & ((block.status & ~status) != 0)
        parts = np.zeros(len(hours), dtype=np.bool_)
    else:                                                   # hours that came in part: the store knows what it lacks
        per_hour = HOURLY // block.interval_s
        parts = (block.counts != MISSING).sum(axis=1) > per_hour * told.sum(axis=1)
    rows = news.any(axis=1) | turned | parts | ((base != MISSING) & (registers == MISSING))
    return Judged(int(told.sum()), int(fresh.sum()), int(clash.sum()), tuple(conflicts), rows)


def rows_of(block: IntervalBlock, rows: NDArray[np.bool_]) -> IntervalBlock:
    """Some channels of a block."""
    return attrs.evolve(
        block, eui=block.eui[rows], channel=block.channel[rows], counts=block.counts[rows], register=block.register[rows],
        status=block.status[rows],
    )


def _against(block: IntervalBlock, reader: IntervalReader, pending: Pending) -> Judged:
    slots = reader.slots(block.eui, block.channel)
    first, hours = in_hours(block)
    series = reader.read(slots, first, hours.shape[1])
    registers = np.full(len(slots), MISSING, dtype=np.int64)
    if (block.register != MISSING).any():
        registers = pending.registers(block, first, reader.register(slots, first))
    return judge(block, hours, first, pending.over(block, first, series.counts), series.status, registers)


def _channels(block: IntervalBlock) -> Iterable[tuple[int, int]]:
    return zip(block.eui.tolist(), block.channel.tolist(), strict=True)


def _days(first: int, hours: int) -> Iterable[tuple[int, slice, slice]]:
    """(day, hours of the day, hours of the block) of each day that hours touch."""
    done = 0
    while done < hours:
        day, hour = divmod(first + done, DAY_H)
        upto = min(done + DAY_H - hour, hours)
        yield day, slice(hour, hour + upto - done), slice(done, upto)
        done = upto
