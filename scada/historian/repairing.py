"""Repairs a history while no server runs: what is damaged is put out of the way, spoilt files are read again.

Nothing is thrown away: a damaged block's bytes stay in its month file's table `damaged`, and a spoilt file keeps its bytes
under the name it was set aside with. What can still be read of such a file is entered into the fresh one by the rules
of every delivery, so a repair may be repeated, and what came in the meantime stays. The news of what changed is owed to
the next start, so that balances and replicas follow.
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
from scada.historian.database import DamagedFile, begin_anew, reading_once
from scada.historian.dense import DAY_S, SLOTS, Conflict, Dense, enter, enter_registers, thinned
from scada.historian.inspection import single_files
from scada.historian.live_names import live_aside, sound_parts
from scada.historian.livefiles import HOT_FILE, LiveFiles
from scada.historian.months import Months, keep_conflicts, load, month_path, month_paths, save, set_aside
from scada.historian.noted import save_arrivals
from scada.historian.offline import alone
from scada.historian.refusals import FROM_BACKUP
from scada.historian.result_file import RESULT_FILE, forget_computed
from scada.historian.results_again import results_again
from scada.historian.results_checked import BadRow, checked, take_out
from scada.historian.rows import COLUMNS, BlockKey, decode_block
from scada.historian.state import STATE_FILE, owe
from scada.historian.verification import Finding, Verified, verify_file
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
    pieces: list[Finding] = attrs.field(factory=list)           # of live tags, damaged, now kept in files of their own
    samples: int = 0                                # of live tags, from spoilt files
    results: int = 0                                # rows of spoilt files that are there again
    rows: list[BadRow] = attrs.field(factory=list)              # of results, damaged, now missing
    left: list[Finding] = attrs.field(factory=list)             # what is to come from a backup: no repair can mend it


def repair(
    directory: Path, advance: Callable[[str, float], None] = lambda what, share: None,
    taking_out: Callable[[list[BadRow]], None] = lambda rows: None,
) -> Repaired:
    """
    Raises `StartError` where a server has the folder, `StorageError` where the disk refuses.

    `taking_out` is told of damaged rows of results before they go, so that whoever computes them can be told to.
    """
    with alone(directory), closing(Months(directory)) as months:
        done = _repair(directory, months, advance)
        for path in single_files(directory):
            _mend(directory, path, done, taking_out)
            advance(path.name, 0.0)
        _read_live_again(directory, done)
        done.results = results_again(directory)
        return done


# ---------------------------------------------------------------------- private
def _repair(directory: Path, months: Months, advance: Callable[[str, float], None]) -> Repaired:
    done, paths = Repaired(), month_paths(directory)
    state = directory / STATE_FILE
    if any(one.spoilt for one in verify_file(directory, state).findings):
        raise StorageError(f"{state} is damaged, and nothing was repaired: {FROM_BACKUP}")
    share = 1.0 / max(len(paths) + len(set_aside(directory)), 1)
    for path in paths:
        found = verify_file(directory, path)
        of_file = [one for one in found.findings if one.block is None]
        if any(one.spoilt for one in of_file):
            months.set_aside(DamagedFile(path, sqlite3.DatabaseError(of_file[0].reason)))
            done.files.append(path)
        elif of_file:
            raise StorageError(of_file[0].reason)   # locked, or not permitted: no reason to put it away
        else:
            _put_away(directory, months, found, done)
        advance(path.name, share)
    for path in set_aside(directory):
        rows = _readable(directory, path)
        while some := list(itertools.islice(rows, AT_ONCE)):
            _enter(directory, months, some, done)
        advance(path.name, share)
    return done


def _mend(directory: Path, path: Path, done: Repaired, taking_out: Callable[[list[BadRow]], None]) -> None:
    """One of the files beside the months."""
    found = verify_file(directory, path).findings
    live = path.name.startswith("live-")
    if any(one.spoilt for one in found):
        if path.name == RESULT_FILE:
            forget_computed(directory)
        if live or path.name == RESULT_FILE:
            begin_anew(DamagedFile(path, sqlite3.DatabaseError(found[0].reason)))
            done.files.append(path)
        else:
            done.left += found
    elif found and live:
        with closing(LiveFiles(directory)) as files:
            files.open()
            files.roll() if path.name == HOT_FILE else files.put_away(path)
        done.pieces += found
    elif found and path.name == RESULT_FILE:
        done.rows = [one for _, bad in checked(path) for one in bad]
        taking_out(done.rows)
        take_out(directory, done.rows)
    else:
        done.left += found


def _read_live_again(directory: Path, done: Repaired) -> None:
    """What spoilt files of live tags still hold joins the rest; the very same samples are there once."""
    spoilt = live_aside(directory)
    if not spoilt:
        return
    with closing(LiveFiles(directory)) as files:
        files.open()
        files.roll()
        before = _samples_in(directory)
        for path in spoilt:
            for part in sound_parts(path):
                if len(part):
                    files.append([], part)
            files.roll()
        done.samples += _samples_in(directory) - before


def _samples_in(directory: Path) -> int:
    total = 0
    for path in directory.glob("live-????-??.sqlite"):
        with reading_once(path) as database:
            if database is not None:
                total += database.execute("SELECT coalesce(sum(n), 0) FROM chunk").fetchone()[0]
    return total


def _put_away(directory: Path, months: Months, found: Verified, done: Repaired) -> None:
    """Damaged blocks become empty ones of the same version, so that versions go on where replicas know them."""
    changed = []
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
                changed.append(key)
            elif block.arrivals is not None and block.arrivals.touched:
                done.notes.append(one)
            save_arrivals(month(one.day).database, key, block.arrivals)
        owe(directory, changed)                     # before they count: a crash must not leave a change untold


def _enter(directory: Path, months: Months, some: list[tuple[BlockKey, Dense]], done: Repaired) -> None:
    changed, conflicts = [], 0
    with months.transaction() as month:
        for key, old in some:
            file = month(key[1])
            block, _ = load(file, key)
            before = block.registers.copy()
            clashes = _joined(block, old)
            conflicts += keep_conflicts(file, key, clashes, {one.row: 0 for one in clashes})
            if block.touched or not np.array_equal(before, block.registers):
                save(file, key, block)
                changed.append(key)
        owe(directory, changed)
    done.salvaged += len(changed)
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
