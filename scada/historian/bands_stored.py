"""Which tags have had a dead-band, and since when: a reader must know what a silence means before it makes a mean.

A row a change, beside the names of the tags. Samples from before a tag's first row stand for themselves.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS band(tag INTEGER NOT NULL, since INTEGER NOT NULL, silence INTEGER NOT NULL,
    PRIMARY KEY(tag, since)) WITHOUT ROWID;
"""
Band = tuple[int, int, int]                         # number of the tag; from this time on [ns]; silence [ns], 0 = no band


def bands_now(database: sqlite3.Connection) -> dict[int, int]:
    """The newest silence of each tag that has had a band. [ns]"""
    return {tag: silence for tag, silence, _ in database.execute("SELECT tag, silence, max(since) FROM band GROUP BY tag")}


def changed(now: Mapping[int, int], tags: Sequence[int], silences: Sequence[int], since: int) -> list[Band]:
    """What of these is not known so yet."""
    return [
        (tag, since, silence) for tag, silence in zip(tags, silences, strict=True) if now.get(tag, 0) != silence
    ]


def store_bands(database: sqlite3.Connection, bands: Sequence[Band]) -> None:
    """Inside a transaction."""
    database.executemany("INSERT OR REPLACE INTO band VALUES (?, ?, ?)", bands)


def silence_at(database: sqlite3.Connection, tag: str, at: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """How long each sample of a tag may stand [ns], 0 = there was no band then; None if there never was one."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'band'").fetchone():
        return None                                 # written by a server that kept no bands, and not started since
    rows = database.execute(
        "SELECT since, silence FROM tag JOIN band ON band.tag = tag.number WHERE name = ? ORDER BY since", (tag,)
    ).fetchall()
    if not rows:
        return None
    since, silence = np.array(rows, dtype=np.int64).T
    which = np.searchsorted(since, at, side="right") - 1
    return np.where(which >= 0, silence[which], 0)
