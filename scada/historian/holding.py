"""Whoever reads a whole history for long holds it: meanwhile retention removes nothing of it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

HELD: Final = "held"                                # a lock file; the kernel lets go of it however a process ends


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a history; any number of processes may. Who may not make the lock's file reads without it."""
    file = -1
    with suppress(PermissionError):
        file = os.open(directory / HELD, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        if file >= 0:
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
    finally:
        if file >= 0:
            os.close(file)


@contextmanager
def unheld(directory: Path) -> Iterator[bool]:
    """True when nobody holds a history, and nobody can while the block lasts."""
    file = os.open(directory / HELD, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(file)
