"""Numbered rows of a store that a destination does not have yet, as lines for it, in the order of their numbers.

Nothing but the number of the last one it has is kept for it; what is sent twice is one point.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from scada.historian.database import DamagedFile, ReadPool
from scada.historian.past import Piece

BODY_ROWS: Final = 2_000


class Left:
    """Of one destination; news comes in the reactor's thread, the rest in the sender's."""

    def __init__(self, path: Path, behind: str, lines: Callable[[Sequence[Any]], tuple[str, int]]) -> None:
        """`behind` asks for the rows behind a number, so many at most, the number first; `lines` counts what it says."""
        self._path, self._behind, self._lines, self._pool = path, behind, lines, ReadPool()
        self.after = 0                                      # number of the last that the destination has
        self._told, self._looked = 1, 0                     # news, and the last of it that was looked for

    @property
    def left(self) -> bool:
        """Whether there may be some. Memory."""
        return self._told != self._looked

    def open(self, place: str) -> None:
        """Go on behind a place; "" is a destination that has none."""
        self.after = int(place or 0)
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
                rows = database.execute(self._behind, (self.after, BODY_ROWS)).fetchall() if database else []
        except DamagedFile:
            rows = []                                       # the store that writes it says so; anything else is tried again
        if not rows:
            self._looked = told
            return None
        body, count = self._lines(rows)
        return Piece(body.encode(), count, str(rows[-1][0]))

    def sent(self, piece: Piece) -> None:
        """The destination has confirmed, or never will."""
        self.after = int(piece.place)
