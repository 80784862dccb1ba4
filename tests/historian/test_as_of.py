"""As it was known at an instant: what a store answers then is what a store that had heard no more would say."""

import tempfile
from pathlib import Path

import attrs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.historian.blocks import BlockStore
from scada.historian.database import ReadPool
from scada.historian.journal import Position
from scada.historian.reader import BlockReader
from scada.historian.records import BatchRecord
from scada.historian.slots import SlotBook
from scada.intervals import MISSING, ChangeKind, IntervalChange, Provenance
from tests.historian.helpers import FIRST_HOUR, block
from tests.historian.test_merge import CHANNELS, HOURS, deliveries, record_of

NS = 1_000_000_000
SLOTS = np.arange(CHANNELS) + 250
Content = tuple[list[list[int]], list[list[int]], list[list[int]]]


def merged(directory: Path, batches: list[list[BatchRecord]]) -> None:
    """A new server for every batch."""
    for number, batch in enumerate(batches):
        store = BlockStore(directory)
        store.open()
        store.merge([(Position(1, number + 1), record) for record in batch])
        store.close()


def content(directory: Path, instant: int | None = None) -> Content:
    pool = ReadPool()
    reader = BlockReader(directory, pool, SlotBook())
    reader = reader if instant is None else reader.as_of(instant)
    series = reader.read(SLOTS, FIRST_HOUR - 3, HOURS + 6)
    registers = [reader.register(SLOTS, FIRST_HOUR + hour).tolist() for hour in range(HOURS + 1)]
    pool.close()
    return series.counts.tolist(), series.status.tolist(), registers


def received(record: BatchRecord, at: int, bits: int = 0) -> BatchRecord:
    """The same, received at another time; with `bits` it is a mark that brings them and no counts."""
    batch = record.batch
    if bits:
        batch = attrs.evolve(
            batch, counts=np.full_like(batch.counts, MISSING), status=np.full_like(batch.status, bits),
            register=np.full_like(batch.register, MISSING),
        )
    return BatchRecord(attrs.evolve(batch, received=at, provenance=[Provenance(0xC0FFEE01, 7, at // NS)]), record.slots)


@settings(max_examples=15, deadline=None)
@given(deliveries(), st.data())
def test_the_past_is_what_was_known_then(cut: list[tuple[list[int], int, int, int]], data: st.DataObject) -> None:
    """Pulses, status bits and registers, at every instant; whatever was merged together and however often it came."""
    records = [
        received(record_of(*one), (number + 1) * NS, data.draw(st.sampled_from((0, 0, 0, 64, 128)), label="bits"))
        for number, one in enumerate(cut)
    ]
    batches: list[list[BatchRecord]] = [[]]
    for record in records:
        if data.draw(st.booleans(), label="a new merge"):
            batches.append([])
        batches[-1].append(record)
    with tempfile.TemporaryDirectory() as whole:
        merged(Path(whole), [*batches, records])
        for known in range(len(records) + 1):
            with tempfile.TemporaryDirectory() as then:
                merged(Path(then), [records[:known]] if known else [])
                assert content(Path(whole), known * NS) == content(Path(then))
        assert content(Path(whole), (len(records) + 1) * NS) == content(Path(whole))


def changes(directory: Path, hours: int = 24) -> tuple[IntervalChange, ...]:
    pool = ReadPool()
    found = BlockReader(directory, pool, SlotBook()).changes(0, FIRST_HOUR, hours)
    pool.close()
    return found


def one(counts: list[int], at: int, record: int, status: int = 0, first: int = FIRST_HOUR) -> BatchRecord:
    made = block([counts], record=record, first=first, status=[[status] * len(counts)])
    return BatchRecord.of(attrs.evolve(made, received=at * NS), np.array([0]))


def test_the_changes_of_an_hour_say_what_when_and_from_whom(tmp_path: Path) -> None:
    """A count, bits joined to it later, and another count that was refused; hours outside the range are not told."""
    merged(tmp_path, [[one([5, 6], 100, 1)], [one([MISSING], 200, 2, status=64)], [one([7], 300, 3)]])

    assert changes(tmp_path, 1) == (
        IntervalChange(FIRST_HOUR, 3600, ChangeKind.DELIVERED, 100_000, MISSING, 5, Provenance(0xC0FFEE01, 7, 1)),
        IntervalChange(FIRST_HOUR, 3600, ChangeKind.JOINED, 200_000, 0, 64, Provenance(0xC0FFEE01, 7, 2)),
        IntervalChange(FIRST_HOUR, 3600, ChangeKind.REFUSED, 300_000, 5, 7, None),
    )
    assert [one.after for one in changes(tmp_path, 2) if one.kind is ChangeKind.DELIVERED] == [5, 6]


def test_what_was_stored_before_arrivals_were_noted_was_always_known(tmp_path: Path) -> None:
    """A month file of an earlier version has no notes: it is read all the same, and later deliveries are noted in it."""
    merged(tmp_path, [[one([5], 100, 1)]])
    store = BlockStore(tmp_path)
    store.open()
    path = next(tmp_path.glob("intervals-*.sqlite"))
    store.close()
    import sqlite3

    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE arrival; DROP TABLE joined;")

    assert [(one.at, one.provenance) for one in changes(tmp_path, 1)] == [(0, None)]
    assert content_of_slot(tmp_path, 1) == [5, MISSING]

    merged(tmp_path, [[], [one([6], 200, 2, first=FIRST_HOUR + 1)]])

    assert content_of_slot(tmp_path, 199) == [5, MISSING]
    assert content_of_slot(tmp_path, 200) == [5, 6]


def content_of_slot(directory: Path, at: int) -> list[int]:
    pool = ReadPool()
    found: list[int] = BlockReader(directory, pool, SlotBook()).as_of(at * NS).read(
        np.array([0]), FIRST_HOUR, 2
    ).counts[0].tolist()
    pool.close()
    return found


def test_what_is_noted_costs_little(tmp_path: Path) -> None:
    """A day of 256 channels from twelve concentrators: well under a tenth of a byte a value."""
    chance = np.random.default_rng(3)
    records = []
    for number in range(12):
        rows = np.arange(number * 21, min((number + 1) * 21, 256))
        made = block(chance.integers(0, 900, (len(rows), 24)), record=100 + number, eui=rows + 1, link=0xC0FFEE01 + number)
        records.append(BatchRecord.of(attrs.evolve(made, received=(1_767_312_000 + number * 97) * NS + number), rows))
    merged(tmp_path, [records])
    import sqlite3

    with sqlite3.connect(next(tmp_path.glob("intervals-*.sqlite"))) as database:
        (noted,) = database.execute(
            "SELECT sum(length(notes)) FROM arrival"
        ).fetchone()
    assert 0 < noted < 0.1 * 252 * 24
