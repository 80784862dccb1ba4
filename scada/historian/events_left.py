"""The events that a destination does not have yet, as lines for it, in the order in which they were stored.

Nothing but the number of the last one it has is kept for it; what is sent twice is one point.
"""

from pathlib import Path
from typing import Final

from scada.historian.database import DamagedFile, ReadPool
from scada.historian.event_rows import EVENT_FILE, FROM, ROW, event_of
from scada.historian.lines import event_line
from scada.historian.past import Piece

BODY_ROWS: Final = 2_000
_BEHIND: Final = f"SELECT {ROW} FROM {FROM} WHERE event.number > ? ORDER BY event.number LIMIT ?"


class EventsLeft:
    """Of one destination; news comes in the reactor's thread, the rest in the sender's."""

    def __init__(self, store_dir: Path) -> None:
        self._path, self._pool = store_dir / EVENT_FILE, ReadPool()
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
                rows = database.execute(_BEHIND, (self.after, BODY_ROWS)).fetchall() if database else []
        except DamagedFile:
            rows = []                                       # the store that writes it says so; anything else is tried again
        if not rows:
            self._looked = told
            return None
        lines = []
        for row in rows:
            try:
                lines.append(event_line(event_of(row), row[1]))
            except ValueError:
                continue                                    # `verify` names it
        return Piece("".join(lines).encode(), len(lines), str(rows[-1][0]))

    def sent(self, piece: Piece) -> None:
        """The destination has confirmed, or never will."""
        self.after = int(piece.place)
