"""Photos of meters on disk: named after their content, bounded one by one and all together. Blocking."""

import os
import threading
from hashlib import sha256
from pathlib import Path

from scada.dial import MOST_PHOTO_BYTES, PHOTO_NAME
from scada.dials.images import bare, kind_of
from scada.errors import CommandRejected, StorageError


class PhotoStore:
    """One folder; nobody else writes into it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = threading.Lock()
        self._held = -1                     # bytes; counted at first use

    def keep(self, data: bytes) -> str:
        """The photo's name; the same photo again has the same one. Raises `CommandRejected`, or `StorageError`."""
        if len(data) > MOST_PHOTO_BYTES:
            most = MOST_PHOTO_BYTES >> 20
            raise CommandRejected([f"the photo has {len(data) / 2**20:.1f} MB: at most {most} are taken"])
        try:
            picture = bare(data)
        except ValueError as error:
            raise CommandRejected([f"the photo: {error}"]) from None
        name = f"{sha256(picture).hexdigest()[:32]}.{kind_of(picture)}"
        with self._lock:
            try:
                self._put(name, picture)
            except OSError as error:
                raise StorageError(f"the photo could not be stored: {error.strerror}") from error
        return name

    def _put(self, name: str, picture: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / name
        if path.exists():
            return
        if self._held < 0:
            self._held = sum(one.stat().st_size for one in os.scandir(self._folder))
        if self._held + len(picture) > self._most:
            raise CommandRejected([f"{self._most >> 20} MB of photos are stored: no more are taken"])
        temporary = path.with_suffix(".part")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(picture)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._held += len(picture)

    def photo(self, name: str) -> bytes | None:
        """A stored photo; None for any name that is not of ours."""
        if PHOTO_NAME.fullmatch(name) is None:
            return None
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None
