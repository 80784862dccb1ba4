"""What balancing remembers on disk: by which registry its results were computed, and which hours wait for that.

A change of the registry is written with the hours that it touches, before anything is computed by it; the hours go when
their results are durable. So a change that nobody has followed is followed after any crash, however far back it reaches.

Validated hours are numbered where they are entered; here is the number up to which the balances have them.

It lies beside the results of which it speaks and is in no backup: a history that was restored is balanced anew.
"""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from scada.balancing.basis import Basis, touched
from scada.balancing.due import MOST_CELLS, MOST_TOGETHER, newest
from scada.balancing.technical import digest_of
from scada.site import Directory
from scada.site_groups import Span, joined, without
from scada.sqlite_file import SqliteFile

FILE: Final = "balancing.sqlite"
VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS followed (one INTEGER PRIMARY KEY CHECK (one = 1), hour INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS basis (name TEXT PRIMARY KEY, basis TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touched (name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (name, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heard (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
"""


class Memory:
    """All methods block, and are called one at a time."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, "balancing", "the memory of balances", SCHEMA, VERSION)
        self._bases: dict[str, Basis] = {}
        self._adopted: Directory | None = None
        self.touched: dict[str, list[Span]] = {}            # by group; hours a change of the registry has touched
        self.changes = 0                                    # of `touched`, by the registry
        self.hour: int | None = None                        # what feeds brought before it is computed
        self.estimates = 0                                  # number of the last validated hour that is in the balances

    def open(self) -> None:
        self._file.open()
        with self._file.read() as database:
            self._bases = {
                name: Basis.from_json(json.loads(text)) for name, text in database.execute("SELECT name, basis FROM basis")
            }
            for name, first, last in database.execute("SELECT name, first, last FROM touched ORDER BY name, first"):
                self.touched.setdefault(name, []).append((first, last))
            row = database.execute("SELECT hour FROM followed").fetchone()
            self.hour = row[0] if row else None
            row = database.execute("SELECT number FROM heard").fetchone()
            self.estimates = row[0] if row else 0

    def close(self) -> None:
        self._file.close()

    def adopt(self, directories: Sequence[Directory], since: int | None, now: int, *, anew: bool = False) -> None:
        """The registry as it changed, step by step; `anew`: all hours of all groups are touched. Raises `StorageError`."""
        bases, waiting = ({} if anew else dict(self._bases)), dict(self.touched)
        changed: set[str] = set()
        for directory in directories:
            if self._same(directory) and not anew:
                continue
            there = directory.balance_group
            for name, group in there.items():
                before, after = bases.get(name), Basis.of(directory, group, digest_of(directory, group))
                if before != after:
                    bases[name] = after
                    waiting[name] = joined([*waiting.get(name, ()), *touched(before, after, since, now)])
                    changed.add(name)
            for name in (bases.keys() | waiting.keys()) - there.keys():
                bases.pop(name, None)
                waiting.pop(name, None)
                changed.add(name)
            self._adopted = directory
        changed |= self._bases.keys() - bases.keys()
        if not changed:
            return
        with self._file.transaction() as database:
            for name in changed:
                database.execute("DELETE FROM basis WHERE name = ?", (name,))
                database.execute("DELETE FROM touched WHERE name = ?", (name,))
                if name in bases:
                    database.execute("INSERT INTO basis VALUES (?, ?)", (name, json.dumps(attrs.asdict(bases[name]))))
                database.executemany("INSERT INTO touched VALUES (?, ?, ?)", [
                    (name, *span) for span in waiting.get(name, ())
                ])
        self._bases, self.touched = bases, {name: spans for name, spans in waiting.items() if spans}
        self.changes += 1

    def touch(self, names: Sequence[str], span: Span) -> None:
        """Somebody wishes these hours of groups computed anew. Raises `StorageError`."""
        waiting = {name: joined([*self.touched.get(name, ()), span]) for name in names}
        with self._file.transaction() as database:
            for name, spans in waiting.items():
                database.execute("DELETE FROM touched WHERE name = ?", (name,))
                database.executemany("INSERT INTO touched VALUES (?, ?, ?)", [(name, *one) for one in spans])
        self.touched = {**self.touched, **waiting}
        self.changes += 1

    def next(self, members: Callable[[str], int]) -> tuple[tuple[str, ...], Span]:
        """The newest piece of what is touched of a group, and the groups behind it of which it is the newest as well."""
        first, spans = next(iter(self.touched.items()))
        span, names = newest(spans), [first]
        hours = span[1] - span[0]
        cells = members(first) * hours
        for name, others in islice(self.touched.items(), 1, MOST_TOGETHER):
            cells += members(name) * hours
            if newest(others) != span or cells > MOST_CELLS:
                break
            names.append(name)
        return tuple(names), span

    def computed(self, names: Sequence[str], span: Span) -> None:
        """The results of these hours of groups are durable. Raises `StorageError`."""
        left = {name: without(self.touched.get(name, ()), [span]) for name in names}
        with self._file.transaction() as database:
            database.executemany("DELETE FROM touched WHERE name = ?", [(name,) for name in names])
            database.executemany("INSERT INTO touched VALUES (?, ?, ?)", [
                (name, *one) for name, spans in left.items() for one in spans
            ])
        for name, spans in left.items():
            if spans:
                self.touched[name] = spans
            else:
                self.touched.pop(name, None)

    def reached(self, hour: int) -> None:
        """What feeds brought before this hour is computed, and durable. Raises `StorageError`."""
        with self._file.transaction() as database:
            database.execute("INSERT OR REPLACE INTO followed VALUES (1, ?)", (hour,))
        self.hour = hour

    def heard(self, number: int) -> None:
        """The balances that validated hours up to this number touch are durable. Raises `StorageError`."""
        with self._file.transaction() as database:
            database.execute("INSERT OR REPLACE INTO heard VALUES (1, ?)", (number,))
        self.estimates = number

    def _same(self, directory: Directory) -> bool:
        old = self._adopted.site if self._adopted is not None else None
        new = directory.site
        return old is not None and all(
            getattr(old, kind) is getattr(new, kind) for kind in (
                "balance_groups", "balance_members", "points", "meters",
                "transformers", "feeders", "linecodes", "sections", "consumers",        # networks
            )
        )
