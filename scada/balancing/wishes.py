"""Hours whose losses somebody wished computed anew, however far back: on disk until they are. Blocking, any thread."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from scada.site_groups import Span, joined, without
from scada.sqlite_file import SqliteFile

FILE: Final = "losses.sqlite"
VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wished (name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (name, first)) WITHOUT ROWID;
"""


Change: TypeAlias = Callable[[list[Span]], list[Span]]


class Wishes:
    """By transformer, as spans of hours [h since 1970]. Beside the results of which it speaks, and in no backup."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, "losses", "the file of losses to be computed anew", SCHEMA, VERSION)

    def open(self) -> dict[str, list[Span]]:
        """What is still to be done."""
        self._file.open()
        found: dict[str, list[Span]] = {}
        with self._file.read() as database:
            for name, first, last in database.execute("SELECT name, first, last FROM wished ORDER BY name, first"):
                found.setdefault(name, []).append((first, last))
        return found

    def close(self) -> None:
        self._file.close()

    def add(self, names: Sequence[str], span: Span) -> None:
        """Durable when it returns. Raises `StorageError`."""
        self._change(names, lambda before: joined([*before, span]))

    def done(self, name: str, span: Span) -> None:
        """The results of these hours are durable. Raises `StorageError`."""
        self._change([name], lambda before: without(before, [span]))

    def _change(self, names: Sequence[str], change: Change) -> None:
        with self._file.transaction() as database:
            for name in names:
                before = database.execute("SELECT first, last FROM wished WHERE name = ?", (name,)).fetchall()
                database.execute("DELETE FROM wished WHERE name = ?", (name,))
                database.executemany("INSERT INTO wished VALUES (?, ?, ?)", [(name, *one) for one in change(before)])
