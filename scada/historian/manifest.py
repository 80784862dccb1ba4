"""What a backup holds: its files with sizes and SHA-256, written when everything else is durable.

A folder without a manifest is a backup that was not finished. A folder may hold a backup and later ones that add to it,
each with a manifest of its own in `increments/NUMBER`: it names every file of that backup, and where its bytes lie, which
may be in an earlier one.
"""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Final

import attrs

from scada.errors import StorageError

MANIFEST: Final = "manifest.json"
INCREMENTS: Final = "increments"
FORMAT: Final = 2
_READ: Final = (1, 2)


@attrs.frozen
class Entry:
    """A file of a backup."""

    name: str                                       # below the history's folder, with slashes
    size: int                                       # [B]
    sha256: str
    place: str                                      # of its bytes, below the backup's folder, with slashes


@attrs.frozen
class Manifest:
    """A whole backup."""

    version: str                                    # of the program that made it
    begun: str                                      # UTC; what was acknowledged before it is in the backup
    ended: str                                      # UTC
    files: tuple[Entry, ...]
    damaged: tuple[str, ...] = ()                   # names of files that were damaged already, copied as they were
    log: tuple[Entry, ...] = ()                     # segments of the journal since the backup before, merged in this one
    part: str = ""                                  # folder of what was copied now; "" = the first backup's
    history: str = ""                               # which history this is of; "" = an earlier version did not say
    segment: int = 0                                # the journal before this one's segment is merged in the files
    reaches: int = 0                                # ns, site time: when the newest record was received; 0 = there is none
    seen: dict[str, list[int]] = attrs.field(factory=dict)      # stamps of the files that were copied, to tell change

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files)

    @property
    def copied(self) -> int:
        """Of it, and of the log, what was copied now and not before. [B]"""
        every = (*self.files, *self.log)
        return sum(entry.size for entry in every if entry.place.startswith(f"{self.part}/") or not self.part)

    def entry(self, name: str) -> Entry | None:
        return next((one for one in (*self.files, *self.log) if one.name == name), None)


def encode(manifest: Manifest) -> str:
    return json.dumps({"format": FORMAT, **attrs.asdict(manifest)}, indent=1) + "\n"


def decode(text: str) -> Manifest:
    """Raises `StorageError` for what `encode` never wrote, or a later version did."""
    try:
        said = json.loads(text)
        if said.pop("format") not in _READ:
            raise StorageError("a later version made this backup; restore it with that one")
        files, log = _entries(said.pop("files")), _entries(said.pop("log", ()))
        damaged = tuple(str(name) for name in said.pop("damaged"))
        manifest = Manifest(**said, files=files, damaged=damaged, log=log)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"it is no manifest of a backup: {error!r}") from None
    if strange := sorted(strange_names(text for entry in (*files, *log) for text in (entry.name, entry.place))):
        raise StorageError(f"the manifest names files outside the backup: {', '.join(strange)}")
    return manifest


def read_manifest(backup: Path) -> Manifest:
    """Of a finished backup; raises `StorageError`."""
    try:
        return decode((backup / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{backup} has no {MANIFEST}: it is no backup, or one that was not finished") from None
    except (StorageError, UnicodeDecodeError) as error:
        raise StorageError(f"{backup / MANIFEST}: {error}") from None


def read_manifests(backup: Path) -> list[Manifest]:
    """Of a backup and those that were added to it, oldest first; one that was not finished is none."""
    added = sorted((backup / INCREMENTS).glob(f"*/{MANIFEST}"))
    return [read_manifest(backup), *(read_manifest(path.parent) for path in added)]


def strange_names(names: Iterable[str]) -> Iterable[str]:
    """Names that lead out of a folder."""
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            yield name


def _entries(said: Iterable[Any]) -> tuple[Entry, ...]:
    return tuple(
        Entry(str(one["name"]), int(one["size"]), str(one["sha256"]), str(one.get("place", one["name"]))) for one in said
    )
