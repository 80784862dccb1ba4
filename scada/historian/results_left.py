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
from scada.historian.result_file import RESULT_FILE
from scada.historian.result_sums import STORED, sound

_BEHIND: Final = (
    f"SELECT c.number, s.kind, s.span, s.name, r.start, h.columns, r.series, {STORED} "
    "FROM change c JOIN result r USING (series, start) "
    "JOIN series s ON s.number = c.series JOIN shape h ON h.number = r.shape WHERE c.number > ? ORDER BY c.number LIMIT ?"
)


class ResultsLeft(Left):
    """Of one destination."""

    def __init__(self, store_dir: Path) -> None:
        super().__init__(store_dir / RESULT_FILE, _BEHIND, _lines)


def _lines(rows: Sequence[Any]) -> tuple[str, int]:
    """Damaged rows are left out: `verify` names them."""
    series, start, shape = (np.array([row[place] for row in rows], np.int64) for place in (6, 4, 7))
    columns = {row[7]: json.loads(row[5]) for row in rows}
    found = sound(series, start, shape, [row[8] for row in rows], columns)
    values = {line: one for part in found.values() for line, one in zip(part.lines.tolist(), part.values, strict=True)}
    body = "".join(
        result_line(kind, span, name, at, columns[number], values[line].tolist())
        for line, (_, kind, span, name, at, _, _, number, _) in enumerate(rows) if line in values
    )
    return body, body.count("\n")
