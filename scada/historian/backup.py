"""A consistent copy of a historian's folder while the server writes it.

What is acknowledged stands in the journal, is merged from there into month files, then entered in the state file as
merged, and only then leaves the journal. The copy is made in this order:

1. The segments of the journal that are there are opened, and from then on every new one is, soon after it begins: what
   is open can be read to its end even after the server has deleted it.
2. The state file, in one instant: everything up to its position P is merged, so it is in the month files.
3. The month files, each in an instant of its own, later than 2.
4. The journal from P's segment on, as it is then: later than 3.

So nothing is lost. A record acknowledged before the backup began was in the journal then. If it lies at or before P, it
was in the month files before step 2, so it is in the copies of step 3. If it lies behind P, its segment was not deleted
before step 2 (only what the state calls merged is), so it was there in step 1 or came later; it was opened, and is copied
in step 4. A segment that could come and go without being opened leaves a hole in the numbers, and then the backup fails.

And nothing is wrong. Whatever the month files hold beyond P came through the journal before step 4, so the copied journal
has it too. That is what a crash leaves between the month files and the state file, with a longer journal: the next start
merges everything behind P again, which changes nothing where it is known, and slots of channels and cursors of
archives, which only the state and the journal carry, come out as they were. A state copied after the month files would
call merged what they lack; one copied before them without the later journal would lack the slots of what they hold.

Live tags: the hot log goes first and the chunks after it, so what is rolled meanwhile is there twice rather than not at
all, and readers take repeats out; the numbers of tags that only the chunks have seen are entered last. Results go last of
all: what they lack for the records behind P, the next start tells whoever computes them. Events are one file, copied in one
instant: what was acknowledged before the backup began is in it. So are the case files of suspects and of leaks, which other
parts keep beside the results: what people decided is nowhere else.

A backup into a folder that has one of the same history adds to it: a file that is as it was then is named, not copied. It
also takes the segments of the journal since then that the server has put by, so that every instant between can be restored
(`restoring`).
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

from scada import __version__
from scada.errors import StorageError
from scada.historian.copying import copy_database, digest_of, free_folder, pieces_of, write_durably
from scada.historian.database import DamagedFile, all_aside, reading_once
from scada.historian.estimates import ESTIMATE_FILE
from scada.historian.event_rows import EVENT_FILE
from scada.historian.evidence import kept
from scada.historian.holding import held
from scada.historian.increments import identity, newest
from scada.historian.inspection import CASE_FILES, merged_position, sizes_of, with_logs
from scada.historian.journal import Position, sync_directory
from scada.historian.livefiles import HOT_FILE
from scada.historian.manifest import INCREMENTS, MANIFEST, Entry, Manifest, encode, read_manifests
from scada.historian.months import month_paths
from scada.historian.records import received_of
from scada.historian.refusals import sentence, sqlite_sentence
from scada.historian.result_file import RESULT_FILE
from scada.historian.segment import Sound, scan
from scada.historian.segments_held import SegmentsHeld
from scada.historian.stamps import stamp_of
from scada.historian.state import STATE_FILE

Advance = Callable[[str, int], None]                # what is being copied, and bytes done
KINDS: Final = ("journal", "months", "live", "results", "events", "state", "set aside")


def bytes_to_copy(directory: Path) -> int:
    """What `back_up` will report as done, about."""
    sizes = sizes_of(directory, ())
    return sum(sizes[kind] for kind in KINDS)


def back_up(directory: Path, target: Path, advance: Advance = lambda what, done: None) -> Manifest:
    """
    Copy a historian's folder into an empty or new one, or add to the backup of it that a folder has.

    Durable when it returns. Raises `StorageError`, and then there is no manifest.
    """
    if not (directory / STATE_FILE).exists():
        raise StorageError(f"{directory} holds no history")
    before = read_manifests(target)[-1] if (target / MANIFEST).exists() else None
    if before is None:
        free_folder(target)
    try:
        history = identity(directory)
        if before is not None and before.history != history:
            raise StorageError(f"{target} has a backup of another history, or of one restored since; choose a new folder")
        with held(directory):
            return _Backup(directory, target, history, before, advance).run()
    except OSError as error:
        raise StorageError(sentence("the backup", target, error)) from error
    except sqlite3.Error as error:
        raise StorageError(sqlite_sentence("the backup", target, error)) from error


@attrs.define
class _Backup:
    """One run."""

    directory: Path
    root: Path
    history: str
    before: Manifest | None
    advance: Advance
    begun: str = attrs.field(factory=lambda: _now())
    entries: list[Entry] = attrs.field(factory=list)
    log: list[Entry] = attrs.field(factory=list)
    damaged: list[str] = attrs.field(factory=list)
    seen: dict[str, list[int]] = attrs.field(factory=dict)
    reaches: int = 0

    part: str = ""

    @property
    def target(self) -> Path:
        """Where new bytes go."""
        return self.root / self.part

    def run(self) -> Manifest:
        if self.before is not None:
            self.part = f"{INCREMENTS}/{newest(self.root / INCREMENTS) + 1:06d}"
        (self.target / "journal").mkdir(parents=True, exist_ok=self.before is None)
        with SegmentsHeld(self.directory / "journal") as journal:
            merged = self._state()
            for path in month_paths(self.directory):
                self._database(path)
            self._live()
            self._database(self.directory / RESULT_FILE)
            self._database(self.directory / ESTIMATE_FILE)
            self._database(self.directory / EVENT_FILE)
            for name in CASE_FILES:
                self._database(self.directory / name)
            for number, pieces in journal.contents(merged.segment):
                self.entries.append(self._segment(number, b"".join(pieces)))
            if self.before is not None:
                for number, pieces in journal.before(self.before.segment, merged.segment):
                    self.log.append(self._segment(number, b"".join(pieces)))
            self._evidence()
        manifest = Manifest(
            __version__, self.begun, _now(), tuple(self.entries), tuple(self.damaged), tuple(self.log), self.part,
            self.history, merged.segment, self.reaches or (self.before.reaches if self.before else 0), self.seen,
        )
        self._finish(manifest)
        return manifest

    # ------------------------------------------------------------------ private
    def _state(self) -> Position:
        """Copy the state file; returns up to where the journal is merged, by the copy."""
        copy = self.target / STATE_FILE
        if not self._copied(self.directory / STATE_FILE, copy):
            return Position()
        self._enter(copy)
        with reading_once(copy) as state:
            return merged_position(state) if state is not None else Position()

    def _live(self) -> None:
        hot, copy = self.directory / HOT_FILE, self.target / HOT_FILE
        there = self._copied(hot, copy)
        for path in sorted(self.directory.glob("live-????-??.sqlite")):
            self._database(path)
        if not there:
            return
        with reading_once(hot) as database:
            tags = database.execute("SELECT number, name FROM tag").fetchall() if database else []
        with closing(sqlite3.connect(copy)) as database, database:
            database.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", tags)
        self._enter(copy)

    def _database(self, path: Path) -> None:
        """A file of SQLite; one that the disk has spoilt is copied as it is, for repair."""
        copy, stamp = self.target / path.name, stamp_of(path)
        if stamp:
            self.seen[path.name] = stamp
        if self.before and stamp and self.before.seen.get(path.name) == stamp and (same := self.before.entry(path.name)):
            self.entries.append(same)
            self.advance(path.name, same.size)
            return
        try:
            if self._copied(path, copy):
                self._enter(copy)
        except DamagedFile:
            copy.unlink(missing_ok=True)
            self.damaged.append(path.name)
            for part in with_logs([path]):
                if part.exists():
                    self._write(part.name, pieces_of(part))

    def _copied(self, path: Path, copy: Path) -> bool:
        return copy_database(path, copy, lambda done: self.advance(path.name, done))

    def _evidence(self) -> None:
        """What was set aside as damaged: of no use to readers, of some to repair."""
        for path in (*with_logs(all_aside(self.directory)), *kept(self.directory)):
            if path.exists():
                self._write(path.relative_to(self.directory).as_posix(), pieces_of(path))
        for path in sorted((self.directory / "journal" / "damaged").glob("*.bin")):
            self._write(f"journal/damaged/{path.name}", pieces_of(path))

    def _segment(self, number: int, data: bytes) -> Entry:
        self.reaches = max([self.reaches, *(received_of(one.body) for one in scan(data) if isinstance(one, Sound))])
        return self._written(f"journal/{number:012d}.journal", iter((data,)))

    def _write(self, name: str, pieces: Iterator[bytes]) -> None:
        self.entries.append(self._written(name, pieces))

    def _written(self, name: str, pieces: Iterator[bytes]) -> Entry:
        found = write_durably(self.target / name, pieces, lambda done: self.advance(name, done))
        return self._kept(name, *found)

    def _enter(self, copy: Path) -> None:
        """A copy is whole: into the manifest."""
        self.entries.append(self._kept(copy.name, *digest_of(copy)))

    def _kept(self, name: str, size: int, digest: str) -> Entry:
        """A file in the backup; one that an earlier backup has byte by byte is not kept twice."""
        same = self.before.entry(name) if self.before else None
        if same is not None and (same.size, same.sha256) == (size, digest):
            (self.target / name).unlink()
            return same
        return Entry(name, size, digest, (self.target / name).relative_to(self.root).as_posix())

    def _finish(self, manifest: Manifest) -> None:
        """The manifest, when all that it names is on the disk, names of files included."""
        places = {(self.root / entry.place).parent for entry in (*manifest.files, *manifest.log)}
        for folder in places | {self.target, self.target.parent, self.root, self.root.parent}:
            sync_directory(folder)
        unfinished = self.target / f"{MANIFEST}.new"
        write_durably(unfinished, iter((encode(manifest).encode(),)))
        os.replace(unfinished, self.target / MANIFEST)
        sync_directory(self.target)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
