"""Where the sealed key store lies: one small interface, and the file that implements it (an edge: reads and writes files).

A database may stand in its place: one row, replaced under a lock, whose version number is the stamp. What any of them must
do is tested by one suite, `tests/drivers/dmesh/test_vault.py`, which a table passes too.
"""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from scada.errors import ConfigError, Problem, StorageError

MASTER_ENV: Final = "SCADA_MASTER_KEY"
MASTER: Final = 32                      # bytes


class Vault(Protocol):
    """One sealed content, which other processes may replace too. Any thread; what cannot be done is a `StorageError`."""

    name: str                           # for people: where it is

    def stamp(self) -> Hashable | None:
        """Another value once the content was replaced; None: there is none. Never waits for a writer."""

    def read(self) -> bytes | None:
        """The content, whole; None where there is none. Never waits for a writer."""

    def replace(self, data: bytes) -> None:
        """Durable when it returns: after a crash it is the old content or the new one. Blocking; inside `alone`."""

    def alone(self) -> AbstractContextManager[None]:
        """No other vault of the same content, here or in another process, is inside meanwhile. Blocking."""


class FileVault:
    """A file of mode 0600, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path, self.name = path, str(path)

    def stamp(self) -> Hashable | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> StorageError:
        return StorageError(f"{self._path}: the key store cannot be read: {error.strerror}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path.with_suffix(".lock"), "a+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StorageError(f"{self._path}: the key store cannot be written: {error.strerror}") from error

    def replace(self, data: bytes) -> None:
        try:
            self._replace(data)
        except OSError as error:
            raise StorageError(f"{self._path}: the key store cannot be written: {error.strerror}") from error

    def _replace(self, data: bytes) -> None:
        temporary = self._path.with_suffix(".tmp")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def master_key(path: Path, *, may_make: bool) -> bytes:
    """From the environment, else from its file, else made (only together with a new store)."""
    def parsed(text: str, where: str) -> bytes:
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != MASTER:
            raise ConfigError([Problem(where, "", f"expected the master key as {2 * MASTER} hex digits")])
        return key

    if given := os.environ.get(MASTER_ENV):
        return parsed(given, MASTER_ENV)
    try:
        with open(path, encoding="ascii") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigError([Problem(str(path), "", "others may read the master key; expected mode 0600")])
            return parsed(file.read(), str(path))
    except FileNotFoundError:
        if not may_make:
            raise ConfigError([Problem(str(path), "", "no such file; expected the master key of the key store")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error}")]) from None
    key = secrets.token_bytes(MASTER)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        FileVault(path)._replace(key.hex().encode() + b"\n")
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be written: {error.strerror}")]) from None
    return key


