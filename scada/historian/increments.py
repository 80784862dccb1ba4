"""Backups that add to an earlier one: of which history they are, and their numbers."""

import os
from pathlib import Path
from typing import Final
from uuid import uuid4

from scada.historian.copying import write_durably
from scada.historian.journal import sync_directory

IDENTITY: Final = "identity"                        # a file in the history's folder; no backup has it


def identity(directory: Path) -> str:
    """Which history this is. A restored one is another: its journal has other records under the same numbers."""
    path = directory / IDENTITY
    if not path.exists():
        unfinished = path.with_name(f"{IDENTITY}.new")
        unfinished.unlink(missing_ok=True)
        write_durably(unfinished, iter((uuid4().hex.encode(),)))
        os.replace(unfinished, path)
        sync_directory(directory)
    return path.read_text(encoding="ascii")


def newest(increments: Path) -> int:
    """The highest number of a backup that was added, finished or not; numbers tell the order, whatever the clock does."""
    return max((int(path.name) for path in increments.glob("??????") if path.name.isdecimal()), default=0)
