"""The key store: one encrypted file with the keys of links and groups (an edge module: reads and writes files).

AES-256-GCM under a master key that lies in a file of its own, 0600, or in the environment. The file is replaced as
a whole and durably; another process (`scada keys`) may change it while the server runs. No key is ever shown.
"""

import contextlib
import fcntl
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scada.errors import ConfigError, Problem, StorageError

MASTER_ENV: Final = "SCADA_MASTER_KEY"
MAGIC: Final = b"SCADAKS1"
MASTER: Final = 32                      # bytes
KEY: Final = 16
NONCE: Final = 12
COUNTER_AHEAD: Final = 60 << 16         # counters reserved by one write: a minute of them


@attrs.frozen
class Content:
    """What the file holds; replaced as a whole."""

    links: dict[int, bytes] = attrs.field(factory=dict, repr=False)
    groups: dict[tuple[int, int], bytes] = attrs.field(factory=dict, repr=False)    # (number, epoch)
    counter: int = 0                    # every command counter given out so far is below it


class KeyStore:
    """
    Keys by holder. Reads are memory (and a `stat`); what writes blocks, and is thread-safe.

    Only writers take the lock, which they hold over the disk's sync: a link key is asked for in the reactor's thread.
    """

    def __init__(self, path: Path, master: bytes) -> None:
        self._path, self._cipher = path, AESGCM(master)
        self._writing = threading.RLock()
        # Content, and inode, time and size of the file when it was read: one value, so that no reader sees half of it.
        self._held: tuple[Content, tuple[int, ...]] = (Content(), ())
        self._counter = 0
        self.problem = ""                                   # why the file could not be read again, for health
        self._refresh()

    @classmethod
    def open(cls, path: Path, master_key_path: Path) -> "KeyStore":
        """The store at `path`, made empty if it does not exist, and so is a master key. Raises `ConfigError`."""
        return cls(path, _master_key(master_key_path, may_make=not path.exists()))

    def __repr__(self) -> str:
        return f"KeyStore({str(self._path)!r})"

    def link_key(self, link_id: int) -> bytes | None:
        """
        The key of a concentrator; None where it has none.

        A file that was spoilt while the server runs does not disturb those already known: see `problem`.
        """
        try:
            self._refresh()
            self.problem = ""
        except (ConfigError, OSError) as error:
            self.problem = str(error)
        return self._content.links.get(link_id)

    def add_link(self, link_id: int, key: bytes | None = None) -> bytes:
        """Enter a concentrator's key, a random one if none is given; replaces the one before. Blocking."""
        key = secrets.token_bytes(KEY) if key is None else key
        if len(key) != KEY:
            raise ValueError(f"a link key has {KEY} bytes")
        with self._changing() as content:
            self._write(attrs.evolve(content, links={**content.links, link_id: key}))
        return key

    def group_key(self, number: int, epoch: int) -> bytes:
        """The key of a load group in one epoch, made on first need. Blocking then."""
        self._refresh()
        if (held := self._content.groups.get((number, epoch))) is not None:
            return held
        with self._changing() as content:
            groups = content.groups
            if (number, epoch) not in groups:
                groups = {**groups, (number, epoch): secrets.token_bytes(KEY)}
                self._write(attrs.evolve(content, groups=groups))
            return groups[number, epoch]

    def next_counter(self, now: int) -> int:
        """
        A counter for a group command that was never given out before, by this or an earlier run. Blocking.

        `now` is UTC [s]; it stands in the upper bits, so that a server restored from a backup still grows.
        """
        with self._writing:
            counter = max(self._counter + 1, now << 16)
            if counter >= self._content.counter or self._counter == 0:
                with self._changing() as content:
                    counter = max(counter, content.counter)
                    self._write(attrs.evolve(content, counter=counter + COUNTER_AHEAD))
            self._counter = counter
            return counter

    def names(self) -> tuple[str, ...]:
        """Who holds a key, for people."""
        self._refresh()
        links = [f"link {link_id:08x}" for link_id in sorted(self._content.links)]
        return (*links, *(f"group {number} epoch {epoch}" for number, epoch in sorted(self._content.groups)))

    # ------------------------------------------------------------------ private
    @property
    def _content(self) -> Content:
        return self._held[0]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Content]:
        """
        Alone, in this process and among processes, with the newest content.

        It is read here and not taken from what is held: a reader without the lock may just put back an older one.
        """
        with self._writing:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with open(self._path.with_suffix(".lock"), "a+b") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    yield self._read() if self._path.exists() else Content()
            except OSError as error:
                raise StorageError(f"{self._path}: the key store cannot be written: {error.strerror}") from error

    def _refresh(self) -> None:
        """Read the file again if another process replaced it."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._held[1]:
            self._held = self._read(), seen                 # an older file than the newest is found out by its `stat`

    def _read(self) -> Content:
        data = self._path.read_bytes()
        at = len(MAGIC)
        try:
            if data[:at] != MAGIC:
                raise InvalidTag
            raw = cbor2.loads(self._cipher.decrypt(data[at:at + NONCE], data[at + NONCE:], MAGIC))
            return Content(raw["links"], {(number, epoch): key for number, epoch, key in raw["groups"]}, raw["counter"])
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise ConfigError(
                [Problem(str(self._path), "", "the key store does not open with this master key, or it is damaged")]
            ) from None

    def _write(self, content: Content) -> None:
        groups = [[number, epoch, key] for (number, epoch), key in content.groups.items()]
        raw = cbor2.dumps({"links": content.links, "groups": groups, "counter": content.counter})
        nonce = secrets.token_bytes(NONCE)
        _replace(self._path, MAGIC + nonce + self._cipher.encrypt(nonce, raw, MAGIC))
        found = self._path.stat()
        self._held = content, (found.st_ino, found.st_mtime_ns, found.st_size)


def _replace(path: Path, data: bytes) -> None:
    """Write a file of 0600 so that after a crash it is the old one or the new one."""
    temporary = path.with_suffix(".tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _master_key(path: Path, *, may_make: bool) -> bytes:
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
        _replace(path, key.hex().encode() + b"\n")
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be written: {error.strerror}")]) from None
    return key


