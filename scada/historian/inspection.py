"""What a historian's folder holds, by kind and by month; read-only, also while the server writes it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from scada.historian.database import DamagedFile, all_aside, reading_once
from scada.historian.dense import SLOTS, columns_of
from scada.historian.estimates import ESTIMATE_FILE
from scada.historian.event_rows import EVENT_FILE
from scada.historian.evidence import kept
from scada.historian.journal import Position, kept_in, segments_in
from scada.historian.months import month_paths
from scada.historian.packing import unpack
from scada.historian.result_file import RESULT_FILE
from scada.historian.state import STATE_FILE
from scada.intervals import MISSING

SAMPLED: Final = 2000                               # blocks of a month that are counted in; of more, evenly spread ones
CASE_FILES: Final = (                               # what examinations found and people decided: beside the results
    "cases.sqlite", "leaks.sqlite", "phase_orders.sqlite",
)
LOG: Final = "-wal"                                 # what SQLite keeps beside a file; "-shm" is memory, not content
_KEY: Final = "SELECT counts FROM block WHERE interval_s=? AND day=? AND block=?"


@attrs.frozen
class MonthHeld:
    """One month file. Days are numbered since 1970, UTC; both -1 where nothing is held."""

    path: Path
    size: int                                       # [B]
    first_day: int = -1
    last_day: int = -1
    blocks: int = 0
    channels: int = 0                               # known ones whose blocks the month has
    values: int = 0
    counted: bool = True                            # False: reckoned from `SAMPLED` blocks
    blocks_set_aside: int = 0                       # damaged ones that were replaced, kept as evidence
    trouble: str = ""                               # why it cannot be read


@attrs.frozen
class Inspection:
    """A historian's folder in one look."""

    directory: Path
    sizes: Mapping[str, int]                        # by kind [B]
    months: tuple[MonthHeld, ...]
    channels: int
    merged: Position
    unmerged: int                                   # of the journal, not yet in blocks [B]
    quarantined: int                                # records that could not be understood, kept in the state file
    set_aside: tuple[Path, ...]                     # damaged files, pieces of live tags and of the journal: evidence
    trouble: tuple[str, ...]                        # what cannot be read now

    @property
    def values(self) -> int:
        return sum(month.values for month in self.months)


def inspect(
    directory: Path, spools: Iterable[Path] = (), advance: Callable[[str, float], None] = lambda what, share: None
) -> Inspection:
    """Look at everything; `advance` hears which month was read and what share of all it is."""
    trouble, months, paths = [], [], month_paths(directory)
    try:
        merged, per_block, quarantined = _state(directory)
    except DamagedFile as error:
        merged, per_block, quarantined = Position(), {}, 0
        trouble.append(str(error))
    for path in paths:
        months.append(_month(path, per_block))
        advance(path.name, 1 / len(paths))
    trouble += [month.trouble for month in months if month.trouble]
    trouble += [text for path in single_files(directory) if (text := _unreadable(path))]
    return Inspection(
        directory, sizes_of(directory, spools), tuple(months), sum(per_block.values()), merged,
        _unmerged(directory / "journal", merged), quarantined,
        (*all_aside(directory), *_pieces(directory)), tuple(trouble),
    )


def sizes_of(directory: Path, spools: Iterable[Path]) -> dict[str, int]:
    """Bytes on disk by kind, logs included."""
    aside = [*with_logs(all_aside(directory)), *_pieces(directory)]
    return {
        "journal": size_on_disk((directory / "journal").glob("*.journal")),
        "journal kept": size_on_disk(path for _, path in segments_in(kept_in(directory / "journal"))),
        "months": size_on_disk(with_logs(month_paths(directory))),
        "live": size_on_disk(with_logs(directory.glob("live-*.sqlite"))),
        "results": size_on_disk(with_logs(
            directory / name for name in (RESULT_FILE, ESTIMATE_FILE, *CASE_FILES)
        )),
        "events": size_on_disk(with_logs([directory / EVENT_FILE])),
        "state": size_on_disk(with_logs([directory / STATE_FILE])),
        "spool": size_on_disk(with_logs(spools)),
        "set aside": size_on_disk(aside),
    }


def databases(directory: Path) -> list[Path]:
    """Every file of SQLite in a historian's folder."""
    state = [path] if (path := directory / STATE_FILE).exists() else []
    return [*state, *month_paths(directory), *single_files(directory)]


def single_files(directory: Path) -> list[Path]:
    """Those that hold neither intervals nor the state."""
    single = (directory / name for name in (RESULT_FILE, ESTIMATE_FILE, EVENT_FILE))
    return [*(path for path in single if path.exists()), *sorted(directory.glob("live-*.sqlite"))]


def size_on_disk(paths: Iterable[Path]) -> int:
    """Bytes of files; one that goes away meanwhile has none."""
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def with_logs(paths: Iterable[Path]) -> list[Path]:
    """Files of SQLite with their logs beside them, whether these are there or not."""
    return [path.with_name(path.name + suffix) for path in paths for suffix in ("", LOG)]


def channels_by_block(state: Any) -> dict[int, int]:
    """How many channels are known of each block of slots."""
    return dict(state.execute(f"SELECT slot / {SLOTS}, count(*) FROM slot GROUP BY 1").fetchall())


def merged_position(state: Any) -> Position:
    """Up to where the journal is in the blocks, of a state file."""
    row = state.execute("SELECT segment, place FROM merged").fetchone()
    return Position(*row) if row else Position()


# ---------------------------------------------------------------------- private
def _pieces(directory: Path) -> list[Path]:
    return [*kept(directory), *sorted((directory / "journal" / "damaged").glob("*.bin"))]


def _unreadable(path: Path) -> str:
    """Why nothing can be read of a file; pages of it that nobody asked for may be damaged, which is for `verify` to say."""
    try:
        with reading_once(path):
            return ""
    except DamagedFile as error:
        return str(error)


def _state(directory: Path) -> tuple[Position, dict[int, int], int]:
    with reading_once(directory / STATE_FILE) as state:
        if state is None:
            return Position(), {}, 0
        (quarantined,) = state.execute("SELECT count(*) FROM quarantine").fetchone()
        return merged_position(state), channels_by_block(state), quarantined


def _month(path: Path, per_block: Mapping[int, int]) -> MonthHeld:
    held = MonthHeld(path, size_on_disk(with_logs([path])))
    try:
        with reading_once(path) as database:
            return held if database is None else _counted(held, database, per_block)
    except DamagedFile as error:
        return attrs.evolve(held, trouble=str(error))


def _counted(held: MonthHeld, database: Any, per_block: Mapping[int, int]) -> MonthHeld:
    keys = database.execute("SELECT interval_s, day, block FROM block ORDER BY interval_s, day, block").fetchall()
    (aside,) = database.execute("SELECT count(*) FROM damaged").fetchone()
    if not keys:
        return attrs.evolve(held, blocks_set_aside=aside)
    chosen = keys if len(keys) <= SAMPLED else [keys[len(keys) * n // SAMPLED] for n in range(SAMPLED)]
    values = sum(_values(key[0], database.execute(_KEY, key).fetchone()[0]) for key in chosen)
    days = [day for _, day, _ in keys]
    return attrs.evolve(
        held, first_day=min(days), last_day=max(days), blocks=len(keys),
        channels=sum(per_block.get(block, 0) for block in {block for _, _, block in keys}),
        values=values * len(keys) // len(chosen), counted=len(chosen) == len(keys), blocks_set_aside=aside,
    )


def _values(interval_s: int, counts: bytes) -> int:
    """Pulses of a block; none where its bytes cannot be read, which is for `verify` to say."""
    try:
        return int(np.count_nonzero(unpack(counts, SLOTS * columns_of(interval_s)) != MISSING))
    except ValueError:
        return 0


def _unmerged(journal: Path, merged: Position) -> int:
    sizes = [(number, size_on_disk([path])) for number, path in segments_in(journal)]
    return sum(size for number, size in sizes if number > merged.segment) + sum(
        max(size - merged.offset, 0) for number, size in sizes if number == merged.segment
    )
