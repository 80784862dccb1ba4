"""Repairs month files while no server runs: damaged blocks are put out of the way, spoilt files read again.

Nothing is thrown away: a damaged block's bytes stay in its month file's table `damaged`, and a spoilt file keeps its bytes
under the name it was set aside with. What can still be read of such a file is entered into the fresh one by the rules
of every delivery, so a repair may be repeated, and what came in the meantime stays.
"""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs
import numpy as np

from scada.errors import StorageError
from scada.historian.database import DamagedFile, reading_once
from scada.historian.dense import DAY_S, SLOTS, Conflict, Dense, enter, enter_registers, thinned
from scada.historian.months import Months, keep_conflicts, load, month_path, month_paths, save, set_aside
from scada.historian.noted import save_arrivals
from scada.historian.offline import alone
from scada.historian.rows import COLUMNS, BlockKey, decode_block
from scada.historian.verification import Finding, Verified, verify_month
from scada.intervals import MISSING

AT_ONCE: Final = 500                                # blocks entered in one transaction
_ROWS: Final = f"SELECT interval_s, day, block, {COLUMNS} FROM block ORDER BY rowid "


@attrs.define
class Repaired:
    """What was done."""

    blocks: list[Finding] = attrs.field(factory=list)           # damaged ones, now missing, their bytes kept
    notes: list[Finding] = attrs.field(factory=list)            # of sound blocks; who brought them is not known any more
    files: list[Path] = attrs.field(factory=list)               # spoilt ones that were set aside now
    salvaged: int = 0                               # blocks of spoilt files that brought something back
    conflicts: int = 0                              # values that contradict what came since; what is held stays


def repair(directory: Path, advance: Callable[[str, float], None] = lambda what, share: None) -> Repaired:
    """Raises `StartError` where a server has the folder, `StorageError` where the disk refuses."""
    with alone(directory), closing(Months(directory)) as months:
        return _repair(directory, months, advance)


# ---------------------------------------------------------------------- private
def _repair(directory: Path, months: Months, advance: Callable[[str, float], None]) -> Repaired:
    done, paths = Repaired(), month_paths(directory)
    share = 1.0 / max(len(paths) + len(set_aside(directory)), 1)
    for path in paths:
        found = verify_month(directory, path)
        of_file = [one for one in found.findings if one.block is None]
        if any(one.spoilt for one in of_file):
            months.set_aside(DamagedFile(path, sqlite3.DatabaseError(of_file[0].reason)))
            done.files.append(path)
        elif of_file:
            raise StorageError(of_file[0].reason)   # locked, or not permitted: no reason to put it away
        else:
            _put_away(months, found, done)
        advance(path.name, share)
    for path in set_aside(directory):
        rows = _readable(directory, path)
        while some := list(itertools.islice(rows, AT_ONCE)):
            _enter(months, some, done)
        advance(path.name, share)
    return done


def _put_away(months: Months, found: Verified, done: Repaired) -> None:
    """Damaged blocks become empty ones of the same version, so that versions go on where replicas know them."""
    with months.transaction() as month:
        for one in found.findings:
            assert one.interval_s is not None
            assert one.day is not None
            assert one.block is not None
            key = one.interval_s, one.day, one.block
            block, damaged = load(month(one.day), key)
            if damaged:
                save(month(one.day), key, block)
                done.blocks.append(one)
            elif block.arrivals is not None and block.arrivals.touched:
                done.notes.append(one)
            save_arrivals(month(one.day).database, key, block.arrivals)


def _enter(months: Months, some: list[tuple[BlockKey, Dense]], done: Repaired) -> None:
    salvaged = conflicts = 0
    with months.transaction() as month:
        for key, old in some:
            file = month(key[1])
            block, _ = load(file, key)
            before = block.registers.copy()
            clashes = _joined(block, old)
            conflicts += keep_conflicts(file, key, clashes, {one.row: 0 for one in clashes})
            if block.touched or not np.array_equal(before, block.registers):
                save(file, key, block)
                salvaged += 1
    done.salvaged += salvaged
    done.conflicts += conflicts


def _joined(block: Dense, old: Dense) -> list[Conflict]:
    """Enter all of an old block into one."""
    rows = np.arange(SLOTS)
    _, conflicts = enter(block, rows, 0, old.counts, old.status)
    for column in np.flatnonzero((old.registers != MISSING).any(axis=0)).tolist():
        conflicts += enter_registers(block, rows, column, old.registers[:, column])
    block.registers = thinned(block.registers, block.counts)
    return conflicts


def _readable(directory: Path, path: Path) -> Iterator[tuple[BlockKey, Dense]]:
    """The sound blocks of a spoilt file: from its beginning to the first bad place, and from its end back to the last."""
    seen: set[BlockKey] = set()
    for order in ("ASC", "DESC"):
        try:
            with reading_once(path) as database:
                for interval_s, day, number, *columns in database.execute(_ROWS + order) if database else ():
                    key = interval_s, day, number
                    if key in seen or not _possible(directory, path, key):
                        continue
                    seen.add(key)
                    try:
                        yield key, decode_block(interval_s, *columns)
                    except (ValueError, TypeError):
                        continue                    # damaged itself
            return
        except StorageError:
            continue


def _possible(directory: Path, path: Path, key: tuple[object, object, object]) -> bool:
    """Whether the numbers of a row, which no check sum covers, can be those of a block of this file."""
    match key:
        case (int(interval_s), int(day), int(number)) if interval_s > 0 and 0 <= number < 2**32 // SLOTS:
            return DAY_S % interval_s == 0 and abs(day) < 10**6 and path.name.startswith(month_path(directory, day).name)
    return False
