"""How far each concentrator's archive is durably here, whatever order its records came in."""

from typing import Final

import attrs

AHEAD_MOST: Final = 4096                            # records kept beyond a gap; forgetting one only means it is sent again


@attrs.define
class Cursor:
    """One archive: everything up to `reached` is here, and of what lies beyond, `ahead`."""

    reached: int = 0
    ahead: set[int] = attrs.field(factory=set)

    def add(self, record: int) -> None:
        if record <= self.reached:
            return
        self.ahead.add(record)
        self._advance()
        if len(self.ahead) > AHEAD_MOST:
            self.ahead.remove(max(self.ahead))

    def pass_to(self, oldest: int) -> int:
        """Records below `oldest` will never come; returns how many are missing for ever."""
        if oldest - 1 <= self.reached:
            return 0
        below = {record for record in self.ahead if record < oldest}
        lost = oldest - 1 - self.reached - len(below)
        self.ahead -= below
        self.reached = oldest - 1
        self._advance()
        return lost

    def _advance(self) -> None:
        while self.reached + 1 in self.ahead:
            self.reached += 1
            self.ahead.remove(self.reached)


class CursorBook:
    """The cursors of all archives, by (link, archive)."""

    def __init__(self) -> None:
        self._cursors: dict[tuple[int, int], Cursor] = {}

    def add(self, link_id: int, archive_id: int, record: int) -> None:
        """A record is durable; number 0 was asked for and moves nothing."""
        if record > 0:
            self.of(link_id, archive_id).add(record)

    def pass_to(self, link_id: int, archive_id: int, oldest: int) -> int:
        return self.of(link_id, archive_id).pass_to(oldest)

    def reached(self, link_id: int, archive_id: int) -> int:
        cursor = self._cursors.get((link_id, archive_id))
        return cursor.reached if cursor else 0

    def of(self, link_id: int, archive_id: int) -> Cursor:
        return self._cursors.setdefault((link_id, archive_id), Cursor())

    def copy(self) -> "CursorBook":
        """The same, to go on by itself."""
        copied = CursorBook()
        copied._cursors = {key: Cursor(one.reached, set(one.ahead)) for key, one in self._cursors.items()}
        return copied
