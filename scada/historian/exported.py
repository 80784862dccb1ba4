"""What an export holds: its Parquet files with rows, sizes and SHA-256, and of which time. Written last of all."""

import json
from pathlib import Path
from typing import Final

import attrs

from scada.errors import StorageError
from scada.historian.manifest import strange_names

EXPORT: Final = "export.json"
FORMAT: Final = 1
KINDS: Final = ("intervals", "live", "results", "events")


@attrs.frozen
class Part:
    """A Parquet file of an export."""

    name: str                                       # below the export's folder, with slashes: kind/month=YYYY-MM/…
    kind: str
    rows: int
    size: int                                       # [B]
    sha256: str


@attrs.frozen
class Export:
    """A whole export."""

    version: str                                    # of the program that made it
    begun: str                                      # UTC
    kinds: tuple[str, ...]
    first: int | None                               # from when, s since 1970; None = from the beginning
    last: int | None                                # up to before when; None = to the end
    files: tuple[Part, ...]
    damaged: tuple[str, ...] = ()                   # what could not be read, and is not in the export
    unnamed: int = 0                                # rows whose channel the state file did not name yet, left out

    @property
    def size(self) -> int:
        return sum(part.size for part in self.files)

    def rows(self, kind: str) -> int:
        return sum(part.rows for part in self.files if part.kind == kind)


def encode(export: Export) -> str:
    return json.dumps({"format": FORMAT, **attrs.asdict(export)}, indent=1) + "\n"


def read_export(folder: Path) -> Export:
    """Of a finished export; raises `StorageError`."""
    path = folder / EXPORT
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said.pop("format") != FORMAT:
            raise StorageError(f"{path}: a later version made this export; import it with that one")
        files = tuple(Part(**one) for one in said.pop("files"))
        kinds, damaged = tuple(said.pop("kinds")), tuple(said.pop("damaged"))
        export = Export(**said, files=files, kinds=kinds, damaged=damaged)
    except FileNotFoundError:
        raise StorageError(f"{folder} has no {EXPORT}: it is no export, or one that was not finished") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is no list of an export: {error!r}") from None
    if strange := sorted(strange_names(part.name for part in files)):
        raise StorageError(f"{path} names files outside the export: {', '.join(strange)}")
    if unknown := sorted({part.kind for part in files} - set(KINDS)):
        raise StorageError(f"{path} names kinds nobody knows: {', '.join(unknown)}; expected {', '.join(KINDS)}")
    return export
