"""One process per directory: two writers in one store would corrupt what was acknowledged."""

import fcntl
import os
from pathlib import Path
from typing import IO

from scada.errors import StartError


def private_files() -> None:
    """Whatever this process writes from now on is readable by its user alone (keys, hashes, history)."""
    os.umask(0o077)


def private_directory(path: Path) -> None:
    """Make a directory for this user alone, if it is not there; raises `StartError`."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartError("data directory", f"{path}: {error.strerror}", "check data_dir and its owner") from None


def lock_directory(directory: Path) -> IO[str]:
    """Lock a directory until the file is closed or the process ends; `BlockingIOError` if another process has it."""
    file = (directory / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


class DataDirLock:
    """An advisory lock that the kernel releases when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Make the directory if need be and lock it; raises `StartError`."""
        private_directory(self._directory)
        try:
            self._file = lock_directory(self._directory)
        except BlockingIOError:
            raise StartError(
                "data directory", f"{self._directory} is in use by another server", "stop that one, or set another data_dir"
            ) from None
        except OSError as error:
            raise StartError("data directory", f"{self._directory}: {error.strerror}", "check its owner") from None

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
