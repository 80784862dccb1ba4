"""What went over the wire of each concentrator, in a file for a bug report: one line of JSON a piece, as it came.

    {"at": 1.234, "link": "d0c00001", "connection": 1, "way": "up", "data": "444d10…"}

`at` is real time since the recording began [s]; `way` is open, up (to the server), down or close. What was sealed stays
sealed: only who has the link key can read it (`wire_replay`).
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from scada.drivers.dmesh.simulator.line import Tap
from scada.errors import ConfigError, Problem, StartError, missing_file

WAYS: Final = ("open", "up", "down", "close")
MOST_BYTES: Final = 1 << 30                 # of the file; then recording stops, and says so in it


@attrs.frozen
class Piece:
    """One line."""

    at: float
    link_id: int
    connection: int
    way: str
    data: bytes = attrs.field(repr=False)


class WireLog:
    """Writes; raises `StartError` where the file cannot be made. A full disk later ends the recording, not the field."""

    def __init__(self, path: Path, seconds: Callable[[], float]) -> None:
        self._seconds, self._began, self._bytes = seconds, seconds(), 0
        try:
            path.unlink(missing_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
        except OSError as error:
            raise StartError("wire record", f"{path} cannot be written: {error.strerror}") from None
        self.trouble = ""

    def tap(self, link_id: int) -> Tap:
        """What a concentrator's line calls."""
        return lambda connection, way, data: self._write(link_id, connection, way, data)

    def close(self) -> None:
        if not self.trouble:
            self._file.close()
            self.trouble = "closed"

    def _write(self, link_id: int, connection: int, way: str, data: bytes) -> None:
        if self.trouble:
            return
        at = round(self._seconds() - self._began, 3)
        fact = {"at": at, "link": f"{link_id:08x}", "connection": connection, "way": way, "data": data.hex()}
        line = json.dumps(fact) + "\n"
        self._bytes += len(line)
        try:
            self._file.write(line)
            self._file.flush()
            if self._bytes > MOST_BYTES:
                self.close()
        except OSError as error:
            self.trouble = str(error.strerror)


def read(path: Path) -> tuple[Piece, ...]:
    """The pieces in their order; a last line that was cut off by a kill is left out. Raises `ConfigError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise missing_file(path, "a wire that `scada simulate --record` wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error}")]) from None
    pieces, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            fact = json.loads(line)
            if fact["way"] not in WAYS:
                raise ValueError(fact["way"])
            pieces.append(Piece(
                float(fact["at"]), int(fact["link"], 16), int(fact["connection"]), fact["way"], bytes.fromhex(fact["data"])
            ))
        except (ValueError, TypeError, KeyError):
            if number < len(lines):
                expected = "is no piece of a wire; expected at, link, connection, way and data"
                problems.append(Problem(str(path), "", expected, number))
    if problems:
        raise ConfigError(problems)
    return tuple(pieces)
