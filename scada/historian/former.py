"""What stood in a row of results before it was computed anew: a row for every version, with when it was replaced.

A version of number 0 says that there was nothing before: what was not computed yet is not known at an instant either.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import NS_PER_MS
from scada.errors import NotKept
from scada.historian.result_sums import of_table

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS former(series INTEGER NOT NULL, start INTEGER NOT NULL, version INTEGER NOT NULL,
    until INTEGER NOT NULL, mark INTEGER NOT NULL, shape INTEGER, row BLOB,
    PRIMARY KEY(series, start, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former_since(number INTEGER PRIMARY KEY CHECK(number = 1), at INTEGER NOT NULL);
"""
AT_ONCE: Final = 5000                   # rows verified in one statement
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)         # of SplitMix64: odd, so that no bit of a word is lost
_BITS: Final = 2**48 - 1
_NOTHING: Final = f"""
INSERT OR REPLACE INTO former
SELECT series, start, 0, ?2, (series * 65599 + start * 31 + ?2 * 17) & {_BITS}, NULL, NULL
FROM (SELECT json_extract(value, '$[0]') AS series, json_extract(value, '$[1]') AS start FROM json_each(?1)) AS put
WHERE NOT EXISTS (SELECT 1 FROM result WHERE result.series = put.series AND result.start = put.start)
"""
_REPLACED: Final = """
SELECT shape, json_group_array(json_array(series, start, version)), group_concat(hex(row), '')
FROM json_each(?) CROSS JOIN result ON series = json_extract(value, '$[0]') AND start = json_extract(value, '$[1]')
GROUP BY shape
"""
_KEEP: Final = """
INSERT OR REPLACE INTO former
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), ?2,
    json_extract(value, '$[3]'), ?3, substr(?4, 1 + key * ?5, ?5) FROM json_each(?1)
"""
_AS_OF: Final = f"""
SELECT result.start, {of_table('result')}, asked.key, result.series,
    former.series, former.start, former.version, former.until, former.mark, former.shape, former.row
FROM json_each(?) AS asked CROSS JOIN series CROSS JOIN result LEFT JOIN former
    ON former.series = result.series AND former.start = result.start AND former.version = (
        SELECT min(version) FROM former AS one
        WHERE one.series = result.series AND one.start = result.start AND one.until > ?)
WHERE kind = ? AND name = asked.value AND span = ? AND result.series = number AND result.start >= ? AND result.start < ?
ORDER BY asked.key, result.start
"""
_OLD: Final = "SELECT start, version FROM former WHERE series = {} AND start < ?1 AND until < ?2"
FOR_EVER: Final = 2**62                 # ms since 1970


def keep(database: sqlite3.Connection, keys: str, n: int, at: int) -> None:
    """Before rows are put at an instant [ns]: keep what stands there. Inside a transaction.

    `keys` are their (series, start), n of them, as JSON. A statement for all and one for each set of columns: the
    interpreter is left alone meanwhile.
    """
    until = at // NS_PER_MS
    database.execute("INSERT OR IGNORE INTO former_since VALUES (1, ?)", (until,))
    if database.execute(_NOTHING, (keys, until)).rowcount == n:
        return
    for shape, said, text in database.execute(_REPLACED, (keys,)).fetchall():
        known, blob = np.array(json.loads(said), dtype=np.int64), bytes.fromhex(text)
        width = len(blob) // len(known)
        same = np.tile(np.array([until, shape], dtype=np.int64), (len(known), 1))
        mark = marks(np.concatenate((known, same), axis=1), _words(blob, len(known)))
        database.execute(_KEEP, (json.dumps(np.column_stack((known, mark)).tolist()), until, shape, blob, width))


def as_of(
    database: sqlite3.Connection, kind: str, names: Sequence[str], span_s: int, first: int, last: int, instant: int
) -> list[tuple[int, int, bytes, int, int]]:
    """(start, shape, row, place among the names, number of the series) as they were known at an instant [ns].

    Damaged ones are left out.

    Raises `NotKept` for an instant of which that is not kept.
    """
    since = known_since(database)
    if since is None or instant < since:
        raise NotKept(since)
    asked = json.dumps(names), instant // NS_PER_MS, kind, span_s, first, last
    rows = database.execute(_AS_OF, asked).fetchall()
    fine = iter(sound([row[5:] for row in rows if row[7] is not None]))
    found = []
    for start, shape, row, key, series, _, _, version, _, _, old_shape, old in rows:
        if version is None:                         # it stands since before that instant
            found.append((start, shape, row, key, series))
        elif next(fine) and old is not None:
            found.append((start, old_shape, old, key, series))
    return found


def known_since(database: sqlite3.Connection) -> int | None:
    """From which instant on [ns] it is kept how rows were known; None: not at all."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'former_since'").fetchone():
        return None
    row = database.execute("SELECT at FROM former_since").fetchone()
    return row[0] * NS_PER_MS if row else None


def forget(database: sqlite3.Connection) -> None:
    """Keep nothing of what was; an instant before the next `keep` cannot be answered any more."""
    database.execute("DELETE FROM former")
    database.execute("DELETE FROM former_since")


def count_replaced(database: sqlite3.Connection, before: int) -> int:
    """Rows that were replaced before a second. They begin before it too, which is where they are looked for."""
    if known_since(database) is None:
        return 0
    (rows,) = database.execute(
        f"SELECT sum((SELECT count(*) FROM ({_OLD.format('number')}))) FROM series", (before, before * 1000)
    ).fetchone()
    return rows or 0


def remove_replaced(database: sqlite3.Connection, before: int, most: int) -> int:
    """Remove rows that were replaced before a second, so many at most; returns how many went. Inside a transaction."""
    database.execute("UPDATE former_since SET at = max(at, ?)", (before * 1000,))
    return _remove(database, before, before * 1000, most)


def remove_begun(database: sqlite3.Connection, before: int, most: int) -> int:
    """The same of rows that begin before a second, whenever they were replaced: what they say is to go."""
    return _remove(database, before, FOR_EVER, most)


def damaged(database: sqlite3.Connection) -> Iterator[tuple[str, int, int]]:
    """(name of the series, start, version) of rows that are not what was written. A part at a time."""
    after = (-1, 0, 0)
    while True:
        rows = database.execute(
            "SELECT series, start, version, until, mark, shape, row, name FROM former LEFT JOIN series ON number = series "
            "WHERE (series, start, version) > (?, ?, ?) ORDER BY series, start, version LIMIT ?", (*after, AT_ONCE),
        ).fetchall()
        fine = sound([row[:-1] for row in rows])
        yield from ((str(row[-1]), row[1], row[2]) for row, one in zip(rows, fine, strict=True) if not one)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1][:3]


def marks(known: NDArray[np.int64], words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """
    Check marks of rows: whatever changes in one word of a row, its mark changes, but for one in four thousand million.

    Parameters
    ----------
    known : ndarray of int64, shape (n, 5)
        Series, start, version, when it was replaced [ms since 1970], number of its columns.
    words : ndarray of uint64, shape (n, c)
        The bits of its values.
    """
    every = np.concatenate((known.view(np.uint64), words), axis=1)
    place = np.arange(1, every.shape[1] + 1, dtype=np.uint64) * np.uint64(2) * _MIX + np.uint64(1)
    every = (every ^ (every >> np.uint64(32))) * _MIX
    every = (every ^ (every >> np.uint64(29))) * place
    whole = every.sum(axis=1, dtype=np.uint64)
    folded: NDArray[np.int64] = ((whole ^ (whole >> np.uint64(32))) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return folded


def sound(rows: Sequence[Sequence[Any]]) -> list[bool]:
    """Which rows (series, start, version, until, mark, shape, row) are what was written."""
    fine = np.zeros(len(rows), np.bool_)
    sizes = np.array([-1 if row[6] is None else len(row[6]) for row in rows], dtype=np.int64)
    for size in np.unique(sizes).tolist():
        which = np.flatnonzero(sizes == size)
        chosen = [rows[place] for place in which.tolist()]
        known = np.array([(*row[:4], row[5] or 0) for row in chosen], dtype=np.int64)
        mark = np.array([row[4] for row in chosen], dtype=np.int64)
        if size < 0:                                # nothing stood there: as `_NOTHING` writes it
            fine[which] = (known[:, [0, 1, 3]] @ np.array([65599, 31, 17]) & _BITS == mark) & (known[:, 2] == 0)
        elif size % 8 == 0:
            fine[which] = marks(known, _words(b"".join(row[6] for row in chosen), len(chosen))) == mark
    found: list[bool] = fine.tolist()
    return found


# ---------------------------------------------------------------------- private
def _remove(database: sqlite3.Connection, before: int, until: int, most: int) -> int:
    gone = 0
    old = f"SELECT number FROM series WHERE EXISTS ({_OLD.format('number')})"
    for (series,) in database.execute(f"{old} ORDER BY number LIMIT ?3", (before, until, most)).fetchall():
        gone += database.execute(
            "DELETE FROM former WHERE series = ?4 AND (start, version) IN "
            f"({_OLD.format('?4')} ORDER BY start, version LIMIT ?3)",
            (before, until, most - gone, series),
        ).rowcount
        if gone >= most:
            break
    return gone


def _words(blob: bytes, rows: int) -> NDArray[np.uint64]:
    return np.frombuffer(blob, dtype="<u8").reshape(rows, -1).astype(np.uint64) if blob else np.empty((rows, 0), np.uint64)
