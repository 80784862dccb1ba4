"""The journal: append-only segment files an acknowledgement rests on.

What could not be written or synced is cut off again, so that a segment never holds half a record in its middle. What
the bytes of a segment mean is in `segment`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from scada.errors import StorageError
from scada.historian.refusals import sentence
from scada.historian.segment import HEAD_BYTES, MAGIC, TORN, Rotten, Sound, head_of, scan

SEGMENT_BYTES: Final = 32 << 20
_NAME: Final = re.compile(r"^(\d{12})\.journal$")


@attrs.frozen(order=True)
class Position:
    """The place just behind a record."""

    segment: int = 0
    offset: int = 0


@attrs.frozen
class Damage:
    """Bytes of a segment that are no record; kept in `damaged/`."""

    path: Path
    offset: int
    length: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name} at byte {self.offset}, {self.length} bytes: {self.reason}"


class Journal:
    """Writes records durably; used by one thread at a time."""

    def __init__(
        self, directory: Path, *, fsync: Callable[[int], None] = os.fdatasync, segment_bytes: int = SEGMENT_BYTES,
        keep: bool = False,
    ) -> None:
        self.directory, self._fsync, self._segment_bytes, self._keep = directory, fsync, segment_bytes, keep
        self._file = -1
        self._end = Position()
        self._dirty = False                         # the file may hold bytes behind `_end`
        self._next = 1

    def open(self, merged: Position) -> list[Damage]:
        """Cut torn tails, keep their bytes as evidence where they were a whole record; appends go to a new segment."""
        self.directory.mkdir(parents=True, exist_ok=True)
        damage = []
        for number in self.segments():
            damage += self._mend(self.path(number))
        self._next = max([merged.segment, *self.segments()]) + 1
        return damage

    def segments(self) -> list[int]:
        """Numbers of the segments on disk, oldest first."""
        return [number for number, _ in segments_in(self.directory)]

    def path(self, number: int) -> Path:
        return self.directory / f"{number:012d}.journal"

    def append(self, bodies: Sequence[bytes]) -> list[Position]:
        """Write and sync a group; returns the place behind each. All or nothing: raises `StorageError`."""
        try:
            self._ready()
            places: list[Position] = []
            parts: list[bytes] = []
            offset = self._end.offset
            for body in bodies:
                parts += (head_of(body), body)
                offset += HEAD_BYTES + len(body)
                places.append(Position(self._end.segment, offset))
            self._dirty = True
            _write_all(self._file, b"".join(parts))
            try:
                self._fsync(self._file)
            except OSError:
                self._abandon()                     # after a failed sync the kernel's pages are not to be trusted
                raise
        except OSError as error:
            raise StorageError(sentence("the journal", self.directory, error)) from error
        self._dirty, self._end = False, places[-1] if places else self._end
        return places

    def leave_out(self) -> None:
        """Leave a number out: whatever comes next lies behind a hole, as where a segment was lost."""
        self.close()
        self._next += 1

    def read(self, after: Position) -> Iterator[tuple[Position, bytes]]:
        """Every readable record behind `after`, oldest first."""
        for number in self.segments():
            if number < after.segment:
                continue
            start = after.offset if number == after.segment else 0
            for item in scan(self.path(number).read_bytes()):
                if isinstance(item, Sound) and item.end > start:
                    yield Position(number, item.end), item.body

    def forgettable(self, merged: Position) -> bool:
        """Whether a segment is wholly merged."""
        return any(number < merged.segment for number in self.segments())

    def forget(self, merged: Position) -> None:
        """Delete the segments that are wholly merged, or put them by for backups: retention deletes them some day."""
        for number in self.segments():
            if number < merged.segment and self._keep:
                kept_in(self.directory).mkdir(exist_ok=True)
                self.path(number).rename(kept_in(self.directory) / self.path(number).name)
            elif number < merged.segment:
                self.path(number).unlink()

    def bytes(self) -> int:
        """Size on disk. [B]"""
        return sum(self.path(number).stat().st_size for number in self.segments())

    def close(self) -> None:
        if self._file >= 0:
            if self._dirty:
                os.ftruncate(self._file, self._end.offset)
            os.close(self._file)
            self._file = -1

    # ------------------------------------------------------------------ private
    def _ready(self) -> None:
        """An open segment that ends behind a whole record, with room in it."""
        if self._file >= 0 and self._dirty:
            os.ftruncate(self._file, self._end.offset)
            os.lseek(self._file, self._end.offset, os.SEEK_SET)
            self._dirty = False
        if self._file >= 0 and self._end.offset >= self._segment_bytes:
            os.close(self._file)
            self._file = -1
        if self._file < 0:
            self._open_segment()

    def _open_segment(self) -> None:
        number, path = self._next, self.path(self._next)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            _write_all(file, MAGIC)
            os.fsync(file)
            sync_directory(self.directory)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._next, self._file, self._dirty = number + 1, file, False
        self._end = Position(number, len(MAGIC))

    def _abandon(self) -> None:
        try:
            os.ftruncate(self._file, self._end.offset)
        finally:
            os.close(self._file)
            self._file, self._dirty = -1, False

    def _mend(self, path: Path) -> list[Damage]:
        data = path.read_bytes()
        rotten = [item for item in scan(data) if isinstance(item, Rotten)]
        evidence = [Damage(path, one.offset, one.length, one.reason) for one in rotten if one.reason != TORN]
        for one in evidence:
            self._keep_evidence(one)
        if rotten and rotten[-1].offset + rotten[-1].length == len(data):
            with path.open("r+b") as file:
                file.truncate(rotten[-1].offset)
                os.fsync(file.fileno())
        return evidence

    def _keep_evidence(self, damage: Damage) -> None:
        folder = self.directory / "damaged"
        folder.mkdir(exist_ok=True)
        target = folder / f"{damage.path.stem}-{damage.offset}.bin"
        if not target.exists():
            with damage.path.open("rb") as file:
                file.seek(damage.offset)
                target.write_bytes(file.read(damage.length))


def kept_in(directory: Path) -> Path:
    """Where a journal puts the segments that are merged."""
    return directory / "kept"


def segments_in(directory: Path) -> list[tuple[int, Path]]:
    """Numbers and files of the segments in a journal's folder, oldest first; none where there is no such folder."""
    names = ((_NAME.match(path.name), path) for path in directory.iterdir()) if directory.is_dir() else ()
    return sorted((int(name[1]), path) for name, path in names if name)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view):]


def sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
