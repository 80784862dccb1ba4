"""How the intervals of one channel came to what they say: who delivered them, what was joined, what was refused."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from scada.clock import NS_PER_MS
from scada.historian.arrivals import Arrivals, Source
from scada.historian.dense import SLOTS, Dense, columns_of
from scada.historian.noted import load_arrivals, load_joined, notes
from scada.historian.rows import COLUMNS, BlockKey, decode_block
from scada.intervals import MISSING, ChangeKind, IntervalChange, Provenance

_ROW: Final = f"SELECT day, {COLUMNS} FROM block WHERE interval_s=? AND day BETWEEN ? AND ? AND block=?"
_REFUSED: Final = {"pulses": ChangeKind.REFUSED, "register": ChangeKind.REGISTER_REFUSED}


def changes_in(
    database: sqlite3.Connection, slot: int, days: tuple[int, int], first_s: int, last_s: int
) -> Iterator[IntervalChange]:
    """Of a month file, over days [d since 1970], of intervals that begin in [first_s, last_s)."""
    noting = notes(database)
    for (interval_s,) in database.execute("SELECT interval_s FROM kind").fetchall():
        first, last = -(-first_s // interval_s), -(-last_s // interval_s)
        for day, *row in database.execute(_ROW, (interval_s, *days, slot // SLOTS)).fetchall():
            key = interval_s, day, slot // SLOTS
            try:
                block = decode_block(interval_s, *row)
                arrivals = load_arrivals(database, key) if noting else Arrivals.empty(block.counts.shape)
            except ValueError:
                continue
            yield from _delivered(key, block, arrivals, slot % SLOTS, first, last)
            if noting:
                yield from _joined(database, key, slot % SLOTS, first, last)
        for interval, kind, kept, value, received in database.execute(
            "SELECT interval, kind, kept, value, received FROM conflict WHERE slot=? AND interval_s=? "
            "AND interval >= ? AND interval < ? AND interval BETWEEN ? AND ?",
            (slot, interval_s, first, last, days[0] * columns_of(interval_s), (days[1] + 1) * columns_of(interval_s) - 1),
        ):
            yield IntervalChange(interval, interval_s, _REFUSED[kind], -(-received // NS_PER_MS), kept, value, None)


def _delivered(
    key: BlockKey, block: Dense, arrivals: Arrivals, row: int, first: int, last: int
) -> Iterator[IntervalChange]:
    interval_s, day, _ = key
    begin = day * columns_of(interval_s)
    for column, (count, number) in enumerate(zip(block.counts[row].tolist(), arrivals.pulses[row].tolist(), strict=True)):
        if count != MISSING and first <= begin + column < last:
            source = arrivals.source(number)
            yield IntervalChange(
                begin + column, interval_s, ChangeKind.DELIVERED, source.at if source else 0, MISSING, count,
                _provenance(source),
            )


def _joined(database: sqlite3.Connection, key: BlockKey, row: int, first: int, last: int) -> Iterator[IntervalChange]:
    begin = key[1] * columns_of(key[0])
    for one in load_joined(database, key):
        if one.row == row and first <= begin + one.column < last:
            yield IntervalChange(
                begin + one.column, key[0], ChangeKind.JOINED, one.source.at, one.before, one.after, _provenance(one.source)
            )


def _provenance(source: Source | None) -> Provenance | None:
    return Provenance(source.link_id, source.archive_id, source.record) if source else None
