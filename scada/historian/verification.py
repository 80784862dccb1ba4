"""Reads every check sum of a historian's folder and of its spools, changing nothing; also while the server writes them.

What it calls damaged is what readers would leave out: the same decoding decides. What was set aside before is no longer
read and is not looked at; it is named.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from scada.clock import HOUR_S
from scada.errors import StorageError
from scada.historian.database import DamagedFile, reading_once
from scada.historian.event_rows import FROM, ROW, event_of
from scada.historian.evidence import kept
from scada.historian.former import damaged
from scada.historian.inspection import CASE_FILES, channels_by_block, databases, merged_position, size_on_disk
from scada.historian.journal import Position, kept_in, segments_in
from scada.historian.livefiles import HOT_FILE
from scada.historian.noted import load_arrivals, notes
from scada.historian.records import decode
from scada.historian.results_checked import checked
from scada.historian.rows import COLUMNS, decode_block
from scada.historian.samples import decode as decode_samples
from scada.historian.segment import TORN, Sound, scan
from scada.historian.spool import ROTTEN, bodies_in
from scada.historian.state import STATE_FILE

AT_ONCE: Final = 20_000                             # events in memory
MOST_SAID: Final = 5                                # findings of SQLite's own check, a file
Advance = Callable[[str, float], None]              # what is being read, and bytes done


@attrs.frozen
class Finding:
    """One thing that is not what was written."""

    path: Path
    where: str                                      # inside the file, for a person; "" = the file itself
    reason: str
    day: int | None = None                          # since 1970, UTC: of a block
    block: int | None = None
    interval_s: int | None = None
    channels: int = 0                               # how many known ones a block concerns
    spoilt: bool = False                            # SQLite finds the file itself damaged

    def __str__(self) -> str:
        place = f"{self.path.name}, {self.where}" if self.where else self.path.name
        return f"{place}: {self.reason}"


@attrs.define
class Verified:
    """What was read, and what is wrong with it."""

    blocks: int = 0
    records: int = 0                                # of the journal
    chunks: int = 0                                 # of live tags, the hot log's rows among them
    events: int = 0
    results: int = 0                                # rows
    bodies: int = 0                                 # of spools, which wait for destinations
    torn: int = 0                                   # tails of segments that were never acknowledged: no damage
    findings: list[Finding] = attrs.field(factory=list)
    kept: list[Path] = attrs.field(factory=list)    # pieces that were damaged before, and had to make room

    @property
    def ok(self) -> bool:
        return not self.findings


def bytes_to_read(directory: Path, spools: Iterable[Path] = ()) -> int:
    """What `verify` will report as done, about."""
    return size_on_disk([*_files(directory), *spools])


def verify(
    directory: Path, advance: Advance = lambda what, done: None, spools: Iterable[Path] = ()
) -> Verified:
    """Read it all, and what waits for destinations."""
    found, (per_block, merged, names) = Verified(), _known(directory)
    for path in (*_files(directory), *(one for one in spools if one.exists())):
        size, done = size_on_disk([path]), 0.0
        if path.suffix == ".journal":
            _segment(path, merged, found)
        else:
            for share in _database(path, found, per_block, names):
                advance(path.name, (share - done) * size)
                done = share
        advance(path.name, (1.0 - done) * size)
    found.kept = kept(directory)
    return found


def verify_file(directory: Path, path: Path) -> Verified:
    """The same for one file of SQLite."""
    found, (per_block, _, names) = Verified(), _known(directory)
    for _ in _database(path, found, per_block, names):
        pass
    return found


# ---------------------------------------------------------------------- private
def _files(directory: Path) -> list[Path]:
    journal = directory / "journal"
    others = [path for name in CASE_FILES if (path := directory / name).exists()]       # that are not ours to compact
    return [*databases(directory), *others, *(path for one in (kept_in(journal), journal) for _, path in segments_in(one))]


def _known(directory: Path) -> tuple[dict[int, int], Position, dict[int, str]]:
    """Channels by block, the merged position, names of live tags; what cannot be read is found later, by its file."""
    per_block: dict[int, int] = {}
    merged, names = Position(), dict[int, str]()
    try:
        with reading_once(directory / STATE_FILE) as state:
            if state is not None:
                per_block, merged = channels_by_block(state), merged_position(state)
        with reading_once(directory / HOT_FILE) as hot:
            if hot is not None:
                names = dict(hot.execute("SELECT number, name FROM tag").fetchall())
    except StorageError:
        pass
    return per_block, merged, names


def _database(path: Path, found: Verified, per_block: Mapping[int, int], names: Mapping[int, str]) -> Iterator[float]:
    """Reads a file of SQLite, its own check first; yields the share that is done."""
    try:
        with reading_once(path) as database:
            if database is None:
                return
            wrong = [text for (text,) in database.execute(f"PRAGMA integrity_check({MOST_SAID})") if text != "ok"]
            found.findings += [Finding(path, "", f"SQLite's own check says: {text}", spoilt=True) for text in wrong]
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        yield 0.5
        if "block" in tables:
            yield from _blocks(path, found, per_block)
        if "former" in tables:
            _former(path, found)
        if "event" in tables:
            _events(path, found)
        if "queue" in tables:
            for number, sound in bodies_in(path):
                found.bodies += 1
                if not sound:
                    found.findings.append(Finding(path, f"body {number} of what waits", ROTTEN))
        if "result" in tables:
            _results(path, found)
        for table in ("chunk", "hot"):
            if table in tables:
                _chunks(path, table, found, names)
    except StorageError as error:
        found.findings.append(Finding(path, "", str(error), spoilt=isinstance(error, DamagedFile)))


def _blocks(path: Path, found: Verified, per_block: Mapping[int, int]) -> Iterator[float]:
    """Day by day, so that a server that writes may tidy its log in between."""
    with reading_once(path) as database:
        days = database.execute("SELECT DISTINCT interval_s, day FROM block").fetchall() if database else []
    for done, (interval_s, day) in enumerate(days, 1):
        with reading_once(path) as database:
            rows: Any = database.execute(
                f"SELECT block, {COLUMNS} FROM block WHERE interval_s=? AND day=?", (interval_s, day)
            ) if database else ()
            for number, *columns in rows:
                found.blocks += 1
                key = interval_s, day, number
                try:
                    decode_block(interval_s, *columns)
                    if database is not None and notes(database):
                        load_arrivals(database, key)
                except ValueError as error:
                    found.findings.append(_bad_block(path, key, str(error), per_block))
        yield 0.5 + 0.5 * done / len(days)


def _bad_block(path: Path, key: tuple[int, int, int], reason: str, per_block: Mapping[int, int]) -> Finding:
    interval_s, day, number = key
    channels = per_block.get(number, 0)
    date = f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}"
    where = f"{date}, block {number} of {interval_s} s ({channels} channels)"
    return Finding(path, where, reason, day, number, interval_s, channels)


def _chunks(path: Path, table: str, found: Verified, names: Mapping[int, str]) -> None:
    place = "tag, hour" if table == "chunk" else "0, number"
    with reading_once(path) as database:
        rows: Any = database.execute(f"SELECT {place}, n, crc, samples FROM {table}") if database else ()
        for tag, number, *columns in rows:
            found.chunks += 1
            try:
                decode_samples(*columns)
            except ValueError as error:
                where = f"row {number} of the hot log" if table == "hot" else (
                    f"{names.get(tag, f'tag {tag}')}, {datetime.fromtimestamp(number * HOUR_S, UTC):%Y-%m-%dT%H:00Z}"
                )
                found.findings.append(Finding(path, where, str(error)))


def _former(path: Path, found: Verified) -> None:
    with reading_once(path) as database:
        for name, start, version in damaged(database) if database else ():
            where = f"{name}, {datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%MZ}, version {version}"
            found.findings.append(Finding(path, where, "what stood there before is not what was written"))


def _events(path: Path, found: Verified) -> None:
    """A part of the numbers at a time, so that a server that writes may tidy its log in between."""
    after = 0
    while True:
        with reading_once(path) as database:
            rows: Any = database.execute(
                f"SELECT {ROW} FROM {FROM} WHERE event.number > ? ORDER BY event.number LIMIT ?", (after, AT_ONCE)
            ).fetchall() if database else ()
        for row in rows:
            found.events += 1
            try:
                event_of(row)
            except ValueError as error:
                found.findings.append(Finding(path, f"event {row[0]}", str(error)))
        if len(rows) < AT_ONCE:
            return
        after = rows[-1][0]


def _results(path: Path, found: Verified) -> None:
    for count, bad in checked(path):
        found.results += count
        found.findings += [Finding(path, str(one), ROTTEN) for one in bad]


def _segment(path: Path, merged: Position, found: Verified) -> None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return                                      # it was merged, and deleted, meanwhile
    number = int(path.stem)
    for item in scan(data):
        if isinstance(item, Sound):
            found.records += 1
            start, end, reason = item.end - len(item.body), item.end, _undecodable(item.body)
        else:
            start, end, reason = item.offset, item.offset + item.length, item.reason
        if reason == TORN:
            found.torn += 1
        elif reason:
            known = "; it is merged already, nothing is lost" if Position(number, end) <= merged else ""
            found.findings.append(Finding(path, f"byte {start}, {end - start} bytes", reason + known))


def _undecodable(body: bytes) -> str:
    """Why a sound record says nothing, "" = it does."""
    try:
        decode(body)
    except ValueError as error:
        return str(error)
    return ""
