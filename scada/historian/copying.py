"""Copies that are durable and known by their SHA-256: plain files, and files of SQLite as they are in one instant."""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from scada.errors import StorageError
from scada.historian.database import DAMAGE, reading_once
from scada.historian.refusals import sqlite_sentence

PIECE: Final = 4 << 20                              # read and written at once [B]
PAGES: Final = 1024                                 # of SQLite, copied between two words on progress
Progress = Callable[[int], None]                    # bytes done since the last call


def write_durably(path: Path, pieces: Iterator[bytes], progress: Progress = lambda done: None) -> tuple[int, str]:
    """A new file, synced; (size, SHA-256) of what was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            progress(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def digest_of(path: Path) -> tuple[int, str]:
    """(size, SHA-256) of a file."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces_of(path):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def copy_database(source: Path, target: Path, progress: Progress) -> bool:
    """
    SQLite's own backup of one instant of a file, whoever writes it meanwhile; False if there is nothing in it.

    The read transaction is held for all of it: without one, SQLite begins the copy anew at every commit of
    another process, and under load never ends. Durable when it returns, but for its name in the folder. Raises
    `DamagedFile` where the source is no database, and `StorageError` where it cannot be read or the copy be written.
    """
    with reading_once(source) as database:
        if database is None:
            return False
        (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
        done = 0

        def said(_: int, remaining: int, total: int) -> None:
            nonlocal done
            progress((total - remaining - done) * page_bytes)
            done = total - remaining

        try:
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                copy.execute("PRAGMA synchronous=FULL")
                database.backup(copy, pages=PAGES, progress=said)
                copy.execute("PRAGMA journal_mode=DELETE")      # one file, with no log beside it
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
                raise
            raise StorageError(sqlite_sentence("the copy", target.parent, error)) from error
    handle = os.open(target, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def free_folder(folder: Path) -> None:
    """Raises `StorageError` unless nothing is in the folder, or there is no such thing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is not empty; nothing is overwritten, choose a folder that does not exist yet")
