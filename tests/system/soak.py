"""The result file of the long tests: one JSON object a line, a line a test; appended to, never rewritten (docs/soak.md)."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "test-artefacts" / "soak.jsonl"


class Soak:
    """One long test; what it found is written however it ends."""

    def __init__(self, test: str, file: Path = FILE) -> None:
        self.test, self.file = test, file
        self.found: dict[str, Any] = {}
        self._began, self._start = datetime.now(UTC), time.monotonic()

    def __enter__(self) -> "Soak":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        line = {
            "test": self.test, "began": self._began.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._start, 1), "passed": error is None,
            "error": "" if error is None else f"{type(error).__name__}: {error}"[:2000], "found": self.found,
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
