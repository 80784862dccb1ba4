"""What the field remembers over a restart of the simulator: one file, replaced whole, on the disk before anybody is told.

A meter keeps its register when the power fails, and so must a simulated one: registers that were worked out anew would
jump, and the balance would show the jump as energy. The file is written when an hour ends, when a load is switched and at
a clean stop. Between two of these nothing from outside moves the world, so that what is lived again after a kill -9
is the same to the last pulse.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scada.clock import HOUR_S, NS
from scada.errors import ConfigError, Problem, StorageError

VERSION: Final = 1
BACK_H: Final = 24                          # site hours the clock may stand behind the field: it waits for the clock


class FieldMemory:
    """The file; without a path nothing is remembered."""

    def __init__(self, path: Path | None, district: str) -> None:
        self._path, self._district = path, district
        self.broken: StorageError | None = None             # why nothing more can be remembered

    def load(self, now: int) -> dict[str, Any] | None:
        """
        What was remembered; None if nothing was. Raises `ConfigError`.

        Parameters
        ----------
        now : int
            Site time. [ns since 1970]
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            read = json.loads(self._path.read_text(encoding="utf-8"))
            version, district, facts = read["version"], read["district"], dict(read["field"])
            ahead_h = (facts["world"]["at_ms"] * NS // 1000 - now) / (NS * HOUR_S)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self._refused(f"cannot be read as the field's memory: {error!r}") from None
        if version != VERSION:
            raise self._refused(f"version {version}; expected {VERSION}")
        if district != self._district:
            raise self._refused("belongs to a district of another seed or other profiles")
        if ahead_h > BACK_H:
            raise self._refused(f"stands {ahead_h:.0f} site hours ahead of the site clock")
        return facts

    def save(self, facts: Mapping[str, Any]) -> None:
        """Keep the facts, durably; a disk that refuses is told in `broken`."""
        if self._path is None or self.broken is not None:
            return
        text = json.dumps({"version": VERSION, "district": self._district, "field": facts}, separators=(",", ":"))
        temporary = self._path.with_suffix(".tmp")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            why = f"{self._path} cannot be written ({error.strerror}); the field would forget its registers"
            self.broken = StorageError(why)

    def _refused(self, why: str) -> ConfigError:
        return ConfigError([Problem(str(self._path), "", f"{why}; remove it, and the field begins anew")])
