"""Whatever the order and however often: the store's content depends only on what was delivered."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.historian.blocks import BlockStore
from scada.historian.cursor import AHEAD_MOST, CursorBook
from scada.historian.database import ReadPool
from scada.historian.journal import Position
from scada.historian.reader import BlockReader
from scada.historian.records import BatchRecord, decode, encode
from scada.historian.slots import RANGE, SlotBook
from scada.intervals import MISSING
from tests.historian.helpers import FIRST_HOUR, block

CHANNELS, HOURS = 5, 60
_chance = np.random.default_rng(7)
TRUTH = _chance.integers(0, 40_000, (CHANNELS, HOURS)) * (_chance.random((CHANNELS, HOURS)) < 0.5)
REGISTER = (np.array([0, 5, 2**32 - 30_000, 17, 99])[:, None] + np.concatenate(
    (np.zeros((CHANNELS, 1), int), np.cumsum(TRUTH, axis=1)), axis=1
)) % 2**32
STATUS = np.where(_chance.random((CHANNELS, HOURS)) < 0.1, 4, 0)


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[list[int], int, int, int]]:
    """(channels, first hour, hours, holes) of some blocks, all cut from the same truth."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        rows = draw(st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=CHANNELS, unique=True))
        first = draw(st.integers(0, HOURS - 1))
        found.append((rows, first, draw(st.integers(1, HOURS - first)), draw(st.integers(0, 3))))
    return found


def record_of(rows: list[int], first: int, hours: int, holes: int) -> BatchRecord:
    counts = TRUTH[rows, first:first + hours].copy()
    counts[:, holes::7] = MISSING if holes else counts[:, holes::7]
    eui = np.array(rows, np.uint64) + 100
    one = block(counts, eui=eui, first=FIRST_HOUR + first, register=REGISTER[rows, first], record=1,
                status=np.where(counts == MISSING, 0, STATUS[rows, first:first + hours]))
    decoded = decode(encode(BatchRecord.of(one, np.array(rows) + 250)))     # slots across the edge of a block
    assert isinstance(decoded, BatchRecord)
    return decoded


def content(directory: Path, batches: list[list[BatchRecord]]) -> tuple[object, ...]:
    """Everything a reader can see after merging, and the conflicts; the server is new for every batch."""
    conflicts = 0
    for number, batch in enumerate(batches):
        store = BlockStore(directory)
        store.open()
        store.merge([(Position(1, number + 1), record) for record in batch])
        conflicts += store.conflicts
        store.close()
    pool = ReadPool()
    reader = BlockReader(directory, pool, SlotBook())
    slots = np.arange(CHANNELS) + 250
    series = reader.read(slots, FIRST_HOUR - 3, HOURS + 6)
    registers = [reader.register(slots, FIRST_HOUR + hour).tolist() for hour in range(HOURS + 1)]
    pool.close()
    return series.counts.tolist(), series.status.tolist(), registers, conflicts


@settings(max_examples=30, deadline=None)
@given(deliveries(), st.randoms(use_true_random=False))
def test_any_order_and_repetition_gives_the_same_content(
    cut: list[tuple[list[int], int, int, int]], chance: object
) -> None:
    """Pulses, status and registers; in one merge or in many lives; and what is held equals the truth."""
    records = [record_of(*one) for one in cut]
    shuffled = records + records[:3]
    chance.shuffle(shuffled)                        # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        straight = content(Path(one), [records])
        mixed = content(Path(other), [[record] for record in shuffled])

    assert straight == mixed
    counts = np.array(straight[0])[:, 3:-3]
    held = counts != MISSING
    assert np.array_equal(counts[held], TRUTH[held])
    assert straight[3] == 0
    known = np.array(straight[2]).T
    assert np.array_equal(known[known != MISSING], REGISTER[known != MISSING])
    for rows, first, _, _ in cut:
        assert np.array_equal(known[rows, first], REGISTER[rows, first])


@given(st.lists(st.integers(0, 9), max_size=40))
def test_the_cursor_is_the_longest_run_from_one(records: list[int]) -> None:
    """Whatever order records come in; 0 moves nothing."""
    book = CursorBook()
    for record in records:
        book.add(1, 2, record)
    reached = book.reached(1, 2)

    assert set(range(1, reached + 1)) <= set(records)
    assert reached + 1 not in records
    assert all(record > reached for record in book.of(1, 2).ahead)


def test_records_far_beyond_a_gap_do_not_grow_without_bound() -> None:
    """What is forgotten is only sent again; the lowest are kept."""
    book = CursorBook()
    for record in range(2, AHEAD_MOST + 1000):
        book.add(1, 2, record)
    assert len(book.of(1, 2).ahead) == AHEAD_MOST
    book.add(1, 2, 1)

    assert book.reached(1, 2) == AHEAD_MOST + 1


@given(st.lists(st.tuples(st.integers(1, 4), st.lists(st.tuples(
    st.sampled_from([0, 1, 2**64 - 1, 0x00124B0000000001, 5]), st.integers(0, 255)), min_size=1, max_size=30)), max_size=8))
def test_slots_are_permanent_unique_and_within_their_concentrators_ranges(
    sightings: list[tuple[int, list[tuple[int, int]]]]
) -> None:
    """First sight gives a slot, which is found again for ever, also by a book that adopted it."""
    book, adopted, seen = SlotBook(), SlotBook(), {}
    for link, channels in sightings:
        eui = np.array([one for one, _ in channels], np.uint64)
        channel = np.array([one for _, one in channels], np.uint8)
        slots = book.allot(link, eui, channel)
        adopted.adopt(link, eui, channel, slots)
        for key, slot in zip(channels, slots.tolist(), strict=True):
            assert seen.setdefault(key, slot) == slot
        assert np.array_equal(book.find(eui, channel), slots)
        assert np.array_equal(adopted.find(eui, channel), slots)
        assert np.array_equal(adopted.adopt(link, eui, channel, slots + 100_000), slots)
        assert [tuple(map(int, one)) for one in zip(*book.channels(slots), strict=True)] == channels
        new = adopted.allot(link, np.array([77], np.uint64), np.array([link], np.uint8))
        assert new[0] not in seen.values() or seen.get((77, link)) == new[0]
        book.adopt(link, np.array([77], np.uint64), np.array([link], np.uint8), new)
        seen[77, link] = int(new[0])

    assert len(set(seen.values())) == len(seen)


def test_a_concentrators_channels_are_contiguous_and_a_full_range_gets_another() -> None:
    """768 slots at a time, so that blocks are shared by neighbours; two concentrators never share a range."""
    book = SlotBook()
    one = book.allot(1, np.arange(500, dtype=np.uint64), np.zeros(500, np.uint8))
    two = book.allot(2, 10_000 + np.arange(10, dtype=np.uint64), np.zeros(10, np.uint8))
    more = book.allot(1, np.arange(900, dtype=np.uint64), np.zeros(900, np.uint8))

    assert one.tolist() == list(range(500))
    assert two.tolist() == list(range(RANGE, RANGE + 10))
    assert more[:RANGE].tolist() == list(range(RANGE))
    assert more[RANGE:].tolist() == list(range(2 * RANGE, 2 * RANGE + 900 - RANGE))


def test_ten_thousand_channels_are_found_across_the_recent_and_the_big_table() -> None:
    """New channels gather in a small table before the big one is rebuilt."""
    book, euis = SlotBook(), np.arange(10_000, dtype=np.uint64) * 7919
    for start in range(0, 10_000, 240):
        part = euis[start:start + 240]
        book.allot(start // 240, part, np.full(len(part), 3, np.uint8))
    slots = book.find(euis, np.full(10_000, 3, np.uint8))

    assert len(np.unique(slots)) == 10_000
    assert slots.min() == 0
    assert (book.find(euis, np.full(10_000, 2, np.uint8)) == -1).all()
