"""The results that a destination does not have yet, as lines for it: in the order in which they were stored or replaced.

Every row has the number of its last change (`results.py`), so one number says what the destination has; a row that is
replaced comes again. Nothing but that number is kept for it, and what is sent twice is one point.
"""

import json
from pathlib import Path
from typing import Final

import numpy as np

from scada.historian.database import DamagedFile, ReadPool
from scada.historian.lines import result_line
from scada.historian.past import Piece
from scada.historian.results import RESULT_FILE

BODY_ROWS: Final = 2_000
_BEHIND: Final = (
    "SELECT c.number, s.kind, s.span, s.name, r.start, h.columns, r.row FROM change c JOIN result r USING (series, start) "
    "JOIN series s ON s.number = c.series JOIN shape h ON h.number = r.shape WHERE c.number > ? ORDER BY c.number LIMIT ?"
)


class ResultsLeft:
    """Of one destination; news comes in the reactor's thread, the rest in the sender's."""

    def __init__(self, store_dir: Path) -> None:
        self._path, self._pool = store_dir / RESULT_FILE, ReadPool()
        self._after = 0
        self._told, self._looked = 1, 0                     # news, and the last of it that was looked for

    @property
    def left(self) -> bool:
        """Whether there may be some. Memory."""
        return self._told != self._looked

    def open(self, place: str) -> None:
        """Go on behind a place; "" is a destination that has none."""
        self._after = int(place or 0)
        self._told += 1

    def close(self) -> None:
        self._pool.close()

    def changed(self) -> None:
        """Something was stored."""
        self._told += 1

    def take(self) -> Piece | None:
        """The next of them; the same again until `sent`."""
        told = self._told
        if told == self._looked:
            return None
        try:
            with self._pool.reading(self._path) as database:
                rows = database.execute(_BEHIND, (self._after, BODY_ROWS)).fetchall() if database else []
        except DamagedFile:
            rows = []                                       # the store that writes it says so; anything else is tried again
        if not rows:
            self._looked = told
            return None
        lines = [
            result_line(kind, span, name, start, json.loads(columns), np.frombuffer(row, "<f8").tolist())
            for _, kind, span, name, start, columns, row in rows
        ]
        body = "".join(lines)
        return Piece(body.encode(), body.count("\n"), str(rows[-1][0]))

    def sent(self, piece: Piece) -> None:
        """The destination has confirmed, or never will."""
        self._after = int(piece.place)
