"""The files of live history: a hot log with a row a flush, and a file a month with a chunk per tag and hour.

A read takes the hot log first and the chunks after it, so that what is being rolled is seen twice rather than not at all,
and repeats are taken out.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from scada.clock import HOUR_S, NS
from scada.historian.bands_stored import SCHEMA, Band, bands_now, silence_at, store_bands
from scada.historian.database import DamagedFile, ReadPool, begin_anew, naming, open_writer, transaction
from scada.historian.evidence import FOLDER, keep, kept
from scada.historian.instants import at_instant
from scada.historian.live_names import live_aside, numbers_left
from scada.historian.samples import EMPTY, Samples, decode, encode, in_order, join
from scada.ports import TagHistory
from scada.series import Instant

HOUR_NS: Final = HOUR_S * NS
HOT_FILE: Final = "live-hot.sqlite"
ROLL_SAMPLES: Final = 2_000_000                     # rolled in one transaction at most
_HOT: Final = """
CREATE TABLE IF NOT EXISTS tag(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS hot(number INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, last INTEGER NOT NULL,
    n INTEGER NOT NULL, crc INTEGER NOT NULL, samples BLOB NOT NULL);
"""
_CHUNK: Final = """
CREATE TABLE IF NOT EXISTS chunk(tag INTEGER NOT NULL, hour INTEGER NOT NULL, n INTEGER NOT NULL, crc INTEGER NOT NULL,
    samples BLOB NOT NULL, PRIMARY KEY(tag, hour));
CREATE TABLE IF NOT EXISTS tag(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
"""


def month_path(directory: Path, hour: int) -> Path:
    return directory / f"live-{datetime.fromtimestamp(hour * HOUR_S, UTC):%Y-%m}.sqlite"


class LiveFiles:
    """Writes them; one thread. What is damaged is kept before something takes its place."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / HOT_FILE
        self._hot: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}
        self.damaged = 0
        self.bands: dict[int, int] = {}             # silence of each tag that has a dead-band, or had one [ns]
        self.kept: list[Path] = []                  # pieces, and whole files, that were found damaged
        self.aside: list[Path] = []

    @property
    def damage(self) -> str:
        """What the operator should look at, "" = nothing."""
        if self.aside:
            names = ", ".join(one.name for one in self.aside)
            return f"damaged files of live tags are set aside, fresh ones go on: {names}"
        return f"{len(self.kept)} damaged pieces of live tags are kept in {self.directory / FOLDER}" if self.kept else ""

    def open(self) -> dict[str, int]:
        """Numbers of the tags known so far; a damaged hot log is set aside, and its tags keep their numbers."""
        self._numbers = {}
        try:
            self._open()
        except DamagedFile as damage:
            self._begin_anew(damage)
        self.kept, self.aside = kept(self.directory), live_aside(self.directory)
        return self._numbers

    def close(self) -> None:
        if self._hot is not None:
            self._hot.close()
            self._hot = None

    def append(self, names: list[tuple[int, str]], samples: Samples, bands: Sequence[Band] = ()) -> None:
        """Durable when it returns."""
        try:
            self._append(names, samples, bands)
        except DamagedFile as damage:
            self._begin_anew(damage)
            self._append(names, samples, bands)
        self._numbers.update((name, number) for number, name in names)

    def roll(self) -> None:
        """Move the hot log into the chunks. May be repeated after a crash: the same sample is kept once."""
        try:
            while self._roll():
                pass
        except DamagedFile as damage:               # of the hot log; `repair` reads again what it still holds
            self._begin_anew(damage)

    def put_away(self, path: Path) -> None:
        """Keep the damaged chunks of a month's file elsewhere, though nothing takes their place."""
        with naming(path), closing(open_writer(path, _CHUNK)) as database, transaction(database):
            rows = database.execute("SELECT tag, hour, n, crc, samples FROM chunk")
            damaged = [(tag, hour, blob) for tag, hour, n, crc, blob in rows if not _sound(n, crc, blob)]
            for tag, hour, blob in damaged:
                self._keep(path, _place(database, tag, hour), blob)
                database.execute("DELETE FROM chunk WHERE tag = ? AND hour = ?", (tag, hour))

    # ------------------------------------------------------------------ private
    def _open(self) -> None:
        with naming(self._path):
            self._hot = open_writer(self._path, _HOT + SCHEMA)
            self.bands = bands_now(self._hot)
            numbers = {name: number for number, name in self._hot.execute("SELECT number, name FROM tag")}
        if not numbers:                             # a fresh file, perhaps in the place of one that is gone
            numbers = self._numbers or numbers_left(self.directory, self._path)
            with naming(self._path), transaction(self._hot) as hot:
                hot.executemany("INSERT INTO tag(name, number) VALUES (?, ?)", numbers.items())
        self._numbers.update(numbers)

    def _begin_anew(self, damage: DamagedFile) -> None:
        self.close()
        self.aside.append(begin_anew(damage))
        self._open()

    def _append(self, names: list[tuple[int, str]], samples: Samples, bands: Sequence[Band]) -> None:
        assert self._hot is not None
        crc, blob = encode(samples)
        with naming(self._path), transaction(self._hot) as hot:
            hot.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", names)
            store_bands(hot, bands)
            hot.execute(
                "INSERT INTO hot(first, last, n, crc, samples) VALUES (?,?,?,?,?)",
                (int(samples.at.min()), int(samples.at.max()), len(samples), crc, blob),
            )
        self.bands |= {tag: silence for tag, _, silence in bands}

    def _roll(self) -> bool:
        """About `ROLL_SAMPLES` of the oldest; False = there are none."""
        assert self._hot is not None
        parts: list[Samples] = []
        last = 0
        with naming(self._path):
            for number, first, n, crc, blob in self._hot.execute(
                "SELECT number, first, n, crc, samples FROM hot ORDER BY number"
            ):
                last = number
                try:
                    parts.append(decode(n, crc, blob))
                except ValueError:
                    self._keep(self._path, f"{datetime.fromtimestamp(first / NS, UTC):%Y-%m-%dT%H-%M-%SZ}", blob)
                if sum(len(part) for part in parts) > ROLL_SAMPLES:
                    break
        if not last:
            return False
        self._into_chunks(in_order(join(parts)))
        with naming(self._path):
            self._hot.execute("DELETE FROM hot WHERE number <= ?", (last,))
        return True

    def _into_chunks(self, samples: Samples) -> None:
        hours = samples.at // HOUR_NS
        edges = np.flatnonzero((np.diff(samples.tag) != 0) | (np.diff(hours) != 0)) + 1
        starts = [0, *edges.tolist()] if len(samples) else []
        ends = [*edges.tolist(), len(samples)]
        groups: dict[Path, list[Samples]] = {}
        for start, end in zip(starts, ends, strict=False):
            path = month_path(self.directory, int(hours[start]))
            groups.setdefault(path, []).append(samples.take(slice(start, end)))
        for path, pieces in groups.items():
            try:
                self._into_month(path, pieces)
            except DamagedFile as damage:
                if damage.path != path:
                    raise
                self.aside.append(begin_anew(damage))
                self._into_month(path, pieces)

    def _into_month(self, path: Path, pieces: Sequence[Samples]) -> None:
        """A piece is of one tag and hour. The names go with them: without the hot log they are known from here."""
        with naming(path), closing(open_writer(path, _CHUNK)) as database, transaction(database):
            (known,) = database.execute("SELECT coalesce(max(number), 0) FROM tag").fetchone()      # numbers only grow
            database.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", self._names_after(known))
            for piece in pieces:
                self._add(path, database, piece)

    def _names_after(self, number: int) -> list[tuple[int, str]]:
        assert self._hot is not None
        with naming(self._path):
            return self._hot.execute("SELECT number, name FROM tag WHERE number > ?", (number,)).fetchall()

    def _add(self, path: Path, database: sqlite3.Connection, samples: Samples) -> None:
        tag, hour = int(samples.tag[0]), int(samples.at[0]) // HOUR_NS
        row = database.execute("SELECT n, crc, samples FROM chunk WHERE tag=? AND hour=?", (tag, hour)).fetchone()
        if row is not None:
            try:
                samples = in_order(join((decode(*row), samples)))
            except ValueError:
                self._keep(path, _place(database, tag, hour), row[2])
        crc, blob = encode(samples)
        database.execute("INSERT OR REPLACE INTO chunk VALUES (?,?,?,?,?)", (tag, hour, len(samples), crc, blob))

    def _keep(self, path: Path, place: str, blob: bytes) -> None:
        self.damaged += 1
        target = keep(path, place, blob)
        if target not in self.kept:
            self.kept.append(target)


def _place(month: sqlite3.Connection, tag: int, hour: int) -> str:
    """A chunk's, for a person."""
    (name,) = month.execute("SELECT name FROM tag WHERE number=?", (tag,)).fetchone() or (tag,)
    return f"{name} {datetime.fromtimestamp(hour * HOUR_S, UTC):%Y-%m-%dT%HZ}"


def _sound(n: int, crc: int, blob: bytes) -> bool:
    try:
        decode(n, crc, blob)
    except ValueError:
        return False
    return True


class LiveHistory:
    """`LiveReader` over the files, from any thread or process."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self._directory, self._pool = directory, pool
        self.damaged = 0
        self.unreadable: set[str] = set()           # months of which a page, at least, cannot be read

    @property
    def damage(self) -> str:
        """What the operator should look at, "" = nothing."""
        names = ", ".join(sorted(self.unreadable))
        return f"places in {names} cannot be read; stop the server and repair it (scada historian repair)" if names else ""

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        found = in_order(self._read(tag, first, last, limit))
        found = found.take(slice(max(len(found) - limit, 0), None))
        with self._pool.reading(self._directory / HOT_FILE) as hot:
            held = silence_at(hot, tag, found.at) if hot else None
        return TagHistory(found.at, found.values, found.quality, held)

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        found, damaged = at_instant(
            self._directory / HOT_FILE, partial(month_path, self._directory), self._pool, tags, instant, back
        )
        self.damaged += damaged
        return found

    def tags(self) -> tuple[str, ...]:
        """Every tag that was ever kept."""
        with self._pool.reading(self._directory / HOT_FILE) as hot:
            return tuple(name for (name,) in hot.execute("SELECT name FROM tag ORDER BY name")) if hot else ()

    def _read(self, tag: str, first: int, last: int, limit: int) -> Samples:
        with self._pool.reading(self._directory / HOT_FILE) as hot:
            row = hot.execute("SELECT number FROM tag WHERE name = ?", (tag,)).fetchone() if hot else None
            if hot is None or row is None or first >= last:
                return EMPTY
            number = int(row[0])
            rows = hot.execute(
                "SELECT n, crc, samples FROM hot WHERE last >= ? AND first < ? ORDER BY number", (first, last)
            ).fetchall()
        parts = [part.take((part.at >= first) & (part.at < last)) for part in self._decoded(rows, number)]
        got = sum(len(part) for part in parts)
        enough = 2 * limit                                  # the hot log may repeat everything that was rolled
        oldest, newest = first // HOUR_NS, (last - 1) // HOUR_NS
        for path in sorted(self._directory.glob("live-????-??.sqlite"), reverse=True):
            if got >= enough or not month_path(self._directory, oldest) <= path <= month_path(self._directory, newest):
                continue
            with self._noting(path), self._pool.reading(path) as database:
                if database is None:
                    continue
                for row in database.execute(
                    "SELECT n, crc, samples FROM chunk WHERE tag=? AND hour BETWEEN ? AND ? ORDER BY hour DESC",
                    (number, oldest, newest),
                ):
                    found = [part.take((part.at >= first) & (part.at < last)) for part in self._decoded([row], number)]
                    parts[:0] = found
                    got += sum(len(part) for part in found)
                    if got >= enough:
                        break
        return join(parts)

    @contextmanager
    def _noting(self, path: Path) -> Iterator[None]:
        """What a spoilt month holds is missing; the other months are shown."""
        try:
            yield
        except DamagedFile:
            self.unreadable.add(path.name)

    def _decoded(self, rows: list[tuple[int, int, bytes]], tag: int) -> list[Samples]:
        parts = []
        for row in rows:
            try:
                parts.append(decode(*row, only=tag))
            except ValueError:
                self.damaged += 1
        return parts
