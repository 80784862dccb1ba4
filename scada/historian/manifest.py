"""What a backup holds: its files with sizes and SHA-256, written when everything else is durable.

A folder without a manifest is a backup that was not finished.
"""

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

import attrs

from scada.errors import StorageError

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1


@attrs.frozen
class Entry:
    """A file of a backup."""

    name: str                                       # below the backup's folder, with slashes
    size: int                                       # [B]
    sha256: str


@attrs.frozen
class Manifest:
    """A whole backup."""

    version: str                                    # of the program that made it
    begun: str                                      # UTC; what was acknowledged before it is in the backup
    ended: str                                      # UTC
    files: tuple[Entry, ...]
    damaged: tuple[str, ...] = ()                   # names of files that were damaged already, copied as they were

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files)


def encode(manifest: Manifest) -> str:
    return json.dumps({"format": FORMAT, **attrs.asdict(manifest)}, indent=1) + "\n"


def decode(text: str) -> Manifest:
    """Raises `StorageError` for what `encode` never wrote, or a later version did."""
    try:
        said = json.loads(text)
        if said.pop("format") != FORMAT:
            raise StorageError("a later version made this backup; restore it with that one")
        files = tuple(Entry(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in said.pop("files"))
        damaged = tuple(str(name) for name in said.pop("damaged"))
        manifest = Manifest(**{name: str(value) for name, value in said.items()}, files=files, damaged=damaged)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"it is no manifest of a backup: {error!r}") from None
    if strange := sorted(strange_names(entry.name for entry in files)):
        raise StorageError(f"the manifest names files outside the backup: {', '.join(strange)}")
    return manifest


def strange_names(names: Iterable[str]) -> Iterable[str]:
    """Names that lead out of a folder."""
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            yield name
