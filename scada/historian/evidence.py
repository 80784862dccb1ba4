"""Pieces of history whose bytes are not what was written, and which had to make room: kept as files, and named by `status`.

A piece goes into its file before what takes its place is written, so that a crash leaves it here, there, or twice.
"""

import os
import re
import zlib
from pathlib import Path
from typing import Final

from scada.historian.copying import write_durably
from scada.historian.journal import sync_directory

FOLDER: Final = "damaged"
LONGEST: Final = 100                                # of a place, in a file's name


def keep(path: Path, place: str, blob: bytes) -> Path:
    """Durably keep the bytes that stood at a place in a file; the same piece once."""
    name = re.sub(r"[^\w.-]+", "-", place)[:LONGEST]
    target = path.parent / FOLDER / f"{path.stem}_{name}_{zlib.crc32(blob):08x}.bin"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.new")
        unfinished.unlink(missing_ok=True)
        write_durably(unfinished, iter((blob,)))
        os.replace(unfinished, target)
        sync_directory(target.parent)
        sync_directory(path.parent)
    return target


def kept(directory: Path) -> list[Path]:
    """What is kept of a history, as far as nobody has taken it away."""
    return sorted((directory / FOLDER).glob("*.bin"))
