"""The results that a destination does not have yet, in the order in which they were stored or replaced.

Every row has the number of its last change (`results.py`), so one number says what the destination has; a row that is
replaced comes again.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from scada.historian.left import Left
from scada.historian.lines import result_line
from scada.historian.results import RESULT_FILE

_BEHIND: Final = (
    "SELECT c.number, s.kind, s.span, s.name, r.start, h.columns, r.row FROM change c JOIN result r USING (series, start) "
    "JOIN series s ON s.number = c.series JOIN shape h ON h.number = r.shape WHERE c.number > ? ORDER BY c.number LIMIT ?"
)


class ResultsLeft(Left):
    """Of one destination."""

    def __init__(self, store_dir: Path) -> None:
        super().__init__(store_dir / RESULT_FILE, _BEHIND, _lines)


def _lines(rows: Sequence[Any]) -> tuple[str, int]:
    body = "".join(
        result_line(kind, span, name, start, json.loads(columns), np.frombuffer(row, "<f8").tolist())
        for _, kind, span, name, start, columns, row in rows
    )
    return body, body.count("\n")
