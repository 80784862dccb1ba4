"""What is older than it has to be kept: months and pieces of the journal as whole files, results and events as rows."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from scada.clock import NS
from scada.historian.copying import write_durably
from scada.historian.database import DamagedFile, reading_once
from scada.historian.event_rows import EVENT_FILE
from scada.historian.former import count_replaced
from scada.historian.inspection import size_on_disk, with_logs
from scada.historian.journal import kept_in, segments_in, sync_directory
from scada.historian.months import month_paths
from scada.historian.result_file import RESULT_FILE
from scada.historian.sent import HasVersions, newer, versions_of
from scada.settings import RetentionSettings

DAY_S: Final = 86_400
REMOVED: Final = "removed.json"
ROWS: Final = frozenset({"results", "replaced results", "events"})     # kinds that go row by row
REMEMBERED: Final = 500                             # removals that are remembered, the newest


@attrs.frozen
class Due:
    """Something that may go."""

    kind: str
    path: Path
    before: int                                     # everything in it is older than this; s since 1970
    size: int                                       # [B]; of `ROWS` rows

    @property
    def name(self) -> str:
        return self.path.name


def due(directory: Path, settings: RetentionSettings, now: int) -> list[Due]:
    """What may go at a site time [ns], oldest first of each kind. Blocking."""
    found: list[Due] = []
    if settings.live_days:
        found += _months("live", sorted(directory.glob("live-????-??.sqlite")), now // NS - settings.live_days * DAY_S)
    if settings.interval_days:
        found += _months("intervals", month_paths(directory), now // NS - settings.interval_days * DAY_S)
    if settings.result_days:
        before = (now // NS // DAY_S - settings.result_days) * DAY_S        # once a day, not every hour
        found += _results(directory / RESULT_FILE, before)
    if settings.replaced_days:
        found += _replaced(directory / RESULT_FILE, (now // NS // DAY_S - settings.replaced_days) * DAY_S)
    if settings.event_days:
        found += _events(directory / EVENT_FILE, (now // NS // DAY_S - settings.event_days) * DAY_S)
    found += _segments(kept_in(directory / "journal"), int(time.time()) - settings.journal_days * DAY_S)
    return found


def lacking(path: Path, sent: HasVersions) -> bool:
    """Whether a destination, of which `sent` says the versions it has, lacks a block of a month file."""
    try:
        with reading_once(path) as database:
            if database is None:
                return False
            there = versions_of(database.execute("SELECT interval_s, day, block, version FROM block"))
    except DamagedFile:
        return True
    return len(newer(there, sent)) > 0


def lacking_events(path: Path, before: int, sent: int) -> bool:
    """Whether a destination, of which `sent` says the number of its last event, lacks one from before a second."""
    with reading_once(path) as database:
        if database is None:
            return False
        return database.execute(
            "SELECT 1 FROM event WHERE number > ? AND moment < ? LIMIT 1", (sent, before * NS)
        ).fetchone() is not None


def lacking_results(path: Path, before: int, sent: int) -> bool:
    """Whether a destination, of which `sent` says the number of its last change, lacks one of a row before a second."""
    try:
        with reading_once(path) as database:
            if database is None:
                return False
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'change'").fetchone():
                return True                         # a file from before changes were numbered
            return database.execute(
                "SELECT 1 FROM change WHERE number > ? AND start < ? LIMIT 1", (sent, before)
            ).fetchone() is not None
    except DamagedFile:
        return True


def remember(directory: Path, one: Due, at: int) -> None:
    """Write down that something went, at a site time [ns]; durable."""
    entry = {"at": at, "kind": one.kind, "name": one.name, "before": one.before, "size": one.size}
    text = json.dumps([*removed(directory), entry][-REMEMBERED:])
    unfinished = directory / f"{REMOVED}.new"
    unfinished.unlink(missing_ok=True)
    write_durably(unfinished, iter((text.encode(),)))
    os.replace(unfinished, directory / REMOVED)
    sync_directory(directory)


def removed(directory: Path) -> list[dict[str, Any]]:
    """What went, oldest first; nothing where that cannot be read."""
    try:
        found: list[dict[str, Any]] = json.loads((directory / REMOVED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found


# ---------------------------------------------------------------------- private
def _months(kind: str, paths: Sequence[Path], before: int) -> Iterator[Due]:
    """Month files of which the last second is older."""
    for path in paths:
        year, month = path.name.removesuffix(".sqlite").split("-")[-2:]
        end = int(datetime(int(year) + int(month) // 12, int(month) % 12 + 1, 1, tzinfo=UTC).timestamp())
        if end <= before:
            yield Due(kind, path, end, size_on_disk(with_logs([path])))


def _results(path: Path, before: int) -> Iterator[Due]:
    with reading_once(path) as database:
        if database is None:
            return
        (rows,) = database.execute(
            "SELECT sum((SELECT count(*) FROM result WHERE series = number AND start < ?)) FROM series", (before,)
        ).fetchone()
    if rows:
        yield Due("results", path, before, rows)


def _replaced(path: Path, before: int) -> Iterator[Due]:
    with reading_once(path) as database:
        rows = count_replaced(database, before) if database is not None else 0
    if rows:
        yield Due("replaced results", path, before, rows)


def _events(path: Path, before: int) -> Iterator[Due]:
    with reading_once(path) as database:
        if database is None:
            return
        (rows,) = database.execute("SELECT count(*) FROM event WHERE moment < ?", (before * NS,)).fetchone()
    if rows:
        yield Due("events", path, before, rows)


def _segments(folder: Path, before: int) -> Iterator[Due]:
    for _, path in segments_in(folder):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        if stat.st_mtime <= before:
            yield Due("journal", path, int(stat.st_mtime), stat.st_size)


