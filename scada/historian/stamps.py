"""When a file of SQLite was last written, as the file system says: the same stamp means the same content."""

import time
from pathlib import Path
from typing import Final

from scada.historian.inspection import LOG

SETTLED_NS: Final = 2_000_000_000                   # real time: file systems tell times only so finely


def stamp_of(path: Path) -> list[int]:
    """Sizes and times of a file and its log; empty where it was written just now: another write might look the same."""
    stamp: list[int] = []
    for one in (path, path.with_name(path.name + LOG)):
        try:
            stat = one.stat()
        except FileNotFoundError:
            stamp += [0, 0]
            continue
        if not stat.st_size:
            stamp += [0, 0]                         # an empty log says nothing: every reader may make one
        elif stat.st_mtime_ns > time.time_ns() - SETTLED_NS:
            return []
        else:
            stamp += [stat.st_size, stat.st_mtime_ns]
    return [*stamp, path.stat().st_ino] if path.exists() else []
