"""One follower's place in the news: first what is newer, as it comes, beside it what was merged before he came.

Implements `ports.Following`. What he has dealt with is written with the next merge, or where none waits by itself: a crash
before it makes him do the last of it again, which changes nothing.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred

from scada.historian.blocks import BlockStore
from scada.historian.news import Piece, marks_of
from scada.historian.refusals import storage_error
from scada.intervals import News


class StoreFollowing:
    """`between` runs something in the thread that merges; `wake` sees to it that places are written."""

    def __init__(
        self, name: str, directory: Path, blocks: BlockStore,
        between: "Callable[[Callable[[], News | None]], Deferred[News | None]]", wake: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self._name, self._directory, self._blocks, self._between, self._wake, self._end = (
            name, directory, blocks, between, wake, end
        )
        blocks.state.news.places.setdefault(name, 0)            # from now on nothing goes before he has dealt with it
        self._upto = -1                             # the last that is older; -1 = nobody has asked yet
        self._read = 0                              # the last of them that was handed out
        self._older = self._newer = 0               # dealt with, of both kinds
        self._all_read = False
        self.days = 0

    def older(self) -> "Deferred[News | None]":
        return self._between(self._next)

    def dealt(self, news: News) -> None:
        if news.older:
            self._older = news.number
        else:
            self._newer = news.number
        place = self._older
        if self._all_read and self._older >= self._read:
            place = max(self._upto, self._newer)
        if place > self._blocks.state.news.places.get(self._name, 0):
            self._blocks.state.news.places[self._name] = place
            self._wake()

    def stop(self) -> None:
        self._end()

    def _next(self) -> News | None:
        """In the thread that merges."""
        news = self._blocks.state.news
        if self._upto < 0:
            upto = news.hold()
            self._read = self._older = news.places[self._name]
            self._upto = upto
        try:
            piece: Piece | None = news.after(self._blocks.state.database, self._read, self._upto)
        except sqlite3.Error as error:
            raise storage_error("the store", self._directory, error) from error
        if piece is None:
            self._all_read, self.days = True, 0
            return None
        self._read, self.days = piece.number, piece.left
        return News(piece.number, marks_of(piece.runs, self._blocks.book), older=True)
