"""What the month files note beside each block: who brought it, and which status bits were joined to it later.

In tables of their own, so that nobody who reads what is held now has to pass them.
"""

import sqlite3
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.arrivals import Arrivals, Joined, Source, decode_arrivals, encode_arrivals
from scada.historian.dense import SLOTS, Dense, columns_of, pulses_before
from scada.historian.rows import BlockKey
from scada.intervals import MISSING

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS arrival(interval_s INTEGER NOT NULL, day INTEGER NOT NULL, block INTEGER NOT NULL,
    crc INTEGER NOT NULL, n INTEGER NOT NULL, notes BLOB NOT NULL, PRIMARY KEY(interval_s, day, block));
CREATE TABLE IF NOT EXISTS joined(interval_s INTEGER NOT NULL, slot INTEGER NOT NULL, interval INTEGER NOT NULL,
    before INTEGER NOT NULL, after INTEGER NOT NULL, at INTEGER NOT NULL, link INTEGER NOT NULL, archive INTEGER NOT NULL,
    record INTEGER NOT NULL, PRIMARY KEY(interval_s, slot, interval, after)) WITHOUT ROWID;
"""


def load_arrivals(database: sqlite3.Connection, key: BlockKey) -> Arrivals:
    """Of a block; empty where nothing was noted. Raises `ValueError` for bytes that are not what was written."""
    shape = SLOTS, columns_of(key[0])
    row = database.execute("SELECT crc, n, notes FROM arrival WHERE interval_s=? AND day=? AND block=?", key).fetchone()
    return decode_arrivals(shape, *row) if row is not None else Arrivals.empty(shape)


def save_arrivals(database: sqlite3.Connection, key: BlockKey, arrivals: Arrivals | None) -> None:
    """What is news since it was loaded."""
    if arrivals is None:
        return
    if arrivals.touched:
        database.execute("INSERT OR REPLACE INTO arrival VALUES (?,?,?,?,?,?)", (*key, *encode_arrivals(arrivals)))
        arrivals.touched = False
    if arrivals.joined:
        first_slot, first = key[2] * SLOTS, key[1] * columns_of(key[0])
        database.executemany("INSERT OR IGNORE INTO joined VALUES (?,?,?,?,?,?,?,?,?)", [
            (key[0], first_slot + one.row, first + one.column, one.before, one.after, one.source.at,
             one.source.link_id, one.source.archive_id, one.source.record)
            for one in arrivals.joined
        ])
        arrivals.joined.clear()


def load_joined(database: sqlite3.Connection, key: BlockKey) -> list[Joined]:
    """Of a block; those of one interval in the order of their joining: bits only ever become more."""
    first_slot, width = key[2] * SLOTS, columns_of(key[0])
    first = key[1] * width
    rows = database.execute(
        "SELECT slot, interval, before, after, at, link, archive, record FROM joined WHERE interval_s=? "
        "AND slot BETWEEN ? AND ? AND interval BETWEEN ? AND ? ORDER BY slot, interval, after",
        (key[0], first_slot, first_slot + SLOTS - 1, first, first + width - 1),
    )
    return [
        Joined(slot - first_slot, interval - first, before, after, Source(*source))
        for slot, interval, before, after, *source in rows
    ]


def notes(database: sqlite3.Connection) -> bool:
    """Whether a month file notes arrivals; one that nobody wrote into since they are noted does not."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'arrival'").fetchone() is not None


def as_known(database: sqlite3.Connection, key: BlockKey, block: Dense, instant: int) -> Dense:
    """A block as it was known at `instant` [ms since 1970]; what was not noted counts as always known."""
    if not notes(database):
        return block
    arrivals, joined = load_arrivals(database, key), load_joined(database, key)
    times = arrivals.times
    came = times[arrivals.pulses] <= instant
    status, known = block.status.copy(), came.copy()
    late = np.array([one.source.at > instant for one in joined], dtype=np.bool_)
    place = np.array([(one.row, one.column) for one in joined], dtype=np.int64).reshape(-1, 2)
    known[tuple(place[~late].T)] = True
    back = np.flatnonzero(late)[::-1]                   # of several later ones, what was before the first of them
    status[tuple(place[back].T)] = np.array([joined[one].before for one in back.tolist()], dtype=np.uint8)
    return Dense(
        np.where(came, block.counts, MISSING), np.where(known, status, 0).astype(np.uint8),
        _registers_known(block, arrivals, times[arrivals.registers] <= instant), block.column_version, block.version,
    )


def _registers_known(block: Dense, arrivals: Arrivals, came: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The registers that had come, those among them that were thinned out since worked out again."""
    held = block.registers != MISSING
    pulses, gaps = pulses_before(block.counts)
    last = np.maximum.accumulate(np.where(held, np.arange(held.shape[1]), -1), axis=1)
    at = np.maximum(last, 0)
    lines = np.arange(len(held))[:, None]
    whole = (last >= 0) & (gaps[lines, at] == gaps[:, :-1])
    again = (block.registers[lines, at] + pulses[:, :-1] - pulses[lines, at]) % 2**32
    thinned = ~held & whole & (arrivals.registers > 0)
    return np.where(came & held, block.registers, np.where(came & thinned, again, MISSING))
