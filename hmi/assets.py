"""Finds the built UI files: their names carry a hash, and `meta.json` of the bundler knows them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

DIST: Final = Path(__file__).parent / "ui" / "dist"
PREFIX: Final = "/ui/"


class Assets:
    """URLs of entry points ("app", "trend", "style"); empty where the bundle was not built."""

    def __init__(self, dist: Path = DIST) -> None:
        self.dist = dist
        self._urls = _read(dist)

    @property
    def present(self) -> bool:
        return bool(self._urls)

    def url(self, name: str) -> str:
        """URL of "app.js" or "style.css"; "" if there is no bundle or no such file."""
        return self._urls.get(name, "")


@lru_cache
def _read(dist: Path) -> dict[str, str]:
    try:
        outputs = json.loads((dist / "meta.json").read_text(encoding="utf-8"))["outputs"]
    except (OSError, ValueError, KeyError):
        return {}
    found: dict[str, str] = {}
    for path, output in outputs.items():
        entry = output.get("entryPoint")
        if entry:
            stem, suffix = Path(entry).stem, Path(path).suffix
            found[stem + suffix] = PREFIX + Path(path).name
            if bundle := output.get("cssBundle"):
                found[stem + ".css"] = PREFIX + Path(bundle).name
    return found
