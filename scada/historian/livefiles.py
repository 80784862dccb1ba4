"""The files of live history: a hot log with a row a flush, and a file a month with a chunk per tag and hour.

A read takes the hot log first and the chunks after it, so that what is being rolled is seen twice rather than not at all,
and repeats are taken out.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from scada.clock import HOUR_S, NS
from scada.historian.bands_stored import SCHEMA, Band, bands_now, silence_at, store_bands
from scada.historian.database import ReadPool, open_writer, transaction
from scada.historian.instants import at_instant
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
"""


def month_path(directory: Path, hour: int) -> Path:
    return directory / f"live-{datetime.fromtimestamp(hour * HOUR_S, UTC):%Y-%m}.sqlite"


class LiveFiles:
    """Writes them; one thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._hot: sqlite3.Connection | None = None
        self.damaged = 0
        self.bands: dict[int, int] = {}             # silence of each tag that has a dead-band, or had one [ns]

    def open(self) -> dict[str, int]:
        """Numbers of the tags known so far."""
        self._hot = open_writer(self.directory / HOT_FILE, _HOT + SCHEMA)
        self.bands = bands_now(self._hot)
        return {name: number for number, name in self._hot.execute("SELECT number, name FROM tag")}

    def close(self) -> None:
        if self._hot is not None:
            self._hot.close()
            self._hot = None

    def append(self, names: list[tuple[int, str]], samples: Samples, bands: Sequence[Band] = ()) -> None:
        """Durable when it returns."""
        assert self._hot is not None
        crc, blob = encode(samples)
        with transaction(self._hot) as hot:
            hot.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", names)
            store_bands(hot, bands)
            hot.execute(
                "INSERT INTO hot(first, last, n, crc, samples) VALUES (?,?,?,?,?)",
                (int(samples.at.min()), int(samples.at.max()), len(samples), crc, blob),
            )
        self.bands |= {tag: silence for tag, _, silence in bands}

    def roll(self) -> None:
        """Move the hot log into the chunks. May be repeated after a crash: the same sample is kept once."""
        assert self._hot is not None
        while True:
            parts: list[Samples] = []
            last = 0
            for number, n, crc, blob in self._hot.execute("SELECT number, n, crc, samples FROM hot ORDER BY number"):
                last = number
                try:
                    parts.append(decode(n, crc, blob))
                except ValueError:
                    self.damaged += 1
                if sum(len(part) for part in parts) > ROLL_SAMPLES:
                    break
            if not last:
                return
            self._into_chunks(in_order(join(parts)))
            self._hot.execute("DELETE FROM hot WHERE number <= ?", (last,))

    def _into_chunks(self, samples: Samples) -> None:
        hours = samples.at // HOUR_NS
        edges = np.flatnonzero((np.diff(samples.tag) != 0) | (np.diff(hours) != 0)) + 1
        starts = [0, *edges.tolist()] if len(samples) else []
        ends = [*edges.tolist(), len(samples)]
        groups: dict[Path, list[tuple[int, int]]] = {}
        for start, end in zip(starts, ends, strict=False):
            groups.setdefault(month_path(self.directory, int(hours[start])), []).append((start, end))
        with ExitStack() as stack:
            for path, slices in groups.items():
                database = open_writer(path, _CHUNK)
                stack.callback(database.close)
                with transaction(database):
                    for start, end in slices:
                        self._add(database, samples.take(slice(start, end)), int(hours[start]))

    def _add(self, database: sqlite3.Connection, samples: Samples, hour: int) -> None:
        tag = int(samples.tag[0])
        row = database.execute("SELECT n, crc, samples FROM chunk WHERE tag=? AND hour=?", (tag, hour)).fetchone()
        if row is not None:
            try:
                samples = in_order(join((decode(*row), samples)))
            except ValueError:
                self.damaged += 1
        crc, blob = encode(samples)
        database.execute("INSERT OR REPLACE INTO chunk VALUES (?,?,?,?,?)", (tag, hour, len(samples), crc, blob))


class LiveHistory:
    """`LiveReader` over the files, from any thread or process."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self._directory, self._pool = directory, pool
        self.damaged = 0

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
            with self._pool.reading(path) as database:
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

    def _decoded(self, rows: list[tuple[int, int, bytes]], tag: int) -> list[Samples]:
        parts = []
        for row in rows:
            try:
                parts.append(decode(*row, only=tag))
            except ValueError:
                self.damaged += 1
        return parts
