"""The live values from before a destination was added, as lines for it: month by month, the newest first, tag by tag.

Only a place is remembered: (month file, tag, hour) of the chunk that was confirmed last. So it goes on after a restart
where it was, what is sent twice is one point all the same, and a body is all that is ever in memory.
"""

from pathlib import Path
from typing import Final

import attrs

from scada.errors import StorageError
from scada.historian.database import DamagedFile, ReadPool
from scada.historian.lines import escaped, past_lines
from scada.historian.livefiles import HOT_FILE
from scada.historian.samples import decode
from scada.historian.spool import BEGIN

DONE: Final = "done"
BODY_LINES: Final = 5_000               # of one body, and at most an hour of one tag more
_CHUNKS: Final = (
    "SELECT tag, hour, n, crc, samples FROM chunk WHERE (tag, hour) > (?, ?) ORDER BY tag, hour LIMIT 1000"
)


def needed(place: str, path: Path) -> bool:
    """Whether a destination at this place still needs a month file of live values."""
    return place not in ("", DONE) and (place == BEGIN or path.name <= place.split()[0])


@attrs.frozen
class Piece:
    """Some of it, and where one stands once the destination has confirmed."""

    body: bytes
    lines: int
    place: str


class Past:
    """Of one destination; one thread, save `percent` and `left`."""

    def __init__(self, store_dir: Path) -> None:
        self._store_dir = store_dir
        self._pool = ReadPool()
        self._months: list[str] = []                # names of files, the newest first; those that are over are gone
        self._all = 0
        self._after = (0, 0)                        # (tag, hour) in the first of them
        self._highest = 1                           # number of a tag in it
        self._names: dict[int, str] = {}            # escaped
        self.left = False

    def open(self, place: str) -> None:
        """Go on behind a place; "" is a destination of which nobody asked for it. Blocking."""
        self.left = place not in ("", DONE)
        self._months = sorted((path.name for path in self._store_dir.glob("live-????-??.sqlite")), reverse=True)
        self._all = len(self._months)
        self._after = (0, 0)
        if self.left and place != BEGIN:
            month, tag, hour = place.split()
            self._months = [name for name in self._months if name <= month]
            if self._months and self._months[0] == month:
                self._after = (int(tag), int(hour))
        self._measure()

    def close(self) -> None:
        self._pool.close()

    @property
    def percent(self) -> float:
        """About how much of it the destination has."""
        if not self.left:
            return 100.0
        over = self._all - len(self._months) + min(self._after[0] / self._highest, 1.0)
        return min(100.0 * over / max(self._all, 1), 100.0)

    def lacks(self, path: Path) -> bool:
        """Whether it still needs a month file. Memory, any thread."""
        return self.left and path.name in self._months

    def take(self) -> Piece | None:
        """The next of it; the same again until `sent`. The last one has no lines."""
        if not self.left:
            return None
        while self._months:
            found = self._next(self._months[0])
            if found is not None:
                return found
            self._months, self._after = self._months[1:], (0, 0)
            self._measure()
        return Piece(b"", 0, DONE)

    def sent(self, piece: Piece) -> None:
        """The destination has confirmed, or never will."""
        if piece.place == DONE:
            self.left = False
        else:
            _, tag, hour = piece.place.split()
            self._after = (int(tag), int(hour))

    # ------------------------------------------------------------------ private
    def _next(self, month: str) -> Piece | None:
        """Chunks behind the place, about a body full; None where the file has no more, or cannot be read."""
        parts, lines, place = [], 0, ""
        try:
            with self._pool.reading(self._store_dir / month) as database:
                for tag, hour, n, crc, blob in database.execute(_CHUNKS, self._after) if database else ():
                    parts.append(self._lines(tag, n, crc, blob))
                    lines += parts[-1].count("\n")
                    place = f"{month} {tag} {hour}"
                    if lines >= BODY_LINES:
                        break
        except DamagedFile:
            return None                             # the store's own health names it
        return Piece("".join(parts).encode(), lines, place) if place else None

    def _lines(self, tag: int, n: int, crc: int, blob: bytes) -> str:
        name = self._name(tag)
        try:
            found = decode(n, crc, blob)
        except ValueError:
            return ""                               # `verify` names it
        return past_lines(name, found.at, found.values, found.quality) if name else ""

    def _name(self, tag: int) -> str:
        if tag not in self._names:
            with self._pool.reading(self._store_dir / HOT_FILE) as hot:
                rows = hot.execute("SELECT number, name FROM tag").fetchall() if hot else []
            self._names = {number: escaped(name) for number, name in rows}
        return self._names.get(tag, "")

    def _measure(self) -> None:
        """The highest number of a tag in the first month, for `percent`."""
        self._highest = 1
        if not self.left or not self._months:
            return
        try:
            with self._pool.reading(self._store_dir / self._months[0]) as database:
                row = database.execute("SELECT max(tag) FROM chunk").fetchone() if database else None
        except StorageError:
            return
        self._highest = max(row[0] or 1, 1) if row else 1
