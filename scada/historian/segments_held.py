"""The journal's segments, kept readable for a while although the server that writes them deletes what is merged."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from scada.errors import StorageError
from scada.historian.journal import kept_in, segments_in
from scada.historian.segment import TORN, Rotten, scan

LOOK_S: Final = 0.05                                # real time between two looks for new ones; to fill one takes longer


class SegmentsHeld:
    """Opens every segment there is, and in a thread of its own those that come, until it is left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[int, int] = {}            # number -> descriptor
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="journal-held", daemon=True)
        self._trouble: OSError | None = None
        self._newest = 0                            # of those that were there at the first look

    def __enter__(self) -> Self:
        self._newest = max((number for number, _ in segments_in(self._directory)), default=0)
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()
        while self._files:
            os.close(self._files.popitem()[1])

    def look(self) -> None:
        """Open those that were not there before."""
        with self._lock:
            for number, path in segments_in(self._directory):
                self._open(number, path)

    def contents(self, first: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """
        (number, bytes) of segment `first` and all after it, as they are when asked for, without a torn tail.

        Raises `StorageError` if one of them came and went unseen.
        """
        self.look()
        if self._trouble is not None:
            raise self._trouble
        with self._lock:
            for number, path in segments_in(kept_in(self._directory)):
                if number > self._newest and number >= first:   # it came and was put by
                    self._open(number, path)
            held = sorted(number for number in self._files if number >= first)
        missing = sorted(set(range(max(first, self._newest + 1), max(held, default=0))) - set(held))
        if missing:
            gone = f"segment {missing[0]} of the journal was merged and deleted before it could be copied"
            raise StorageError(f"{gone}; make the backup again")
        for number in held:
            yield number, iter((_whole(self._files[number]),))

    def before(self, first: int, upto: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """(number, bytes) of what there still is of the merged segments from `first` up to before `upto`."""
        with self._lock:
            kept = {number: path for number, path in segments_in(kept_in(self._directory)) if first <= number < upto}
            for number, path in kept.items():
                self._open(number, path)
            held = sorted(number for number in self._files if first <= number < upto)
        for number in held:
            yield number, iter((_whole(self._files[number]),))

    # ------------------------------------------------------------------ private
    def _open(self, number: int, path: Path) -> None:
        if number not in self._files:
            with suppress(FileNotFoundError):       # merged and deleted since it was listed
                self._files[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def _watch(self) -> None:
        while not self._leaving.wait(LOOK_S):
            try:
                self.look()
            except OSError as error:                # too many files, or a disk that fails: told when it matters
                self._trouble = error


def _whole(file: int) -> bytes:
    """What a segment holds now; the record that is just being written was not acknowledged, and is left out."""
    parts, offset = [], 0
    while part := os.pread(file, 1 << 22, offset):
        parts.append(part)
        offset += len(part)
    data = b"".join(parts)
    for item in scan(data):
        if isinstance(item, Rotten) and item.reason == TORN:
            return data[:item.offset]               # only ever the last one
    return data
