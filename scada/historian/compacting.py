"""Gives back the room that replaced blocks and rolled samples left in the files, while no server runs.

SQLite writes each file anew and puts it in the place of the old one in a transaction: a crash leaves the one or the other.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from scada.errors import StorageError
from scada.historian.database import BUSY_SECONDS, DamagedFile, naming
from scada.historian.inspection import databases, size_on_disk, with_logs
from scada.historian.offline import alone

WORTH: Final = 0.05                                 # share of a file that must be free before it is written anew
COPIES: Final = 2                                   # of a file, on the disk while it is written anew


@attrs.define
class Compacted:
    """What was gained."""

    before: int = 0                                 # of all files [B]
    after: int = 0
    files: list[Path] = attrs.field(factory=list)               # written anew
    damaged: list[str] = attrs.field(factory=list)              # what SQLite cannot read, left as it is


def compact(directory: Path, advance: Callable[[str, float], None] = lambda what, done: None) -> Compacted:
    """Raises `StartError` where a server has the folder, `StorageError` where the disk refuses or lacks the room."""
    done, paths = Compacted(), databases(directory)
    with alone(directory):
        done.before = size_on_disk(with_logs(paths))
        for path in paths:
            size = size_on_disk(with_logs([path]))
            try:
                if _compacted(path, size):
                    done.files.append(path)
            except DamagedFile as error:
                done.damaged.append(str(error))
            advance(path.name, size)
        done.after = size_on_disk(with_logs(paths))
    return done


def _compacted(path: Path, size: int) -> bool:
    """Write a file anew if that is worth it."""
    with naming(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=FULL")
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        if free <= WORTH * pages:
            return False
        if (room := shutil.disk_usage(path.parent).free) < COPIES * size:
            raise StorageError(f"to write {path.name} anew needs {COPIES * size:,} bytes, and the disk has {room:,}")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return True
